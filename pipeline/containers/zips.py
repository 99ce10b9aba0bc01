"""Zip archives, and what is one by another name: npz, docx, epub, apk.

Members are read by their local headers, one after the other, so that a piece may begin at any of
them and the central directory is not read. A member whose length its header does not say ends where
its deflate stream does, or where a data descriptor fits the bytes before it. Encrypted members are
left alone, and those in other methods than stored and deflate.

Bounds: what is searched in vain for the end of stored members is at most four times the piece; what
is inflated is at most four times the piece and 64 MiB.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from seec.pipeline.containers.carving import carve
from seec.pipeline.containers.cutting import Extent, Headed, cut_headed
from seec.pipeline.containers.members import Look, inside, member, packed_member
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, Span
from seec.pipeline.images.ranges import Ranges
from seec.schemas.names import escape

_LOCAL, _CENTRAL, _DESCRIPTOR, _END = b"PK\3\4", b"PK\1\2", b"PK\7\b", b"PK\5\6"
_HEADER = struct.Struct("<4sBBHHHHIIIHH")
_CENTRAL_BYTES = 46
_ENCRYPTED, _LENGTHS_BEHIND, _UNUSED_FLAGS = 1, 8, 0xC780
_STORED, _DEFLATED = 0, 8
_METHODS = frozenset([*range(15), *range(16, 21), *range(93, 100)])
_MOST_NAME_BYTES, _MOST_EXTRA_BYTES, _MOST_VERSION = 1 << 12, 1 << 14, 63
_UNKNOWN, _ZIP64 = 0xFFFFFFFF, 1
_MOST_INFLATED_BYTES = 64 << 20
_BEHIND_FACTOR = 4
_PEEKED_BYTES = 4096
_MOST_SEARCHED = 1 << 12  # signatures before a position, most of which head no member
_LEAST_AT_ONCE, _INFLATED_AT_ONCE = 1 << 10, 1 << 16
_INFLATES_FASTER = 8  # bytes of repetitions than others


@dataclass(frozen=True)
class Local:
    """A local header. data: where it ends. length: of the member's bytes; None where it says none.

    method: 0 stored, 8 deflate.
    """

    name: bytes
    data: int
    length: int | None
    method: int
    encrypted: bool


def matches(head: bytes) -> bool:
    """Whether a file begins with a local header, or is an empty archive."""
    return local_header(head, 0) is not None or head.startswith((_END, _DESCRIPTOR + _LOCAL))


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterator[Span]:
    """As `containers.find`: members that are images, or in which `look` finds some.

    Stored ones lie in the file as they are, deflated ones have packing `deflate`. Bytes between
    members are carved.
    """
    ends, at, gap = _Ends(piece), 0, 0
    while (here := _next_local(piece, at)) is not None:
        one = local_header(piece, here)
        end = None if one is None else ends.end_of(one)
        if one is None or end is None:
            if one is not None and start + len(piece) == ranges.size_bytes:
                look.note("a member leads out of the file")
            at = here + len(_LOCAL)
            continue
        yield from _carved(piece, gap, here)
        data = piece[one.data : end]
        span = None
        if one.encrypted:
            look.note("its members are encrypted")
        elif one.method == _STORED:
            span = member(data, one.data, escape(one.name), look)
        elif one.method != _DEFLATED:
            look.note(f"its members are compressed by method {one.method} of zip")
        elif not ends.may_inflate:
            look.note("its members expand to more than is inflated")
        elif look.wants(_peeked(data)):
            name, limit = escape(one.name), ends.most
            span = packed_member("deflate", data, one.data, name, partial(inside, look=look), limit)
            ends.inflated(0 if span is None else len(span.content or b""))
        if span is not None:
            yield span
        at = gap = end
    yield from _carved(piece, gap, len(piece))


def cut(ranges: Ranges, position: int, wants: Callable[[bytes], bool]) -> int:
    """As `containers.cut`: before a header, local or central, or within a long member.

    wants: whether a member that begins so may be or hold an image.
    """

    def wanted(one: Extent) -> bool:
        head = ranges.read(one.start, min(_PEEKED_BYTES, one.end - one.start))
        return wants(_peeked(head) if one.deflated else head)

    more = _HEADER.size + _MOST_NAME_BYTES
    return cut_headed(ranges, position, Headed(_first_header, more, _extents, wanted))


def _extents(data: bytes, start: int) -> Iterator[Extent]:
    """Up to the first member, backwards, whose length its header does not say."""
    at = len(data)
    for _ in range(_MOST_SEARCHED):
        at = data.rfind(_LOCAL, 0, at)
        if at < 0:
            return
        if (one := local_header(data, at)) is not None:
            if one.length is None:
                return
            yield Extent(start + one.data, start + one.data + one.length, one.method == _DEFLATED)


def first_member(data: bytes) -> int | None:
    """Where the first local header is in some bytes of an archive; None where there is none."""
    at = _next_local(data, 0)
    while at is not None and local_header(data, at) is None:
        at = _next_local(data, at + 1)
    return at


def local_header(data: bytes, at: int) -> Local | None:
    """The local header there; None where there is none, or one that no archiver writes."""
    if len(data) - at < _HEADER.size or data[at : at + 4] != _LOCAL:
        return None
    _, version, _, flags, method, _, _, _, length, size, name_bytes, extra_bytes = (
        _HEADER.unpack_from(data, at)
    )
    behind = at + _HEADER.size + min(name_bytes, _MOST_NAME_BYTES)
    name = data[at + _HEADER.size : behind]
    sane = version <= _MOST_VERSION and not flags & _UNUSED_FLAGS and method in _METHODS
    if not sane or b"\0" in name or len(name) != name_bytes or extra_bytes > _MOST_EXTRA_BYTES:
        return None
    if _UNKNOWN in (length, size):
        size, length = _zip64(data[behind : behind + extra_bytes], size, length)
    encrypted = bool(flags & _ENCRYPTED)
    known = None if flags & _LENGTHS_BEHIND and not length else length
    if known is not None and method == _STORED and length != size and not encrypted:
        return None
    return Local(name, behind + extra_bytes, known, method, encrypted)


def _zip64(extra: bytes, size: int, length: int) -> tuple[int, int]:
    """Size and length, each from the field for large files if the header does not hold it."""
    at = 0
    while at + 4 <= len(extra):
        kind, count = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64:
            fields = extra[at + 4 : at + 4 + count]
            if size == _UNKNOWN and len(fields) >= 8:
                size, fields = int.from_bytes(fields[:8], "little"), fields[8:]
            if length == _UNKNOWN and len(fields) >= 8:
                length = int.from_bytes(fields[:8], "little")
            break
        at += 4 + count
    return size, length


class _Ends:
    """Where members end, within bounds of what is read to find that out."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self._searched = _BEHIND_FACTOR * len(piece)
        self.most = _BEHIND_FACTOR * len(piece) + _MOST_INFLATED_BYTES

    @property
    def may_inflate(self) -> bool:
        """Whether the bound is not reached."""
        return self.most > 0

    def inflated(self, size_bytes: int) -> None:
        """Take note of what a member came to."""
        self.most -= size_bytes

    def end_of(self, one: Local) -> int | None:
        """Where the bytes of a member end; None where that is not in the piece, or not known."""
        if one.length is not None:
            end = one.data + one.length
        elif one.method == _DEFLATED and not one.encrypted:
            end = self._end_of_stream(one.data)
        else:
            end = self._before_descriptor(one.data)
        return end if end is not None and end <= len(self._piece) else None

    def _end_of_stream(self, start: int) -> int | None:
        inflater, at, count = zlib.decompressobj(-zlib.MAX_WBITS), start, _LEAST_AT_ONCE
        try:
            while not inflater.eof and self._searched > 0:
                part = inflater.unconsumed_tail or self._piece[at : at + count]
                if not part:
                    return None
                at += 0 if inflater.unconsumed_tail else len(part)
                out = inflater.decompress(part, _INFLATED_AT_ONCE)
                self._searched -= len(out) // _INFLATES_FASTER
                count = min(2 * count, _INFLATED_AT_ONCE)
        except zlib.error:
            return None
        finally:
            end = at - len(inflater.unused_data)
            self._searched -= end - start
        return end if inflater.eof else None

    def _before_descriptor(self, start: int) -> int | None:
        """Where a length stands that is right: before the next header, with what it describes."""
        at = start
        while self._searched > 0:
            found = self._piece.find(b"PK", at)
            found = len(self._piece) if found < 0 else found
            self._searched -= found - at
            at = found + 2
            # A piece ends before a header, too.
            if self._piece[found : found + 4] not in (_LOCAL, _CENTRAL, b""):
                continue
            for size, width in ((12, 4), (20, 8)):
                end = found - size
                length = self._piece[end + 4 : end + 4 + width]
                if self._piece[end - 4 : end] == _DESCRIPTOR:
                    end -= 4
                if end >= start and int.from_bytes(length, "little") == end - start:
                    return end
            if found == len(self._piece):
                break
        return None


def _next_local(piece: bytes, at: int) -> int | None:
    found = piece.find(_LOCAL, at)
    return None if found < 0 else found


def _first_header(data: bytes) -> int | None:
    at = data.find(b"PK")
    while at >= 0:
        if local_header(data, at) is not None or _is_central(data, at):
            return at
        at = data.find(b"PK", at + 1)
    return None


def _is_central(data: bytes, at: int) -> bool:
    """Whether there is a header of the central directory."""
    if data[at : at + 4] != _CENTRAL or len(data) - at < _CENTRAL_BYTES:
        return False
    _, version, _, flags, method = struct.unpack_from("<HBBHH", data, at + 4)
    return version <= _MOST_VERSION and not flags & _UNUSED_FLAGS and method in _METHODS


def _peeked(data: bytes) -> bytes:
    """The first bytes of a deflate stream, inflated."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _PEEKED_BYTES)
    except zlib.error:
        return b""


def _carved(piece: bytes, start: int, end: int) -> Iterator[Span]:
    if end - start >= LEAST_CARVED_BYTES:
        yield from (one.moved(start) for one in carve(piece[start:end]))
