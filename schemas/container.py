"""The `.seec` container: header, section table, sections. FORMAT.md is its specification.

Every length is checked before it is used and every byte is covered by a CRC-32C, so damage
gives an error that names the section, never a wrong picture.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import google_crc32c  # pyright: ignore[reportMissingTypeStubs]

from schemas.errors import (
    FormatError,
    LimitExceeded,
    SectionCorrupt,
    Truncated,
    UnsupportedVersion,
)

MAGIC = b"\x8aSEC"
VERSION = 1
MODEL_ID_BYTES = 8
DIGEST_BYTES = 16
MAX_PIXELS = 1 << 28  # about 268 megapixels; callers may set another limit
MAX_SECTIONS = 65535
MIN_TILE, MAX_TILE = 16, 4096

_HEADER = struct.Struct(f"<4sBBBBIIHH{MODEL_ID_BYTES}s{DIGEST_BYTES}sH")
_ENTRY = struct.Struct("<BBII")
_CRC = struct.Struct("<I")


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
    """What a section holds. Kinds without a decoder here are refused by name."""

    COLOUR_SET = 1
    LABELS = 2
    HYPER_LATENTS = 3
    LATENTS = 4
    TILE_GROUP = 5


class Coding(IntEnum):
    """How a section's payload is coded."""

    RANGE = 0
    RAW = 1


_KINDS, _CODINGS = frozenset(SectionKind), frozenset(Coding)


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
    file. digest: the first 16 bytes of the pixel digest.
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

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.height // self.tile_size), -(-self.width // self.tile_size)

    @property
    def groups(self) -> int:
        """Number of tile groups, each one section."""
        rows, columns = self.tiles
        return -(-rows * columns // self.tiles_per_group)


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of the bytes."""
    return int(google_crc32c.value(data))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


def serialise(container: Container) -> bytes:
    """The bytes of a container."""
    c = container
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        0,
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
        _ENTRY.pack(s.kind, s.coding, len(s.payload), crc32c(s.payload))
        for s in c.sections
    )
    front = head + table
    crc = _CRC.pack(crc32c(front))
    return b"".join([front, crc, *(s.payload for s in c.sections)])


def parse(blob: bytes, *, max_pixels: int = MAX_PIXELS) -> Container:
    """Check and split a `.seec` file.

    Raises UnsupportedVersion, Truncated, SectionCorrupt or LimitExceeded; all are
    FormatError. Nothing is allocated for a size that the bytes do not back.
    """
    if blob[:4] != MAGIC[: len(blob[:4])]:
        raise FormatError("not a .seec file: wrong magic bytes")
    if len(blob) < _HEADER.size + _CRC.size:
        raise Truncated(f"a .seec header has {_HEADER.size + _CRC.size} bytes, got {len(blob)}")
    head = _Head(*_HEADER.unpack_from(blob))
    if head.version != VERSION:
        raise UnsupportedVersion(f".seec version {head.version}; this build reads {VERSION}")
    front = _HEADER.size + _ENTRY.size * head.sections
    if len(blob) < front + _CRC.size:
        raise Truncated(f"the section table ends at byte {front + _CRC.size} of {len(blob)}")
    if _CRC.unpack_from(blob, front)[0] != crc32c(blob[:front]):
        raise SectionCorrupt("the header or section table is damaged (CRC-32C)")
    if head.flags:
        raise UnsupportedVersion(f"unknown feature flags {head.flags:#04x}")
    container = Container(
        head.width,
        head.height,
        head.channels,
        head.block_shift,
        head.tile_size,
        head.tiles_per_group,
        head.model_id,
        head.digest,
        _sections(blob, head.sections),
    )
    _check(container, max_pixels)
    return container


def _sections(blob: bytes, count: int) -> tuple[Section, ...]:
    position = _HEADER.size + _ENTRY.size * count + _CRC.size
    sections: list[Section] = []
    for index in range(count):
        kind, coding, length, crc = _ENTRY.unpack_from(blob, _HEADER.size + _ENTRY.size * index)
        if kind not in _KINDS or coding not in _CODINGS:
            raise UnsupportedVersion(f"section {index}: unknown kind {kind} or coding {coding}")
        payload = blob[position : position + length]
        position += length
        if len(payload) != length:
            raise Truncated(f"section {index} ends at byte {position} of {len(blob)}")
        if crc32c(payload) != crc:
            raise SectionCorrupt(f"section {index} ({SectionKind(kind).name}) is damaged (CRC-32C)")
        sections.append(Section(SectionKind(kind), Coding(coding), payload))
    if position != len(blob):
        raise FormatError(f"{len(blob) - position} bytes follow the last section")
    return tuple(sections)


def _check(c: Container, max_pixels: int) -> None:
    if c.channels not in (1, 3):
        raise UnsupportedVersion(f"{c.channels} channels; this build reads 1 and 3")
    if not (c.width and c.height):
        raise FormatError(f"an image of {c.width} x {c.height} pixels")
    if c.width * c.height > max_pixels:
        raise LimitExceeded(f"{c.width} x {c.height} pixels; the limit is {max_pixels}")
    if not MIN_TILE <= c.tile_size <= MAX_TILE or not c.tiles_per_group:
        raise LimitExceeded(f"tiles of {c.tile_size} pixels, {c.tiles_per_group} to a group")
    if not 3 <= c.block_shift <= 8 or c.tile_size % (1 << c.block_shift):
        raise LimitExceeded(f"label blocks of 2^{c.block_shift} pixels in such tiles")
    groups = sum(s.kind is SectionKind.TILE_GROUP for s in c.sections)
    if groups != c.groups:
        raise FormatError(f"{groups} tile groups where the image needs {c.groups}")
