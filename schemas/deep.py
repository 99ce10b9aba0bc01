"""The code of rasters of one shape whose samples have any depth. FORMAT.md tells how.

Samples become numbers from 0 to `top`: floats in their order or as multiples of a step, without a
common offset, common low bits and values that never occur. Groups of them are coded, each by
itself.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from seec.schemas.container import crc32c
from seec.schemas.errors import LimitExceeded, SectionCorrupt, Truncated
from seec.schemas.limits import MAX_DEEP_COLUMNS, MAX_DEEP_GROUP, MAX_GAPS
from seec.schemas.planes import Shape

REPEATS, ACROSS, PACKED, HOLES = 1, 2, 4, 8
# With HOLES always REPEATS; PACKED stands alone.
WAYS = (0, 1, 2, 3, PACKED, HOLES | REPEATS, HOLES | REPEATS | ACROSS)

MOST_OTHERS = 8
LEAST_PART, LARGEST_STEP = 2.0**-126, 2.0**90

_HEADER = struct.Struct("<BBIIIII")
_STEP = struct.Struct("<dB")
_GROUP = struct.Struct("<BI")
_CRC = struct.Struct("<I")
_MOST_TOP = (1 << 31) - 1


class Meaning(Enum):
    """What numbers are made from samples, by the number that codes have for it.

    ORDERED: the bits of floats, as integers in their order. MULTIPLES: bits of floats of 32 bits,
    as whole multiples of a step. PARTS: as numbers of parts, the step, cut off, and what is left of
    them behind. ORDERED_MULTIPLES, ORDERED_PARTS: the same of floats that come in their order.
    """

    PLAIN = 0
    ORDERED = 1
    MULTIPLES = 2
    ORDERED_MULTIPLES = 3
    PARTS = 4
    ORDERED_PARTS = 5

    @property
    def has_step(self) -> bool:
        """Whether numbers are multiples or parts."""
        return self.value >= Meaning.MULTIPLES.value

    @property
    def has_parts(self) -> bool:
        """Whether something is left of samples."""
        return self in (Meaning.PARTS, Meaning.ORDERED_PARTS)

    @property
    def comes_in_order(self) -> bool:
        """Whether samples are no bits of floats, but in their order."""
        return self in (Meaning.ORDERED_MULTIPLES, Meaning.ORDERED_PARTS)


@dataclass(frozen=True)
class Layout:
    """How samples become numbers, and which of them are coded together.

    meaning: what the bits of samples are. shift: low bits that all have in common. low: the least
    sample. top: the largest number. slices, rows: of a group. gaps: a zstd frame of pairs of
    uint32, empty where no values are left out. step: what floats are whole multiples of, where
    `meaning` says so. others: the samples that are none, at most MOST_OTHERS.
    """

    meaning: Meaning
    shift: int
    low: int
    top: int
    slices: int
    rows: int
    gaps: bytes = b""
    step: float = 0.0
    others: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """The rasters and the rows of a group."""

    slices: slice
    rows: slice


@dataclass(frozen=True)
class DeepCode:
    """A parsed code. ways: flags of each group, one of WAYS."""

    layout: Layout
    ways: tuple[int, ...]
    codes: tuple[bytes, ...]


def is_codable(shape: Shape) -> bool:
    """Whether rasters of this shape may be coded like this."""
    return shape.width * shape.samples <= MAX_DEEP_COLUMNS


def group_size(shape: Shape, count: int) -> tuple[int, int]:
    """Slices and rows of the largest groups of `count` rasters."""
    row = shape.width * shape.samples
    if row * shape.height > MAX_DEEP_GROUP:
        return 1, max(1, MAX_DEEP_GROUP // row)
    return min(count, MAX_DEEP_GROUP // (row * shape.height)), shape.height


def parts(shape: Shape, count: int, layout: Layout) -> list[Part]:
    """The groups of `count` rasters, in order."""
    return [
        Part(
            slice(first, min(first + layout.slices, count)),
            slice(row, min(row + layout.rows, shape.height)),
        )
        for first in range(0, count, layout.slices)
        for row in range(0, shape.height, layout.rows)
    ]


def serialise(code: DeepCode) -> bytes:
    """The bytes of a code that `parse` would take."""
    each = code.layout
    data = _HEADER.pack(
        each.meaning.value, each.shift, each.low, each.top, each.slices, each.rows, len(each.gaps)
    )
    if each.meaning.has_step:
        data += _STEP.pack(each.step, len(each.others))
        data += struct.pack(f"<{len(each.others)}I", *each.others)
    data += each.gaps
    for way, payload in zip(code.ways, code.codes, strict=True):
        data += _GROUP.pack(way, len(payload))
    return data + _CRC.pack(crc32c(data)) + b"".join(code.codes)


def parse(data: bytes, shape: Shape, count: int) -> DeepCode:
    """Read the code of `count` rasters of a shape.

    Raises Truncated, SectionCorrupt or LimitExceeded. What groups and gaps hold is not looked at.
    """
    if len(data) < _HEADER.size:
        raise Truncated("samples: ends within its header")
    meaning, shift, low, top, slices, rows, gap_bytes = _HEADER.unpack_from(data)
    if meaning > 5 or shift >= shape.depth or top > _MOST_TOP:
        raise SectionCorrupt("samples: a header that cannot be")
    if not (1 <= slices <= count and 1 <= rows <= shape.height) or (
        slices > 1 and rows < shape.height
    ):
        raise SectionCorrupt("samples: groups that cannot be")
    row = shape.width * shape.samples
    if not is_codable(shape) or (slices * rows > 1 and slices * rows * row > MAX_DEEP_GROUP):
        raise LimitExceeded("samples: a group over its limit")
    if gap_bytes > 16 * MAX_GAPS:
        raise LimitExceeded("samples: more gaps than there may be")
    step, others, start = _read_step(data, Meaning(meaning), shape)
    gaps = data[start : start + gap_bytes]
    layout = Layout(Meaning(meaning), shift, low, top, slices, rows, gaps, step, others)
    groups = -(-count // slices) * -(-shape.height // rows)
    start += gap_bytes
    end = start + groups * _GROUP.size
    if len(data) < end + _CRC.size:
        raise Truncated("samples: ends within its directory")
    if _CRC.unpack_from(data, end) != (crc32c(data[:end]),):
        raise SectionCorrupt("samples: the checksum of the directory is wrong")
    entries = list(_GROUP.iter_unpack(data[start:end]))
    return DeepCode(layout, _ways(entries), _codes(data, end + _CRC.size, entries))


def _read_step(data: bytes, meaning: Meaning, shape: Shape) -> tuple[float, tuple[int, ...], int]:
    """Step, others, and where what follows begins."""
    if not meaning.has_step:
        return 0.0, (), _HEADER.size
    if len(data) < _HEADER.size + _STEP.size:
        raise Truncated("samples: ends within its header")
    step, count = _STEP.unpack_from(data, _HEADER.size)
    start = _HEADER.size + _STEP.size
    least = LEAST_PART if meaning.has_parts else 0
    if shape.depth != 32 or not least <= step <= LARGEST_STEP or not step or count > MOST_OTHERS:
        raise SectionCorrupt("samples: a step that cannot be")
    if len(data) < start + 4 * count:
        raise Truncated("samples: ends within its header")
    return step, struct.unpack_from(f"<{count}I", data, start), start + 4 * count


def _ways(entries: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    if any(way not in WAYS for way, _ in entries):
        raise SectionCorrupt("samples: a group that is coded in an unknown way")
    return tuple(way for way, _ in entries)


def _codes(data: bytes, start: int, entries: Sequence[tuple[int, int]]) -> tuple[bytes, ...]:
    starts = list(accumulate((size for _, size in entries), initial=start))
    if starts[-1] != len(data):
        raise Truncated("samples: the sizes of its groups do not add up")
    return tuple(data[at : at + size] for at, (_, size) in zip(starts, entries, strict=False))
