"""Small TIFF files of a few strips or tiles of a large one, whose bytes they hold as they are."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from seec.pipeline.images.formats import tiff_pages as tags
from seec.pipeline.images.formats.spliced import Place
from seec.pipeline.images.formats.tiff_pages import Page
from seec.pipeline.images.raster import Numbers

_LONG, _HEAD_BYTES = 4, 8
# Tags that say how samples are kept, and are copied; all are whole numbers.
_COPIED = (
    tags.BITS,
    tags.COMPRESSION,
    tags.PHOTOMETRIC,
    tags.FILL_ORDER,
    tags.PREDICTOR,
    tags.SAMPLE_FORMAT,
    tags.MOSAIC_SIZE,
)


@dataclass(frozen=True)
class Described:
    """How TIFF says what the samples of a raster are.

    order: of bytes, "<" or ">". entries: values by tag. tiled: whether its pieces are tiles.
    """

    order: str
    entries: dict[int, tuple[int, ...]]
    tiled: bool = False


def described(page: Page) -> Described:
    """As a page of a TIFF file says it, of one of its rasters."""
    directory = page.directory
    entries = {tag: directory.values(tag) for tag in _COPIED if tag in directory.entries}
    samples = 1 if directory.value(tags.PLANAR, 1) == 2 else directory.value(tags.SAMPLES, 1)
    for tag in (tags.BITS, tags.SAMPLE_FORMAT):
        if tag in entries:
            entries[tag] = entries[tag][:samples]
    tiled = page.tags[0] == tags.TILES
    width = directory.value(tags.TILE_WIDTH if tiled else tags.WIDTH)
    entries |= {tags.WIDTH: (width,), tags.SAMPLES: (samples,)}
    return Described(directory.kind.order, entries, tiled)


def described_place(place: Place) -> Described:
    """Of samples one pixel behind the other, in strips, in a file of any format.

    UnreadableImage if they are compressed in a way that TIFF has no number for.
    """
    shape, packing, coding = place.shape, place.packing, place.coding
    samples, depth = shape.samples, shape.depth
    if coding is not None and coding.number_bytes * 8 == 2 * depth:
        samples, depth = samples // 2, 2 * depth
    colours = samples == 3 and packing.numbers is Numbers.UNSIGNED
    entries = {
        tags.WIDTH: (shape.width,),
        tags.SAMPLES: (samples,),
        tags.BITS: (depth,) * samples,
        tags.COMPRESSION: (tags.compression_of(coding),),
        tags.PHOTOMETRIC: (tags.RGB if colours else tags.GRAY,),
        tags.SAMPLE_FORMAT: (packing.numbers.value + 1,) * samples,
    }
    if coding is not None and coding.predictor > 1:
        entries[tags.PREDICTOR] = (coding.predictor,)
    return Described("<" if packing.little else ">", entries)


@dataclass(frozen=True)
class Part:
    """Strips or tiles of one raster of which all but the last have the same number of rows.

    rows: of all together. each: of one of them. pieces: offset and size in the bytes that follow
    the head.
    """

    how: Described
    rows: int
    each: int
    pieces: tuple[tuple[int, int], ...]


def head(parts: Sequence[Part]) -> bytes:
    """What stands before the bytes of the parts in a TIFF file that has a directory for each."""
    order = parts[0].how.order
    listed = [_entries(part) for part in parts]
    sizes = [_size(entries) for entries in listed]
    data_at = _HEAD_BYTES + sum(sizes)
    out = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, _HEAD_BYTES)
    for i, (part, entries) in enumerate(zip(parts, listed, strict=True)):
        offsets = tuple(data_at + at for at, _ in part.pieces)
        entries[tags.TILES if part.how.tiled else tags.STRIPS] = offsets
        behind = len(out) + sizes[i] if i + 1 < len(parts) else 0
        out += _directory(entries, order, len(out), behind)
    return out


def _entries(part: Part) -> dict[int, tuple[int, ...]]:
    how = part.how
    entries = how.entries | {tags.HEIGHT: (part.rows,)}
    if how.tiled:
        entries |= {tags.TILE_WIDTH: entries[tags.WIDTH], tags.TILE_HEIGHT: (part.each,)}
    else:
        entries |= {tags.ROWS: (part.each,)}
    offsets, counts = (
        (tags.TILES, tags.TILE_BYTES) if how.tiled else (tags.STRIPS, tags.STRIP_BYTES)
    )
    entries[offsets] = tuple(0 for _ in part.pieces)
    entries[counts] = tuple(size for _, size in part.pieces)
    return entries


def _size(entries: dict[int, tuple[int, ...]]) -> int:
    lists = sum(4 * len(values) for values in entries.values() if len(values) > 1)
    return 2 + 12 * len(entries) + 4 + lists


def _directory(entries: dict[int, tuple[int, ...]], order: str, at: int, behind: int) -> bytes:
    """A directory there. behind: where the next one is, or 0."""
    lists_at = at + 2 + 12 * len(entries) + 4
    fields, lists = struct.pack(order + "H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        single = len(values) == 1
        where = values[0] if single else lists_at + len(lists)
        fields += struct.pack(order + "HHII", tag, _LONG, len(values), where)
        lists += b"" if single else struct.pack(f"{order}{len(values)}I", *values)
    return fields + struct.pack(order + "I", behind) + lists
