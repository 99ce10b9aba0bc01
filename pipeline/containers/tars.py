"""Tar archives: ustar, pax, GNU long names, numbers of base 256.

A member's headers are its own and those with its long name or its pax records right before it.
Sparse members are left alone, and so are headers without the magic `ustar`. Headers stand at
multiples of 512 bytes from the beginning of the file: a piece may begin at any member.

Bounds: each block of a piece is looked at a fixed number of times, whatever lengths the headers
claim; a group is at most 4 headers before the member's own, of 32 KiB each.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seec.pipeline.containers.carving import carve
from seec.pipeline.containers.cutting import FARTHEST_BYTES, Extent, Headed, cut_headed
from seec.pipeline.containers.members import Look, member
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, Span
from seec.pipeline.images.ranges import Ranges
from seec.schemas.names import escape

BLOCK = 512
_HEAD_BYTES = 4096
_MAGIC, _MAGIC_AT = b"ustar", 257
_REGULAR, _EXTENSIONS, _SPARSE = b"0\0" + b"7", b"xXLK", b"S"
_WITHOUT_DATA = b"123456"
_MOST_EXTENSIONS, _MOST_EXTENSION_BYTES = 4, 1 << 15
_MOST_SPARSE_BLOCKS = 1 << 12
_LOOKED_BACK_BYTES = 2 * _MOST_EXTENSION_BYTES
_CHECKSUM = slice(148, 156)
_SPACES = 8 * 0x20

ReadAt = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Header:
    """One header block. size: of the data behind it, in bytes."""

    kind: int
    name: bytes
    size: int
    sparse_more: bool


@dataclass(frozen=True)
class Member:
    """start: of its first header. data, size: where its data are. end: of the last block."""

    name: bytes
    start: int
    data: int
    size: int
    end: int
    regular: bool


def matches(head: bytes) -> bool:
    """Whether a file begins with a header."""
    return header(head[:BLOCK]) is not None


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterator[Span]:
    """As `containers.find`: members that are images, or in which `look` finds some.

    Where no header is, or a member that is not whole, the archive goes on at the next header; what
    is there before it is carved.
    """
    at, end = start + -start % BLOCK, start + len(piece)

    def read(where: int, length: int) -> bytes:
        return piece[max(0, where - start) : max(0, where - start + length)]

    headers, gap = _Headers(piece, at - start), start
    while at + BLOCK <= end:
        one = member_at(read, at)
        if one is None:
            at = start + headers.following(at + BLOCK - start)
            continue
        yield from _carved(piece[gap - start : at - start], gap - start)
        gap = one.data
        if one.data + one.size > ranges.size_bytes:
            look.note("a member leads out of the file")
        if one.data + one.size > end:  # it cannot be so long, or the piece ends within it
            at = start + headers.following(one.data - start)
            continue
        data = piece[one.data - start : one.data + one.size - start]
        if one.regular and (span := member(data, one.data - start, escape(one.name), look)):
            yield span
        at = gap = one.end
    yield from _carved(piece[gap - start :], gap - start)


def cut(ranges: Ranges, position: int, wants: Callable[[bytes], bool]) -> int:
    """As `containers.cut`: before the first headers of a member, or within one that is long.

    wants: whether a member that begins so may be or hold an image.
    """
    position += -position % BLOCK
    if position <= 0:
        return 0

    def extents(data: bytes, start: int) -> Iterator[Extent]:
        for at in _Headers(data, 0).backwards():
            if (one := member_at(ranges.read, start + at)) is not None:
                yield Extent(one.data, one.end)

    def wanted(one: Extent) -> bool:
        return wants(ranges.read(one.start, min(_HEAD_BYTES, one.end - one.start)))

    headed = Headed(lambda data: _Headers(data, 0).first, 0, extents, wanted)
    return _behind_group(ranges, cut_headed(ranges, position, headed))


def header(block: bytes) -> Header | None:
    """What a header says; None where the block is none."""
    if len(block) < BLOCK or block[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
        return None
    stated, size = _number(block[_CHECKSUM]), _number(block[124:136])
    total = sum(block) - sum(block[_CHECKSUM]) + _SPACES
    if stated is None or size is None or size < 0:
        return None
    if stated != total:
        # Some writers add up bytes with a sign.
        high = sum(b > 127 for b in block) - sum(b > 127 for b in block[_CHECKSUM])
        if stated != total - 256 * high:
            return None
    name, kind = block[:100].split(b"\0", 1)[0], block[156]
    prefix = block[345:500].split(b"\0", 1)[0]
    if prefix and block[_MAGIC_AT : _MAGIC_AT + 6] == _MAGIC + b"\0":
        name = prefix + b"/" + name
    if kind in _WITHOUT_DATA or (kind == 0 and name.endswith(b"/")):
        size = 0
    return Header(kind, name, size, block[482] != 0)


def member_at(read: ReadAt, start: int) -> Member | None:
    """The member whose first header is there; None where no header is."""
    at, extended = start, _Extended()
    while (found := header(read(at, BLOCK))) is not None:
        data = at + BLOCK
        extends = found.kind in _EXTENSIONS and found.size <= _MOST_EXTENSION_BYTES
        if not extends or extended.count == _MOST_EXTENSIONS:
            break
        extended.take(found.kind, read(data, found.size))
        at = _padded(data + found.size)
    else:  # what these headers belong to is not there
        return Member(b"", start, at, 0, at, regular=False) if extended.count else None
    data = _behind_sparse(read, data) if found.kind in _SPARSE and found.sparse_more else data
    size = found.size
    if extended.size is not None and found.kind not in _WITHOUT_DATA:
        size = extended.size
    regular = found.kind in _REGULAR and not extended.sparse
    name = found.name if extended.name is None else extended.name
    return Member(name, start, data, size, _padded(data + size), regular)


def _behind_sparse(read: ReadAt, at: int) -> int:
    """Behind the blocks that continue the header of a sparse member."""
    for _ in range(_MOST_SPARSE_BLOCKS):
        block = read(at, BLOCK)
        at += BLOCK
        if len(block) < BLOCK or not block[504]:
            break
    return at


class _Extended:
    """What the headers before a member's own say about it."""

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.size: int | None = None
        self.sparse = False
        self.count = 0

    def take(self, kind: int, data: bytes) -> None:
        """Take note of one. kind: of that header."""
        self.count += 1
        if kind == ord("L"):
            self.name = data.split(b"\0", 1)[0]
        elif kind in b"xX":
            for key, value in _records(data):
                if key == b"path":
                    self.name = value
                elif key == b"size" and value.isdigit() and len(value) < 20:
                    self.size = int(value)
                elif key.startswith(b"GNU.sparse."):
                    self.sparse = True


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Records of pax: `length key=value` and a line feed; up to the first that is damaged."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = data[at:space] if space > 0 else b""
        if not length.isdigit() or int(length) <= space - at:
            return
        key, equals, value = data[space + 1 : at + int(length) - 1].partition(b"=")
        if not equals:
            return
        yield key, value
        at += int(length)


