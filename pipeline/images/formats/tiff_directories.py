"""The directories of TIFF files, and how they say that samples are kept."""

import struct
from dataclasses import dataclass

from seec.pipeline.images.raster import Meaning, Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS, MAX_SAMPLES
from seec.schemas.planes import DEPTHS, Shape

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
# Bytes of a value by type: BYTE ASCII SHORT LONG RATIONAL, the same with sign, FLOAT DOUBLE IFD.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_CODES = {1: "B", 3: "H", 4: "I"}
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
FILL_ORDER, STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR, PREDICTOR = (
    266,
    273,
    277,
    278,
    279,
    284,
    317,
)
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339
RAW = 1  # compression
_GRAY, _RGB, _PALETTE = 1, 2, 3  # photometric interpretations
_UNSIGNED = 1  # sample format
# Directories may overlap, and lists be shared: a small file may ask for a lot of work.
_MAX_ENTRIES, _MAX_PIECES = 1 << 17, 1 << 20


@dataclass(frozen=True)
class Entry:
    """One tag of a directory: its type, number of values, where they begin."""

    kind: int
    count: int
    at: int

    @property
    def size_bytes(self) -> int:
        """Of all values."""
        return _SIZES[self.kind] * self.count


@dataclass(frozen=True)
class Directory:
    """One directory: where it begins, and its tags in the order of the file."""

    data: bytes
    order: str
    at: int
    entries: dict[int, Entry]

    @property
    def size_bytes(self) -> int:
        """Of the directory itself, without values that lie elsewhere."""
        return 2 + 12 * len(self.entries) + 4

    def values(self, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Whole numbers; `default`, or UnreadableImage without one, if they are not there."""
        entry = self.entries.get(tag)
        if entry is None and default is not None:
            return default
        usable = entry is not None and entry.kind in _CODES and 1 <= entry.count <= _MAX_PIECES
        if entry is None or not usable:
            raise UnreadableImage(f"TIFF without a usable tag {tag}")
        return struct.unpack_from(
            f"{self.order}{entry.count}{_CODES[entry.kind]}", self.data, entry.at
        )

    def value(self, tag: int, default: int | None = None) -> int:
        """The only value of a tag."""
        return self.values(tag, None if default is None else (default,))[0]


@dataclass(frozen=True)
class Page:
    """How one directory's samples are kept, as `Directory` says it.

    shape: of each raster; of tiles, all in one column. rasters: 1, or one for each sample.
    rows: of a strip or tile. pieces: offset and size of each strip or tile.
    """

    directory: Directory
    shape: Shape
    rasters: int
    rows: int
    pieces: tuple[tuple[int, int], ...]
    compression: int

    @property
    def packing(self) -> Packing:
        """Of its rasters where they are not compressed."""
        return Packing(little=self.directory.order == "<")

    @property
    def meaning(self) -> Meaning:
        """Of its samples."""
        photometric = self.directory.entries.get(PHOTOMETRIC)
        shown = self.directory.value(PHOTOMETRIC) if photometric else None
        if shown == _PALETTE:
            return Meaning.INDICES
        unsigned = set(self.directory.values(SAMPLE_FORMAT, (_UNSIGNED,))) == {_UNSIGNED}
        in_rows = TILES not in self.directory.entries and self.rasters == 1
        if unsigned and in_rows and (shown, self.shape.samples) in ((_GRAY, 1), (_RGB, 3)):
            return Meaning.COLOUR
        return Meaning.OTHER


def directories(data: bytes) -> list[Directory]:
    """All directories of the chain."""
    order = ORDERS[data[:4]]
    found: list[Directory] = []
    entries = 0
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        while at:
            if len(found) == MAX_RASTERS or any(at == one.at for one in found):
                raise UnreadableImage(f"TIFF with a loop, or more than {MAX_RASTERS} pictures")
            directory, at = read_directory(data, order, at)
            found.append(directory)
            entries += len(directory.entries)
            if entries > _MAX_ENTRIES:
                raise UnreadableImage(f"TIFF with more than {_MAX_ENTRIES} tags")
    except struct.error:
        raise UnreadableImage("damaged TIFF file: cut short") from None
    if not found:
        raise UnreadableImage("TIFF without a picture")
    return found


def read_directory(data: bytes, order: str, at: int) -> tuple[Directory, int]:
    """A directory and the offset of the next; struct.error if it is cut short."""
    (count,) = struct.unpack_from(order + "H", data, at)
    entries: dict[int, Entry] = {}
    for i in range(count):
        here = at + 2 + 12 * i
        tag, kind, n = struct.unpack_from(order + "HHI", data, here)
        if kind not in _SIZES or tag in entries:
            raise UnreadableImage(f"TIFF with tag {tag} twice, or of unknown type {kind}")
        where = here + 8
        if _SIZES[kind] * n > 4:
            (where,) = struct.unpack_from(order + "I", data, here + 8)
        if where + _SIZES[kind] * n > len(data):
            raise UnreadableImage("damaged TIFF file: cut short")
        entries[tag] = Entry(kind, n, where)
    (following,) = struct.unpack_from(order + "I", data, at + 2 + 12 * count)
    return Directory(data, order, at, entries), following


def page_of(directory: Directory) -> Page:
    """How its samples are kept; UnreadableImage for what is not samples in rows."""
    samples, depth = directory.value(SAMPLES, 1), _depth(directory)
    if directory.value(FILL_ORDER, 1) != 1 or not 1 <= samples <= MAX_SAMPLES:
        raise UnreadableImage("TIFF with bits in reverse order, or too many samples")
    width, height = directory.value(WIDTH), directory.value(HEIGHT)
    tiled = TILES in directory.entries
    where, sizes = (TILES, TILE_BYTES) if tiled else (STRIPS, STRIP_BYTES)
    pieces = tuple(zip(directory.values(where), directory.values(sizes), strict=False))
    rasters = samples if directory.value(PLANAR, 1) == 2 else 1
    if len(pieces) != len(directory.values(where)) or len(pieces) % rasters:
        raise UnreadableImage("TIFF with offsets and sizes that do not match")
    rows = min(directory.value(ROWS, height) or height, height)
    if tiled:
        width, rows = directory.value(TILE_WIDTH), directory.value(TILE_HEIGHT)
        height = rows * (len(pieces) // rasters)
    shape = Shape(width, height, samples // rasters, depth)
    return Page(directory, shape, rasters, rows, pieces, directory.value(COMPRESSION, RAW))


def pages(data: bytes) -> list[Page]:
    """How the samples of all pictures of a file are kept."""
    found: list[Page] = []
    pieces = 0
    for directory in directories(data):
        found.append(page_of(directory))
        pieces += len(found[-1].pieces)
        if pieces > _MAX_PIECES:
            raise UnreadableImage(f"TIFF with more than {_MAX_PIECES} strips and tiles")
    return found


def _depth(directory: Directory) -> int:
    depths = set(directory.values(BITS, (1,)))
    depth = depths.pop()
    if depths or depth not in DEPTHS:
        raise UnreadableImage(f"TIFF with {depth} bits in a sample")
    return depth
