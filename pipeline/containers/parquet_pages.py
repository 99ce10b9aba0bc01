"""The pages of a column chunk of a Parquet file: their headers, levels and values."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.containers.thrift import Malformed, Structures

DATA, DICTIONARY, DATA_2 = 0, 2, 3  # kinds of pages
# Encodings: of values, of those of a dictionary, of indices into one.
PLAIN, PLAIN_DICTIONARY, DICTIONARY_INDICES = (0,), (0, 2), (2, 8)
_RUN_LENGTHS = 3
_HEADER_BYTES, _MOST_HEADER_BYTES = 1 << 12, 1 << 16
_MOST_VALUES = 1 << 20
_LENGTH = struct.Struct("<I")

ReadAt = Callable[[int, int], bytes]
Numbers = NDArray[np.int64]


@dataclass
class Page:
    """start, data, end: where it begins, where its bytes do, where these end.

    rows: that it holds, or None where it does not say. repeated_bytes, optional_bytes: of the
    levels that a page of version 2 begins with. packed: whether the bytes behind those are.
    """

    start: int
    data: int = 0
    end: int = 0
    kind: int = -1
    values: int = 0
    rows: int | None = None
    encoding: int = -1
    level_encoding: int = _RUN_LENGTHS
    repeated_bytes: int = 0
    optional_bytes: int = 0
    packed: bool = True

    @property
    def level_bytes(self) -> int:
        """Of levels that are never packed."""
        return self.repeated_bytes + self.optional_bytes


# Fields of the headers of pages, by kind: what they are of `Page`.
_HEADERS = {
    5: {1: "values", 2: "encoding", 3: "level_encoding"},
    7: {1: "values", 2: "encoding"},
    8: {
        1: "values",
        3: "rows",
        4: "encoding",
        5: "optional_bytes",
        6: "repeated_bytes",
        7: "packed",
    },
}


def page_at(read: ReadAt, start: int) -> Page | None:
    """The page whose header is there; None where there is none."""
    for length in (_HEADER_BYTES, _MOST_HEADER_BYTES):
        data = read(start, length)
        try:
            return _page(Structures(data), start)
        except Malformed:
            if len(data) < length:
                break
    return None


def _page(reader: Structures, start: int) -> Page:
    page, size = Page(start), -1
    for number, kind in reader.fields():
        if number == 1:
            page.kind = reader.integer(kind)
        elif number == 3:
            size = reader.integer(kind)
        elif number in _HEADERS:
            for field, inner in reader.structure(kind):
                if field in _HEADERS[number]:
                    setattr(page, _HEADERS[number][field], reader.integer(inner))
                else:
                    reader.skip(inner)
        else:
            reader.skip(kind)
    page.data, page.end = start + reader.at, start + reader.at + size
    numbers = (size, page.values, page.rows or 0, page.repeated_bytes, page.optional_bytes)
    if page.kind not in range(4) or min(numbers) < 0 or page.level_bytes > size:
        raise Malformed
    return page


@dataclass(frozen=True)
class Levels:
    """Of a page. present: the row within the page, and which one of its row, of each value.

    rows: in the page. values: where the values begin.
    """

    present: Numbers
    among: Numbers
    rows: int
    values: int


def levels_of(page: Page, content: bytes, optional: int, repeated: int) -> Levels | None:
    """The levels of a data page. content: all of its bytes, unpacked.

    optional, repeated: the highest levels of the column. None if they are damaged or too many.
    """
    if page.values > _MOST_VALUES or (page.kind == DATA and page.level_encoding != _RUN_LENGTHS):
        return None
    try:
        at = 0
        repetitions = definitions = None
        if repeated:
            at, end = _level_place(page, content, at, page.repeated_bytes)
            repetitions = run_lengths(content[at:end], repeated, page.values)
            at = end
        if optional:
            at, end = _level_place(page, content, at, page.optional_bytes)
            definitions = run_lengths(content[at:end], optional, page.values)
            at = end
    except (struct.error, ValueError):
        return None
    rows = np.arange(page.values)
    begins = rows
    if repetitions is not None:
        begins = np.maximum.accumulate(np.where(repetitions == 0, rows, 0))
        rows = np.cumsum(repetitions == 0) - 1
    count = int(rows[-1]) + 1 if page.values else 0
    among = np.arange(page.values) - begins
    if definitions is not None:
        present = definitions == optional
        rows, among = rows[present], among[present]
    return Levels(rows, among, count, at)


def _level_place(page: Page, content: bytes, at: int, size: int) -> tuple[int, int]:
    if page.kind == DATA:
        (size,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
    if at + size > len(content):
        raise ValueError
    return at, at + size


def run_lengths(data: bytes, most: int, count: int) -> Numbers:
    """Numbers in the hybrid of runs and packed bits, of as many bits as `most` takes.

    count: how many there are. ValueError if the bytes end before, or are none such.
    """
    bits = most.bit_length()
    width, at, done = -(-bits // 8), 0, 0
    numbers = np.zeros(count, np.int64)
    while done < count:
        head, at = _varint(data, at)
        if head & 1:
            groups = min(head >> 1, -(-(count - done) // 8))
            packed = np.frombuffer(data, np.uint8, -1, at)[: groups * bits]
            unpacked = np.unpackbits(packed, bitorder="little")
            unpacked = unpacked[: len(unpacked) // bits * bits].reshape(-1, bits)
            part = (unpacked << np.arange(bits, dtype=np.int64)).sum(1)[: count - done]
            at += (head >> 1) * bits
        else:
            part = np.full(
                min(head >> 1, count - done), int.from_bytes(data[at : at + width], "little")
            )
            at += width
        if not len(part):
            raise ValueError
        numbers[done : done + len(part)] = part
        done += len(part)
    return numbers


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(5):
        if at + i >= len(data):
            break
        value |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            return value, at + i + 1
    raise ValueError


def byte_arrays(content: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Start and end of each byte array of encoding PLAIN; up to the first that leads out."""
    while at + _LENGTH.size <= len(content):
        start = at + _LENGTH.size
        at = start + int.from_bytes(content[start - _LENGTH.size : start], "little")
        if at > len(content):
            return
        yield start, at
