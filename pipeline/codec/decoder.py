"""Bytes to pixels: the decoder of one `.seec` file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.background import decode_error, decode_widths
from seec.pipeline.codec.coding.entropy import decode_labels
from seec.pipeline.codec.coding.threads import run_all
from seec.pipeline.codec.coding.tiles import BlockMaps, GroupCanvas, Tile, empty_canvas, tile_groups
from seec.pipeline.codec.colours import (
    ColourSet,
    Exceptions,
    Sheet,
    paint,
    parse_colour_set,
    take_exceptions,
)
from seec.pipeline.codec.kernels import make_kernels, open_side_coder
from seec.pipeline.codec.model.packaged import find_packaged
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.screen import decode_screen
from seec.pipeline.images.digest import pixel_digest
from seec.schemas.container import (
    DIGEST_BYTES,
    Coding,
    Container,
    Index,
    Read,
    Section,
    SectionKind,
    check_end,
    parse,
    read_index,
    reader,
)
from seec.schemas.errors import SectionCorrupt, UnknownModel
from seec.schemas.limits import MAX_PIXELS

if TYPE_CHECKING:
    from seec.pipeline.codec.sic.latents import Latents, SideCoder

Pixels = NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)
_LATENTS = (SectionKind.HYPER_LATENTS, SectionKind.LATENTS)
_CODINGS = {SectionKind.COLOUR_SET: Coding.RAW}  # of sections before the tile groups


@dataclass(frozen=True)
class Info:
    """What a `.seec` file says of itself, without decoding its pixels.

    model_id: the first 16 hex digits of the model's id. pixel_digest: the first 16 bytes
    of the pixel digest. sections: name and payload bytes of each section in order. lossless:
    whether the pixels are those that were encoded; if not, background_error says by how much a
    sub-pixel outside the region of interest may be off, None where nothing was coded there.
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
    lossless: bool
    background_error: int | None


def inspect(blob: bytes) -> Info:
    """Describe a `.seec` file. Raises FormatError."""
    c = parse(blob)
    background = [s.payload for s in c.sections if s.kind is SectionKind.BACKGROUND]
    width, height = c.image_size
    return Info(
        width=width,
        height=height,
        channels=c.channels,
        model_id=c.model_id.hex(),
        pixel_digest=c.digest,
        tile_size=c.tile_size,
        tiles_per_group=c.tiles_per_group,
        block_size=1 << c.block_shift,
        size_bytes=len(blob),
        rate_bpsp=8 * len(blob) / (c.width * c.height * c.channels),
        sections=tuple((s.kind.name.lower(), len(s.payload)) for s in c.sections),
        lossless=not c.lossy,
        background_error=decode_error(background[0]) if background else None,
    )


@dataclass(frozen=True)
class Region:
    """A rectangle of an image, in pixels from its top left corner."""

    x: int
    y: int
    width: int
    height: int

    def touches(self, tile: Tile) -> bool:
        """Whether they share a pixel."""
        return (
            tile.x < self.x + self.width
            and self.x < tile.x + tile.width
            and tile.y < self.y + self.height
            and self.y < tile.y + tile.height
        )

    def turned(self, width: int) -> "Region":
        """Where it lies once its image, so many pixels wide, is turned by a quarter to the left."""
        return Region(self.y, width - self.x - self.width, self.height, self.width)


def decode(
    blob: bytes,
    *,
    models: Mapping[str, Model] | None = None,
    threads: int = 1,
    device: str = "cpu",
    max_pixels: int = MAX_PIXELS,
) -> Pixels:
    """Decode a `.seec` file and check the digest of its pixels.

    models: by id; packaged models need no entry. threads: tile groups decoded at once.
    device: `cpu`, or a torch device. max_pixels: larger images raise LimitExceeded.
    Returns [H, W] (gray) or [H, W, 3] (RGB) uint8, the same on every machine. Raises
    FormatError or UnknownModel, never returns wrong pixels.
    """
    index = read_index(reader(blob), max_pixels=max_pixels)
    check_end(index, len(blob))
    whole = Region(0, 0, *index.facts.image_size)
    pixels = _decode_region(index, reader(blob), whole, models, threads, device)
    if pixel_digest(pixels)[:DIGEST_BYTES] != index.facts.digest:
        raise SectionCorrupt("the decoded pixels do not match the digest in the header")
    return pixels


def decode_region(
    read: Read,
    region: Region,
    *,
    models: Mapping[str, Model] | None = None,
    threads: int = 1,
    device: str = "cpu",
    max_pixels: int = MAX_PIXELS,
) -> Pixels:
    """Decode a rectangle, reading only the tile groups that it touches.

    read: (offset, size) -> bytes of the file; see `seec.schemas.container.reader` for bytes in
    memory. region: inside the image, else ValueError. Otherwise as `decode`, but the digest
    of the whole image stays unproven: the CRC-32C of each section read is checked.
    """
    index = read_index(read, max_pixels=max_pixels)
    _check_region(region, index.facts)
    return _decode_region(index, read, region, models, threads, device)


