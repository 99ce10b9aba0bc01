"""What a column of a Parquet file takes when it is read, by the headers of its pages alone.

A page is compressed, and its footer may lie about it. So before anything is expanded, all pages of
a column are walked through: their headers are Thrift's compact protocol, which no library gives us.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import zstandard

from seec.schemas.errors import SectionCorrupt

_DATA, _DICTIONARY = 0, 2  # kinds of pages
_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY = 0, 2, 8
# Others, such as DELTA_BYTE_ARRAY, can repeat long values without having them.
_ENCODINGS: dict[int, tuple[int, ...]] = {_DATA: (_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY)}
_ENCODINGS[_DICTIONARY] = (_PLAIN, _PLAIN_DICTIONARY)
# Fields of a page header, by the numbers of parquet.thrift.
_KIND, _EXPANDED, _COMPRESSED, _HEADERS = 1, 2, 3, {_DATA: 5, _DICTIONARY: 7}
_VALUES, _ENCODING = 1, 2  # of the header of each kind
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET = range(1, 11)
_STRUCT = 12
_MAX_DEPTH = 8
_ROW_GROUPS = 4  # field of the footer
_MAX_DICTIONARY_BYTES = 1 << 24  # of our own pages, 1 MiB
_FIXED_BYTES = 32  # of a digest, the longest value of a fixed size

Fields = dict[int, "int | bytes | list[Any] | Fields"]


@dataclass(frozen=True)
class Extent:
    """What the pages of a column hold.

    values: how many. page_bytes: of all pages, without compression. longest: bytes of the longest
    value that pages refer to, without having it: of those in a dictionary. None if that cannot be
    told without reading them.
    """

    values: int
    page_bytes: int
    longest: int | None


@dataclass(frozen=True)
class Chunk:
    """A column of a row group: its name, how many values it has, and where its pages are."""

    name: str
    values: int
    start: int
    end: int


def chunks(name: str, data: bytes) -> Iterator[list[Chunk]]:
    """The columns of each row group, by the footer of a file; SectionCorrupt if it is damaged.

    What pyarrow tells of columns it tells only after it has ended the process, if they are damaged.
    """
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    try:
        for group in _row_groups(_Compact(data, max(0, start), len(data) - 8)):
            yield [_chunk(column) for column in group[1]]
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        raise SectionCorrupt(f"{name}: a damaged footer") from None


def _row_groups(footer: "_Compact") -> Iterator[Any]:
    """The row groups of a footer, one after the other: there may be very many."""
    for number, kind in footer.fields():
        if number == _ROW_GROUPS and kind == _LIST:
            for _ in range(footer.list_head()[0]):
                yield footer.struct()
            return
        footer.value(kind)


def _chunk(column: Any) -> Chunk:
    facts = column[3]
    start, dictionary = facts[9], facts.get(11, 0)
    start = dictionary if 0 < dictionary < start else start
    return Chunk(facts[3][0].decode(), facts[5], start, start + facts[7])


def extent(name: str, data: bytes, chunk: Chunk) -> Extent:
    """What the pages of a column hold.

    name: for messages. SectionCorrupt if these are no pages of data in an encoding that we write.
    """
    values = page_bytes = 0
    longest: int | None = 0
    for kind, count, size, body in _pages(name, data, chunk.start, chunk.end):
        page_bytes += size
        if kind == _DICTIONARY:
            if values or page_bytes > size:
                raise SectionCorrupt(f"{name}: a page of a dictionary where none can be")
            longest = _longest(body, size)
        else:
            values += count
    return Extent(values, page_bytes, longest)


def _longest(body: bytes, size: int) -> int | None:
    """Of the strings of a dictionary; of values of a fixed size more than they have."""
    if size > _MAX_DICTIONARY_BYTES:
        return None
    if body.startswith(zstandard.FRAME_HEADER):
        try:
            body = zstandard.ZstdDecompressor().decompress(body, max_output_size=size)
        except zstandard.ZstdError:
            return None
    if len(body) != size:
        return None
    at, longest = 0, _FIXED_BYTES
    while at < size:
        length = int.from_bytes(body[at : at + 4], "little")
        longest, at = max(longest, length), at + 4 + length
    return longest


def _pages(name: str, data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Of each page its kind, number of values, bytes without compression, and bytes as they are."""
    if not 0 <= start <= end <= len(data):
        raise SectionCorrupt(f"{name}: a column that is not within the file")
    while start < end:
        reader = _Compact(data, start, end)
        try:
            fields = reader.struct()
        except IndexError:
            raise SectionCorrupt(f"{name}: a damaged header of a page") from None
        kind = fields.get(_KIND)
        header = fields.get(_HEADERS.get(kind, -1)) if isinstance(kind, int) else None
        if not isinstance(kind, int) or not isinstance(header, dict):
            raise SectionCorrupt(f"{name}: a page of unknown kind")
        sizes = fields.get(_EXPANDED), fields.get(_COMPRESSED), header.get(_VALUES)
        if header.get(_ENCODING) not in _ENCODINGS[kind]:
            raise SectionCorrupt(f"{name}: values in an encoding that this format does not use")
        expanded, compressed, values = (n if isinstance(n, int) else -1 for n in sizes)
        body, start = reader.at, reader.at + compressed
        if min(expanded, compressed, values) < 0 or start > end:
            raise SectionCorrupt(f"{name}: a page of a size that cannot be")
        yield kind, values, expanded, data[body:start]


