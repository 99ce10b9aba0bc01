"""The `.seec` container: header, section table, sections. FORMAT.md is its specification.

Every length is checked before it is used and every byte is covered by a CRC-32C, so damage
gives an error that names the section, never a wrong picture.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple

import google_crc32c  # pyright: ignore[reportMissingTypeStubs]

from seec.schemas.errors import (
    FormatError,
    LimitExceeded,
    SectionCorrupt,
    Truncated,
    UnsupportedVersion,
)
from seec.schemas.limits import (
    MAX_GROUP_PIXELS,
    MAX_GROUP_TILES,
    MAX_PIXELS,
    MAX_TILE,
    MIN_TILE,
)

MAGIC = b"\x8aSEC"
VERSION = 1
MODEL_ID_BYTES = 8
DIGEST_BYTES = 16
MAX_SECTIONS = 65535  # what the header can count

Read = Callable[[int, int], bytes]

_HEADER = struct.Struct(f"<4sBBBBIIHH{MODEL_ID_BYTES}s{DIGEST_BYTES}sH")
_ENTRY = struct.Struct("<BBII")
_CRC = struct.Struct("<I")
ENTRY_BYTES = _ENTRY.size  # of the section table, for each section


class _Head(NamedTuple):
    """The fields of the header, in file order."""

    magic: bytes
    version: int
    flags: int
    channels: int
    block_shift: int
    width: int
    height: int
    tile_size: int
    tiles_per_group: int
    model_id: bytes
    digest: bytes
    sections: int


class SectionKind(IntEnum):
    """What a section holds."""

    COLOUR_SET = 1
    LABELS = 2
    HYPER_LATENTS = 3
    LATENTS = 4
    TILE_GROUP = 5
    BACKGROUND = 6


class Coding(IntEnum):
    """How a section's payload is coded."""

    RANGE = 0
    RAW = 1
    SCREEN = 2


_KINDS, _CODINGS = frozenset(SectionKind), frozenset(Coding)
# The order of sections in a file; tile groups alone may be several.
_ORDER = (
    SectionKind.COLOUR_SET,
    SectionKind.LABELS,
    SectionKind.BACKGROUND,
    SectionKind.HYPER_LATENTS,
    SectionKind.LATENTS,
    SectionKind.TILE_GROUP,
)
# Feature flags: the background is not as it was; what is coded is the image turned by a quarter.
_LOSSY, _TURNED = 1, 2


@dataclass(frozen=True)
class Section:
    """One section: its kind, how it is coded, and its payload."""

    kind: SectionKind
    coding: Coding
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class Container:
    """A parsed `.seec` file.

    channels: 1 (gray) or 3 (RGB). tile_size: edge of a tile in pixels.
    tiles_per_group: tiles that share one range coder. block_shift: labels are per block
    of 2^block_shift pixels. model_id: the first 8 bytes of the SHA-256 of the weights
    file. digest: the first 16 bytes of the pixel digest of what decoding gives. lossy: outside
    a region of interest that is not what was encoded; a BACKGROUND section says more. turned:
    the image is the coded picture, of this width and height, turned by a quarter to the right.
    """

    width: int
    height: int
    channels: int
    block_shift: int
    tile_size: int
    tiles_per_group: int
    model_id: bytes
    digest: bytes
    sections: tuple[Section, ...]
    lossy: bool = False
    turned: bool = False

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the image."""
        return (self.height, self.width) if self.turned else (self.width, self.height)

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.height // self.tile_size), -(-self.width // self.tile_size)

    @property
    def tile_count(self) -> int:
        """Number of tiles."""
        rows, columns = self.tiles
        return rows * columns

    @property
    def groups(self) -> int:
        """Number of tile groups, each one section."""
        return -(-self.tile_count // self.tiles_per_group)


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C (Castagnoli) of the bytes."""
    return int(google_crc32c.value(bytes(data)))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


def serialise(container: Container) -> bytes:
    """The bytes of a container."""
    c = container
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        _LOSSY * c.lossy | _TURNED * c.turned,
        c.channels,
        c.block_shift,
        c.width,
        c.height,
        c.tile_size,
        c.tiles_per_group,
        c.model_id,
        c.digest,
        len(c.sections),
    )
    table = b"".join(
        _ENTRY.pack(s.kind, s.coding, len(s.payload), crc32c(s.payload)) for s in c.sections
    )
    front = head + table
    crc = _CRC.pack(crc32c(front))
    return b"".join([front, crc, *(s.payload for s in c.sections)])


@dataclass(frozen=True)
class SectionEntry:
    """Where a section lies: offset from the start of the file, size, CRC-32C."""

    kind: SectionKind
    coding: Coding
    offset: int
    size_bytes: int
    crc: int


@dataclass(frozen=True)
class Index:
    """The header and section table of a file, checked; `facts` has no sections yet."""

    facts: Container
    entries: tuple[SectionEntry, ...]

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""
        return self.entries[-1].offset + self.entries[-1].size_bytes

    def number(self, kind: SectionKind) -> int | None:
        """Where the first section of this kind is in the table, if there is one."""
        return next((n for n, e in enumerate(self.entries) if e.kind is kind), None)

    def section(self, number: int, payload: bytes) -> Section:
        """The section `number` from the bytes of its range; Truncated or SectionCorrupt."""
        entry = self.entries[number]
        if len(payload) != entry.size_bytes:
            raise Truncated(f"section {number} has {len(payload)} of {entry.size_bytes} bytes")
        if crc32c(payload) != entry.crc:
            raise SectionCorrupt(f"section {number} ({entry.kind.name}) is damaged (CRC-32C)")
        return Section(entry.kind, entry.coding, payload)