def _check_region(r: Region, facts: Container) -> None:
    fits = r.x >= 0 and r.y >= 0 and r.width > 0 and r.height > 0
    width, height = facts.image_size
    if not fits or r.x + r.width > width or r.y + r.height > height:
        raise ValueError(f"{r} is not inside an image of {width} x {height} pixels")


def find_model(short_id: bytes, models: Mapping[str, Model] | None) -> Model:
    """The model a header names; raises UnknownModel."""
    for model in (models or {}).values():
        if model.short_id == short_id:
            return model
    packaged = find_packaged(short_id)
    if packaged is not None:
        return packaged
    raise UnknownModel(
        f"no weights with id {short_id.hex()}...: pass the model it was encoded with"
    )


def _decode_region(
    index: Index,
    read: Read,
    region: Region,
    models: Mapping[str, Model] | None,
    threads: int,
    device: str,
) -> Pixels:
    facts = index.facts
    if facts.turned:
        region = region.turned(facts.image_size[0])
    model = find_model(facts.model_id, models)
    kernels = make_kernels(model, device)

    def section(number: int) -> Section:
        entry = index.entries[number]
        return index.section(number, read(entry.offset, entry.size_bytes))

    front = read_front(index, section, model, device)
    image = np.empty((region.height, region.width, facts.channels), np.uint8)
    numbers = [n for n, e in enumerate(index.entries) if e.kind is SectionKind.TILE_GROUP]
    groups = tile_groups(facts.height, facts.width, facts.tile_size, facts.tiles_per_group)

    def some(batch: list[tuple[int, list[Tile]]]) -> None:
        parts = [open_group(section(n), tiles, front) for n, tiles in batch]
        coded = [part for part in parts if part.words is not None]
        kernels.decode([p.canvas for p in coded], [p.words for p in coded if p.words is not None])
        for (_, tiles), part in zip(batch, parts, strict=True):
            for tile, pixels in zip(tiles, part.pixels(tiles, front), strict=True):
                _paste(image, region, tile, pixels)

    touched = [
        (number, tiles)
        for number, tiles in zip(numbers, groups, strict=True)
        if any(region.touches(tile) for tile in tiles)
    ]
    size = kernels.at_once
    batches = [(touched[i : i + size],) for i in range(0, len(touched), size)]
    run_all(some, batches, threads)
    image = upright(image, facts)
    return image[..., 0] if facts.channels == 1 else image


def upright(picture: NDArray[Value], facts: Container) -> NDArray[Value]:
    """What the coded picture of a file, or a map of it, [H, W, ...], is of the image."""
    return np.ascontiguousarray(np.rot90(picture, -1)) if facts.turned else picture


def _paste(image: Pixels, region: Region, tile: Tile, pixels: Pixels) -> None:
    """Copy what a tile, [h, w, channels], and the region share."""
    top, bottom = max(tile.y, region.y), min(tile.y + tile.height, region.y + region.height)
    left, right = max(tile.x, region.x), min(tile.x + tile.width, region.x + region.width)
    if top < bottom and left < right:
        shared = pixels[top - tile.y : bottom - tile.y, left - tile.x : right - tile.x]
        target = image[top - region.y : bottom - region.y, left - region.x : right - region.x]
        target[:] = shared


@dataclass(frozen=True)
class Front:
    """What the sections before the tile groups say of all of them.

    largest_tile: that the model codes. colours, sheet: what is coded in place of pixels; None if
    nothing, and the sheet is the image.
    maps: of the sheet. side, latents: of a model with SIC, the latents by tile; none where all
    groups are raw.
    """

    facts: Container
    largest_tile: int
    colours: ColourSet | None
    sheet: Sheet
    maps: BlockMaps
    side: "SideCoder | None"
    latents: "Mapping[Tile, Latents]"

    def canvas(self, tiles: Sequence[Tile], borders: Pixels) -> GroupCanvas:
        """The canvas of a range coded group, as decoding starts. Raises SectionCorrupt."""
        if self.side is None:
            return empty_canvas(tiles, borders, self.maps)
        if not self.latents:
            raise SectionCorrupt("coded tile groups without the latents that their model needs")
        features = self.side.features([self.latents[t] for t in tiles], tiles)
        return empty_canvas(tiles, borders, self.maps, features)


