"""Bytes to pixels: the decoder of one `.seec` file."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVarTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.entropy import decode_labels
from pipeline.codec.kernels import Kernels, make_kernels
from pipeline.codec.models import default_model
from pipeline.codec.tiles import Tile, empty_canvas, tile_groups
from pipeline.codec.weights import Model
from pipeline.images.digest import pixel_digest
from schemas.container import (
    DIGEST_BYTES,
    MAX_PIXELS,
    Coding,
    Container,
    Section,
    SectionKind,
    parse,
)
from schemas.errors import SectionCorrupt, UnknownModel, UnsupportedVersion

Pixels = NDArray[np.uint8]
Arguments = TypeVarTuple("Arguments")
_DECODED_KINDS = (SectionKind.LABELS, SectionKind.TILE_GROUP)


@dataclass(frozen=True)
class Info:
    """What a `.seec` file says of itself, without decoding its pixels.

    model_id: the first 16 hex digits of the model's id. pixel_digest: the first 16 bytes
    of the pixel digest. sections: name and payload bytes of each section in order.
    """

    width: int
    height: int
    channels: int
    model_id: str
    pixel_digest: bytes
    tile_size: int
    tiles_per_group: int
    block_size: int
    size_bytes: int
    rate_bpsp: float
    sections: tuple[tuple[str, int], ...]


def inspect(blob: bytes) -> Info:
    """Describe a `.seec` file. Raises FormatError."""
    c = parse(blob)
    return Info(
        width=c.width,
        height=c.height,
        channels=c.channels,
        model_id=c.model_id.hex(),
        pixel_digest=c.digest,
        tile_size=c.tile_size,
        tiles_per_group=c.tiles_per_group,
        block_size=1 << c.block_shift,
        size_bytes=len(blob),
        rate_bpsp=8 * len(blob) / (c.width * c.height * c.channels),
        sections=tuple((s.kind.name.lower(), len(s.payload)) for s in c.sections),
    )


def decode(
    blob: bytes,
    *,
    models: Mapping[str, Model] | None = None,
    threads: int = 1,
    device: str = "cpu",
    max_pixels: int = MAX_PIXELS,
) -> Pixels:
    """Decode a `.seec` file and check the digest of its pixels.

    models: by id; the packaged model needs no entry. threads: tile groups decoded at once.
    device: `cpu`, or a torch device. max_pixels: larger images raise LimitExceeded.
    Returns [H, W] (gray) or [H, W, 3] (RGB) uint8, the same on every machine. Raises
    FormatError or UnknownModel, never returns wrong pixels.
    """
    container = parse(blob, max_pixels=max_pixels)
    kernels, experts = _kernels(_find_model(container.model_id, models), device)
    labels = _labels(container, experts)
    groups = tile_groups(
        container.height, container.width, container.tile_size, container.tiles_per_group
    )
    sections = [s for s in container.sections if s.kind is SectionKind.TILE_GROUP]
    image = np.empty((container.height, container.width, container.channels), np.uint8)

    def one(tiles: list[Tile], section: Section) -> None:
        _decode_group(image, tiles, section, labels, container.block_shift, kernels)

    run_all(one, list(zip(groups, sections, strict=True)), threads)
    pixels = image[..., 0] if container.channels == 1 else image
    if pixel_digest(pixels)[:DIGEST_BYTES] != container.digest:
        raise SectionCorrupt("the decoded pixels do not match the digest in the header")
    return pixels


def run_all(
    function: Callable[[*Arguments], None], calls: list[tuple[*Arguments]], threads: int
) -> None:
    """Call `function` with each tuple of arguments, on `threads` threads."""
    if threads <= 1 or len(calls) <= 1:
        for arguments in calls:
            function(*arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(function, *arguments) for arguments in calls]:
            future.result()


@lru_cache(maxsize=8)
def _cached_kernels(model_id: str, device: str, load: Callable[[], Model]) -> tuple[Kernels, int]:
    model = load()
    return make_kernels(model, device), model.profile.experts


class _SameModel:
    """Hands a model to the cache, which compares ids only."""

    def __init__(self, model: Model):
        self._model = model

    def __call__(self) -> Model:
        return self._model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SameModel)

    def __hash__(self) -> int:
        return 0


def _kernels(model: Model, device: str) -> tuple[Kernels, int]:
    return _cached_kernels(model.id, device, _SameModel(model))


def _find_model(short_id: bytes, models: Mapping[str, Model] | None) -> Model:
    for model in (models or {}).values():
        if model.short_id == short_id:
            return model
    packaged = default_model()
    if packaged.short_id == short_id:
        return packaged
    raise UnknownModel(
        f"no weights with id {short_id.hex()}...: pass the model it was encoded with"
    )


def _labels(container: Container, experts: int) -> NDArray[np.uint8]:
    """The label map in blocks; zeros when the file has none."""
    for section in container.sections:
        if section.kind not in _DECODED_KINDS:
            raise UnsupportedVersion(f"section {section.kind.name} needs a newer decoder")
    rows = -(-container.height >> container.block_shift)
    columns = -(-container.width >> container.block_shift)
    found = [s for s in container.sections if s.kind is SectionKind.LABELS]
    if not found:
        return np.zeros((rows, columns), np.uint8)
    if len(found) > 1 or experts < 2 or found[0].coding is not Coding.RANGE:
        raise SectionCorrupt("the label map does not fit its model")
    return decode_labels(found[0].payload, rows, columns, experts)


def _decode_group(
    image: Pixels,
    tiles: list[Tile],
    section: Section,
    labels: NDArray[np.uint8],
    block_shift: int,
    kernels: Kernels,
) -> None:
    channels = image.shape[2]
    if section.coding is Coding.RAW:
        _copy_raw(image, tiles, section.payload)
        return
    head = len(tiles) * channels
    if len(section.payload) < head:
        raise SectionCorrupt("a tile group without its border colours")
    borders = np.frombuffer(section.payload, np.uint8, head).reshape(-1, channels)
    group = empty_canvas(tiles, borders, labels, block_shift)
    kernels.decode(group, section.payload[head:])
    for index, t in enumerate(tiles):
        target = image[t.y : t.y + t.height, t.x : t.x + t.width]
        target[:] = group.interior(index)[..., :channels]


def _copy_raw(image: Pixels, tiles: list[Tile], payload: bytes) -> None:
    channels = image.shape[2]
    samples = np.frombuffer(payload, np.uint8)
    if len(samples) != sum(t.height * t.width for t in tiles) * channels:
        raise SectionCorrupt("a raw tile group of the wrong size")
    position = 0
    for t in tiles:
        count = t.height * t.width * channels
        part = samples[position : position + count].reshape(t.height, t.width, channels)
        image[t.y : t.y + t.height, t.x : t.x + t.width] = part
        position += count