def read_index(read: Read, *, max_pixels: int = MAX_PIXELS) -> Index:
    """Read and check the header and section table.

    read: (offset, size) -> those bytes, fewer at the end of the file. Raises
    UnsupportedVersion, Truncated, SectionCorrupt or LimitExceeded; all are FormatError.
    Nothing is allocated for a size that the bytes do not back.
    """
    start = read(0, _HEADER.size)
    if start[:4] != MAGIC[: len(start[:4])]:
        raise FormatError("not a .seec file: wrong magic bytes")
    if len(start) < _HEADER.size:
        raise Truncated(f"a .seec header has {_HEADER.size} bytes, got {len(start)}")
    head = _Head(*_HEADER.unpack(start))
    if head.version != VERSION:
        raise UnsupportedVersion(f".seec version {head.version}; this build reads {VERSION}")
    size = _ENTRY.size * head.sections
    rest = read(_HEADER.size, size + _CRC.size)
    if len(rest) < size + _CRC.size:
        raise Truncated(f"the section table has {len(rest)} of {size + _CRC.size} bytes")
    if _CRC.unpack_from(rest, size)[0] != crc32c(start + rest[:size]):
        raise SectionCorrupt("the header or section table is damaged (CRC-32C)")
    unknown = head.flags & ~(_LOSSY | _TURNED)
    if unknown:
        raise UnsupportedVersion(f"unknown feature flags {unknown:#04x}")
    facts = Container(
        head.width,
        head.height,
        head.channels,
        head.block_shift,
        head.tile_size,
        head.tiles_per_group,
        head.model_id,
        head.digest,
        (),
        bool(head.flags & _LOSSY),
        bool(head.flags & _TURNED),
    )
    entries = _entries(rest[:size], _HEADER.size + size + _CRC.size)
    _check(facts, sum(e.kind is SectionKind.TILE_GROUP for e in entries), max_pixels)
    _check_order(facts, [e.kind for e in entries])
    return Index(facts, entries)


def parse(blob: bytes, *, max_pixels: int = MAX_PIXELS) -> Container:
    """Check and split a whole `.seec` file; raises as read_index does."""
    index = read_index(reader(blob), max_pixels=max_pixels)
    check_end(index, len(blob))
    sections = (
        index.section(number, blob[e.offset : e.offset + e.size_bytes])
        for number, e in enumerate(index.entries)
    )
    return replace(index.facts, sections=tuple(sections))


def reader(blob: bytes) -> Read:
    """Reads ranges of bytes in memory."""
    return lambda offset, size: blob[offset : offset + size]


def check_end(index: Index, size_bytes: int) -> None:
    """FormatError unless a file of this size ends with its last section."""
    if size_bytes < index.size_bytes:
        raise Truncated(f"the last section ends at byte {index.size_bytes} of {size_bytes}")
    if size_bytes > index.size_bytes:
        raise FormatError(f"{size_bytes - index.size_bytes} bytes follow the last section")


def _entries(table: bytes, offset: int) -> tuple[SectionEntry, ...]:
    entries: list[SectionEntry] = []
    for number, (kind, coding, size, crc) in enumerate(_ENTRY.iter_unpack(table)):
        if kind not in _KINDS or coding not in _CODINGS:
            raise UnsupportedVersion(f"section {number}: unknown kind {kind} or coding {coding}")
        entries.append(SectionEntry(SectionKind(kind), Coding(coding), offset, size, crc))
        offset += size
    return tuple(entries)


def check_tiling(tile_size: int, tiles_per_group: int, block_shift: int) -> None:
    """LimitExceeded unless a decoder accepts this way of cutting images."""
    if not MIN_TILE <= tile_size <= MAX_TILE or not 1 <= tiles_per_group <= MAX_GROUP_TILES:
        raise LimitExceeded(f"tiles of {tile_size} pixels, {tiles_per_group} to a group")
    if tile_size * tile_size * tiles_per_group > MAX_GROUP_PIXELS:
        raise LimitExceeded(f"{tiles_per_group} tiles of {tile_size} pixels in one group")
    if not 3 <= block_shift <= 8 or tile_size % (1 << block_shift):
        raise LimitExceeded(f"label blocks of 2^{block_shift} in tiles of {tile_size} pixels")


def _check_order(facts: Container, kinds: list[SectionKind]) -> None:
    places = [_ORDER.index(kind) for kind in kinds]
    once = [kind for kind in kinds if kind is not SectionKind.TILE_GROUP]
    if places != sorted(places) or len(set(once)) < len(once):
        raise FormatError("sections are repeated or out of order")
    if facts.lossy is not (SectionKind.BACKGROUND in kinds):
        raise FormatError("the header and the sections disagree on whether pixels were lost")


def _check(c: Container, groups: int, max_pixels: int) -> None:
    if c.channels not in (1, 3):
        raise UnsupportedVersion(f"{c.channels} channels; this build reads 1 and 3")
    if not (c.width and c.height):
        raise FormatError(f"an image of {c.width} x {c.height} pixels")
    if c.width * c.height > max_pixels:
        raise LimitExceeded(f"{c.width} x {c.height} pixels; the limit is {max_pixels}")
    check_tiling(c.tile_size, c.tiles_per_group, c.block_shift)
    if groups != c.groups:
        raise FormatError(f"{groups} tile groups where the image needs {c.groups}")