def _behind_group(ranges: Ranges, found: int) -> int:
    """The header there, or behind its member where other headers of that precede it."""
    before = max(0, found - _LOOKED_BACK_BYTES)
    blocks = ranges.read(before, found - before)
    for at in range(len(blocks) - BLOCK, -1, -BLOCK):
        one = header(blocks[at : at + BLOCK])
        if one is None:
            continue
        extends = one.kind in _EXTENSIONS and _padded(at + BLOCK + one.size) == len(blocks)
        whole = member_at(ranges.read, before + at) if extends else None
        if whole is None or whole.end > found + FARTHEST_BYTES:
            break
        return min(whole.end, ranges.size_bytes)
    return found


class _Headers:
    """Headers among the blocks of a piece. first: where the first block is."""

    def __init__(self, piece: bytes, first: int) -> None:
        self._piece, count = piece, max(0, (len(piece) - first) // BLOCK)
        self._end, self._places = first + count * BLOCK, []
        if count:
            blocks = np.frombuffer(piece, np.uint8, count * BLOCK, first).reshape(count, BLOCK)
            magic = blocks[:, _MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == np.frombuffer(
                _MAGIC, np.uint8
            )
            self._places = (first + np.flatnonzero(magic.all(1)) * BLOCK).tolist()

    @property
    def first(self) -> int | None:
        """The first header of all."""
        place = self.following(0)
        return place if place < self._end else None

    def backwards(self) -> Iterator[int]:
        """All headers, the last first."""
        for place in reversed(self._places):
            if header(self._piece[place : place + BLOCK]) is not None:
                yield place

    def following(self, at: int) -> int:
        """The first header there or behind; the end of the blocks where there is none."""
        for i in range(bisect_left(self._places, at), len(self._places)):
            place = self._places[i]
            if header(self._piece[place : place + BLOCK]) is not None:
                return place
        return self._end


def _carved(data: bytes, start: int) -> Iterator[Span]:
    if len(data) >= LEAST_CARVED_BYTES:
        yield from (one.moved(start) for one in carve(data))


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _number(field: bytes) -> int | None:
    """A number in octal digits, or in base 256."""
    if field[0] in (0x80, 0xFF):
        value = int.from_bytes(field[1:], "big")
        return value - (256 ** (len(field) - 1)) * (field[0] == 0xFF)
    text = field.strip(b" \0")
    if not text:
        return 0
    return int(text, 8) if all(c in b"01234567" for c in text) else None
