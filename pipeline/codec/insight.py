"""What a `.seec` file spends its bits on, pixel by pixel."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.decoder import decode, find_model, read_front
from pipeline.codec.integer import TorchKernels
from pipeline.codec.tiles import border_colours, fill_canvas, tile_groups
from pipeline.codec.weights import Model
from schemas.container import Coding, SectionKind, parse, read_index, reader


@dataclass(frozen=True)
class Insight:
    """An image and where its bits go.

    pixels: [H, W] or [H, W, 3] uint8. labels: [H, W] uint8, which expert speaks.
    code_length: [H, W] float32, ideal bits per pixel over all channels; raw tile groups
    have 8 bits per sub-pixel. experts: how many the model has.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    code_length: NDArray[np.float32]
    experts: int


def explain(blob: bytes, *, models: Mapping[str, Model] | None = None) -> Insight:
    """Decode a file and measure each of its pixels. Raises what `decode` raises."""
    pixels = decode(blob, models=models)
    container = parse(blob)
    model = find_model(container.model_id, models)
    front = read_front(read_index(reader(blob)), container.sections.__getitem__, model)
    image = pixels[..., None] if pixels.ndim == 2 else pixels
    kernels = TorchKernels(model)
    lengths = np.full(image.shape[:2], 8.0 * image.shape[2], np.float32)
    groups = tile_groups(
        container.height, container.width, container.tile_size, container.tiles_per_group
    )
    sections = [s for s in container.sections if s.kind is SectionKind.TILE_GROUP]
    for tiles, section in zip(groups, sections, strict=True):
        if section.coding is Coding.RAW:
            continue
        borders = border_colours(image, tiles)
        group = front.canvas(tiles, borders)
        fill_canvas(group, image, tiles)
        for t, bits in zip(tiles, kernels.code_lengths(group), strict=True):
            part = bits[: t.height, : t.width].astype(np.float32) / 256
            lengths[t.y : t.y + t.height, t.x : t.x + t.width] = part
    edge = 1 << container.block_shift
    labels = np.kron(front.maps.labels, np.ones((edge, edge), np.uint8))
    labels = labels[: container.height, : container.width]
    return Insight(pixels, labels, lengths, model.profile.experts)
