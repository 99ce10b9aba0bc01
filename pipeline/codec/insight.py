"""The code length of each pixel of a `.seec` file, and its entropy model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.labels import map_from_blocks
from seec.pipeline.codec.coding.tiles import tile_groups
from seec.pipeline.codec.decoder import decode, find_model, open_group, read_front, upright
from seec.pipeline.codec.kernels import make_kernels
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.network.torch_kernels import TorchKernels
from seec.schemas.container import SectionKind, parse, read_index, reader


@dataclass(frozen=True)
class Insight:
    """An image and where its bits go.

    pixels: [H, W] or [H, W, 3] uint8. labels: [H, W] uint8, its entropy model.
    code_length: [H, W] float32, ideal bits per pixel over all channels; raw and screen coded
    tile groups have their mean everywhere. entropy_models: how many the model has.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    code_length: NDArray[np.float32]
    entropy_models: int


def explain(blob: bytes, *, models: Mapping[str, Model] | None = None) -> Insight:
    """Decode a file and measure each of its pixels. Raises what `decode` raises."""
    pixels = decode(blob, models=models)
    container = parse(blob)
    model = find_model(container.model_id, models)
    front = read_front(read_index(reader(blob)), container.sections.__getitem__, model)
    kernels = TorchKernels(model)
    lengths = np.empty((container.height, container.width), np.float32)
    groups = tile_groups(
        container.height, container.width, container.tile_size, container.tiles_per_group
    )
    sections = [s for s in container.sections if s.kind is SectionKind.TILE_GROUP]
    for tiles, section in zip(groups, sections, strict=True):
        group = open_group(section, tiles, front)
        if group.words is None:
            coded = sum(t.height * t.width for t in tiles)
            for tile in tiles:
                lengths[tile.rows, tile.columns] = 8 * len(section.payload) / coded
            continue
        make_kernels(model).decode([group.canvas], [group.words])
        bits = kernels.code_lengths(group.canvas).astype(np.float32) / 256
        parts = [b[:h, :w] for b, (h, w) in zip(bits, group.canvas.sizes, strict=True)]
        for tile, part in zip(tiles, front.sheet.gather(parts, tiles), strict=True):
            lengths[tile.rows, tile.columns] = part
    labels = map_from_blocks(front.maps.labels, container.block_shift, *lengths.shape)
    labels, lengths = upright(labels, container), upright(lengths, container)
    return Insight(pixels, labels, lengths, model.profile.entropy_models)