def read_front(
    index: Index, section: Callable[[int], Section], model: Model, device: str = "cpu"
) -> Front:
    """Decode colour set, label map, background and latents.

    section: the checked section of a number. Raises SectionCorrupt.
    """
    facts = index.facts
    coded = _coded_sections(index, section)
    colours = _colour_set(facts, coded, model)
    chroma = None if colours is None else colours.chroma
    shape = facts.height, facts.width, facts.channels
    sheet = Sheet(*shape, facts.tile_size, facts.block_shift, chroma)
    maps = BlockMaps.blank(*sheet.shape[:2], facts.block_shift)
    if SectionKind.LABELS in coded:
        entropy_models = model.profile.entropy_models
        if entropy_models < 2:
            raise SectionCorrupt("a label map, and a model of one entropy model")
        rows, columns = maps.labels.shape
        maps.labels[:] = decode_labels(coded[SectionKind.LABELS], rows, columns, entropy_models)
    if SectionKind.BACKGROUND in coded:
        maps.widths[:] = decode_widths(coded[SectionKind.BACKGROUND], *maps.widths.shape)
    side = open_side_coder(model, device)
    latents: dict[Tile, Latents] = {}
    words = [coded[kind] for kind in _LATENTS if kind in coded]
    if words:
        if side is None or len(words) < len(_LATENTS):
            raise SectionCorrupt("the latents do not fit the model")
        (tiles,) = tile_groups(facts.height, facts.width, facts.tile_size, facts.tile_count)
        latents = dict(zip(tiles, side.decode(words[0], words[1], tiles), strict=True))
    return Front(facts, model.largest_tile, colours, sheet, maps, side, latents)


def _colour_set(
    facts: Container, coded: Mapping[SectionKind, bytes], model: Model
) -> ColourSet | None:
    if SectionKind.COLOUR_SET not in coded:
        return None
    if facts.lossy or model.profile.side:
        raise SectionCorrupt("a colour set in a lossy file, or with a model that has SIC")
    return parse_colour_set(coded[SectionKind.COLOUR_SET], facts.channels)


def _coded_sections(index: Index, section: Callable[[int], Section]) -> dict[SectionKind, bytes]:
    """The payloads of the sections before the tile groups."""
    payloads: dict[SectionKind, bytes] = {}
    for number, entry in enumerate(index.entries):
        if entry.kind is SectionKind.TILE_GROUP:
            break
        if entry.coding is not _CODINGS.get(entry.kind, Coding.RANGE):
            raise SectionCorrupt(f"section {entry.kind.name} is not coded as it has to be")
        payloads[entry.kind] = section(number).payload
    return payloads


@dataclass(frozen=True)
class OpenGroup:
    """A tile group about to be decoded; words is None where the canvas is filled already.

    exceptions: to the colour set, if there is one.
    """

    canvas: GroupCanvas
    words: bytes | None
    exceptions: Exceptions | None = None

    def pixels(self, tiles: Sequence[Tile], front: Front) -> list[Pixels]:
        """The pixels of each tile once the canvas is filled, [h, w, channels] uint8."""
        channels = self.canvas.channels
        samples = [self.canvas.interior(n)[..., :channels] for n in range(len(self.canvas.sizes))]
        if self.exceptions is None:
            return samples
        painted = paint(front.colours, front.sheet, samples, tiles)
        self.exceptions.correct(painted)
        return painted


def open_group(section: Section, tiles: list[Tile], front: Front) -> OpenGroup:
    """The canvas of a tile group, and its words. Raises SectionCorrupt."""
    payload = section.payload
    if section.coding is Coding.SCREEN:
        payload = decode_screen(payload, tiles, front.facts.channels)
    if section.coding is not Coding.RANGE:
        borders = np.zeros((len(tiles), front.facts.channels), np.uint8)
        canvas = empty_canvas(tiles, borders, front.maps)
        _fill_raw(canvas, payload, tiles)
        return OpenGroup(canvas, None)
    if front.facts.tile_size > front.largest_tile:
        raise SectionCorrupt(f"coded tiles of {front.facts.tile_size}, too large for their model")
    exceptions = None
    if front.colours is not None:
        count = sum(t.height * t.width for t in tiles)
        exceptions, payload = take_exceptions(payload, count, front.facts.channels)
    channels = front.sheet.shape[2]
    coded = [part for tile in tiles for part in front.sheet.tiles(tile)]
    head = len(coded) * channels
    if len(payload) < head:
        raise SectionCorrupt("a tile group without its border colours")
    borders = np.frombuffer(payload, np.uint8, head).reshape(-1, channels)
    return OpenGroup(front.canvas(coded, borders), payload[head:], exceptions)


def _fill_raw(canvas: GroupCanvas, payload: bytes, tiles: list[Tile]) -> None:
    channels = canvas.channels
    sizes = [t.height * t.width * channels for t in tiles]
    samples = np.frombuffer(payload, np.uint8)
    if len(samples) != sum(sizes):
        raise SectionCorrupt("a raw tile group of the wrong size")
    parts = np.split(samples, np.cumsum(sizes)[:-1])
    for number, (t, part) in enumerate(zip(tiles, parts, strict=True)):
        canvas.interior(number)[:] = part.reshape(t.height, t.width, channels)