class _Compact:
    """Reads Thrift's compact protocol. IndexError where it ends too early or nests too deep."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data, self.at, self._end = data, at, end

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and kind of each field of a struct; who asks reads the value before the next."""
        number = 0
        while head := self._byte():
            step = head >> 4
            number = number + step if step else self._signed()
            yield number, head & 15

    def struct(self, depth: int = 0) -> Fields:
        """Values by their numbers; truth values are left out."""
        found: Fields = {}
        for number, kind in self.fields():
            value = self.value(kind, depth + 1)
            if value is not None:
                found[number] = value
        return found

    def list_head(self) -> tuple[int, int]:
        """How many elements a list has, and their kind."""
        head = self._byte()
        return (head >> 4 if head >> 4 < 15 else self._varint()), head & 15

    def value(self, kind: int, depth: int = 0) -> "int | bytes | list[Any] | Fields | None":
        """The value of a field; None for a truth value, which is in its kind."""
        if depth > _MAX_DEPTH:
            raise IndexError
        if kind in (_I16, _I32, _I64):
            return self._signed()
        if kind == _STRUCT:
            return self.struct(depth)
        if kind in (_LIST, _SET):
            count, inner = self.list_head()
            # Of a list, a truth value has a byte of its own.
            inner = _BYTE if inner in (_TRUE, _FALSE) else inner
            return [self.value(inner, depth + 1) for _ in range(count)]
        if kind == _BINARY:
            return self._take(self._varint())
        if kind in (_BYTE, _DOUBLE):
            return self._take(1 if kind == _BYTE else 8)
        if kind not in (_TRUE, _FALSE):
            raise IndexError
        return None

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _varint(self) -> int:
        data, end, at = self._data, self._end, self.at  # a footer has ten thousand of them
        value = shift = 0
        while at < end and (byte := data[at]) & 128:
            value |= (byte & 127) << shift
            shift += 7
            at += 1
            if shift > 63:
                raise IndexError
        if at >= end:
            raise IndexError
        self.at = at + 1
        return value | data[at] << shift

    def _byte(self) -> int:
        if self.at >= self._end:
            raise IndexError
        self.at += 1
        return self._data[self.at - 1]

    def _take(self, count: int) -> bytes:
        self.at += count
        if self.at > self._end:
            raise IndexError
        return self._data[self.at - count : self.at]
