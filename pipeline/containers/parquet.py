"""Parquet files, as Hugging Face's `datasets` and others write images: columns of byte arrays.

The footer says where the pages of a column lie; within a page each value states its length. Values
of pages that are not packed lie in the file as they are. A packed page is one span without a name,
with the packing that `_CODECS` names, and its members are the values. Images in pages of other
codecs are left alone; in other encodings, and where the footer is none, they are carved.

A member is called `COLUMN/ROW.EXTENSION`: `image/000017.jpg` is that in row 17 of the file, counted
from 0, of column `image` or of the bytes of image column `image`; the extension follows from the
content. Rows with lists of images have `image/000017-0.jpg` and so on. A value of a dictionary is
called by the first row that has it. Where no row is known, there is no name.

Bounds: footers of at most 16 MiB; of a chunk 4096 pages before a piece, and 65,536 in all; contents
of at most four times the piece and 64 MiB.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seec.pipeline.containers import carving
from seec.pipeline.containers.cutting import FARTHEST_BYTES
from seec.pipeline.containers.members import Look, member, packed_member
from seec.pipeline.containers.packings import PACKINGS
from seec.pipeline.containers.parquet_footer import MAGIC, MOST_ROWS, Chunk, chunks_of, footer_of
from seec.pipeline.containers.parquet_pages import (
    DATA,
    DATA_2,
    DICTIONARY,
    DICTIONARY_INDICES,
    PLAIN,
    PLAIN_DICTIONARY,
    Numbers,
    Page,
    ReadAt,
    byte_arrays,
    levels_of,
    page_at,
    run_lengths,
)
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, LEAST_NAMED_BYTES, Span
from seec.pipeline.images.ranges import Ranges
from seec.schemas.errors import UnreadableImage

_CODECS = {0: None, 1: "snappy", 2: "gzip", 6: "zstd"}
_MOST_PAGES_BEFORE, _MOST_PAGES = 1 << 12, 1 << 16
_LEAST_VALUE_BYTES = 32  # of a page, packed or not, on average
_CONTENT_FACTOR, _MORE_CONTENT_BYTES = 4, 64 << 20
_MOST_INDEX_BITS = 31
_MOST_DICTIONARY = 1 << 20


def matches(head: bytes) -> bool:
    """Whether a file begins as one does."""
    return head.startswith(MAGIC)


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterator[Span]:
    """As `containers.find`: values of the pages that are whole in the piece; all else is carved."""
    file, gap = _Piece(piece, start, ranges), start
    chunks = chunks_of(ranges)
    if not chunks:
        look.note("its index is damaged, or has no column of bytes")
    for chunk in chunks:
        if chunk.end <= start or chunk.start >= file.end:
            continue
        pages = list(_pages(file.read, chunk, start, file.end))
        for i, (page, row) in enumerate(pages):
            spans = ()
            if start <= page.start and page.end <= file.end:
                behind = [] if i else [one for one, _ in pages[1:]]
                spans = _Values(file, chunk, look).spans(page, row, behind)
            if spans:
                yield from _carved(piece[gap - start : page.data - start], gap - start)
                yield from spans
                gap = page.end
    yield from _carved(piece[gap - start :], gap - start)


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`: before a page, or anywhere outside of columns of images.

    A page of more than 64 MiB may be cut between two images that are found without its lengths.
    """
    chunks = chunks_of(ranges)
    if not chunks:
        return carving.cut(ranges, position)
    last = bisect_right([chunk.start for chunk in chunks], position) - 1
    if last < 0 or chunks[last].end <= position:
        return ranges.size_bytes if position > footer_of(ranges) else position
    page = None
    for page, _ in _pages(ranges.read, chunks[last], position, position + 1):
        if page.start >= position:
            return page.start
    if page is not None and position < page.end <= position + FARTHEST_BYTES:
        return page.end
    if chunks[last].codec == 0:
        return min(carving.cut(ranges, position), chunks[last].end)
    return position


class _Piece:
    """A piece, and the file around it. left: bytes of content that may still be unpacked."""

    def __init__(self, piece: bytes, start: int, ranges: Ranges) -> None:
        self._piece, self._start, self._ranges = piece, start, ranges
        self.end = start + len(piece)
        self.left = _CONTENT_FACTOR * len(piece) + _MORE_CONTENT_BYTES

    @property
    def start(self) -> int:
        """Of the piece in the file."""
        return self._start

    def read(self, start: int, length: int) -> bytes:
        """As `Ranges.read`, of the file."""
        if self._start <= start and start + length <= self.end:
            return self._piece[start - self._start : start - self._start + length]
        return self._ranges.read(start, length)


class _Values:
    """The values of pages of a chunk."""

    def __init__(self, file: _Piece, chunk: Chunk, look: Look) -> None:
        self._file, self._chunk, self._look = file, chunk, look

    def spans(self, page: Page, row: int | None, behind: Sequence[Page]) -> tuple[Span, ...]:
        """The spans of a page that is whole in the piece; none where it has no images.

        row: its first, if it is known. behind: pages that follow the first one, which may be a
        dictionary.
        """
        size = page.end - page.data
        plain = PLAIN_DICTIONARY if page.kind == DICTIONARY else PLAIN
        if page.encoding not in plain or size < _LEAST_VALUE_BYTES * page.values:
            return ()
        start = page.data - self._file.start
        raw = self._file.read(page.data, size)

        def inner(content: bytes) -> tuple[Span, ...] | None:
            levels = raw[: page.level_bytes]
            names = self._names(page, row, behind, levels + content)
            found = self._images(levels + content, names)
            return tuple(one.moved(-len(levels)) for one in found) or None

        packing = self._packing(page)
        packed, at = raw[page.level_bytes :], start + page.level_bytes
        if packing is None:
            return tuple(one.moved(at) for one in inner(packed) or ())
        span = packed_member(packing, packed, at, None, inner, self._file.left) if packing else None
        self._file.left -= 0 if span is None else len(span.content or b"")
        return () if span is None else (span,)

    def _packing(self, page: Page) -> str | None:
        """None if the values of a page are as they are; no name if they cannot be unpacked."""
        return _CODECS.get(self._chunk.codec, "") if page.packed else None

    def _images(self, content: bytes, names: "_Names | None") -> Iterator[Span]:
        if names is None:
            yield from carving.carve(content)
            return
        for i, (start, end) in enumerate(byte_arrays(content, names.start)):
            if i >= names.count:
                break
            if end - start < LEAST_NAMED_BYTES:
                continue
            value = content[start:end]
            span = member(value, start, names.of(i, value), self._look)
            if span is not None:
                yield span

    def _names(
        self, page: Page, row: int | None, behind: Sequence[Page], content: bytes
    ) -> "_Names | None":
        chunk = self._chunk
        if page.kind == DICTIONARY:
            rows = self._first_rows(page.values, row, behind)
            return _Names(chunk, 0, page.values, rows, np.zeros_like(rows))
        levels = levels_of(page, content, chunk.optional, chunk.repeated)
        if levels is None:
            return None
        rows = np.full_like(levels.present, -1) if row is None else levels.present + row
        return _Names(chunk, levels.values, len(rows), rows, levels.among)

    def _first_rows(self, count: int, row: int | None, behind: Sequence[Page]) -> Numbers:
        """The first row of each value of a dictionary; -1 where it is not known."""
        rows = np.full(min(count, _MOST_DICTIONARY), -1)
        for page in behind:
            if page.encoding not in DICTIONARY_INDICES or page.end > self._file.end:
                break
            content = self._content(page)
            levels = content and levels_of(
                page, content, self._chunk.optional, self._chunk.repeated
            )
            if row is None or not content or not levels:
                break
            indices = _indices(content[levels.values :], len(levels.present))
            if len(indices) != len(levels.present):
                break
            known = indices < len(rows)
            values, first = np.unique(indices[known], return_index=True)
            new = rows[values] < 0
            rows[values[new]] = row + levels.present[known][first[new]]
            row += levels.rows
        return rows

    def _content(self, page: Page) -> bytes:
        """All of a page, unpacked; nothing if that cannot be."""
        raw, packing = self._file.read(page.data, page.end - page.data), self._packing(page)
        if packing is None:
            return raw
        try:
            content, _ = PACKINGS[packing].unpack(raw[page.level_bytes :], self._file.left)
        except (KeyError, UnreadableImage):
            return b""
        return raw[: page.level_bytes] + content


@dataclass(frozen=True)
class _Names:
    """Names of the values of a page. start: of the first value. rows, among: as in `Levels`."""

    chunk: Chunk
    start: int
    count: int
    rows: Numbers
    among: Numbers

    def of(self, index: int, value: bytes) -> str | None:
        """The name of a value; None where its row is not known."""
        row = int(self.rows[index]) if index < len(self.rows) else -1
        if row < 0:
            return None
        number = f"{row:06}-{self.among[index]}" if self.chunk.repeated else f"{row:06}"
        return f"{self.chunk.column}/{number}{carving.extension(value)}"


def _indices(data: bytes, count: int) -> Numbers:
    """Indices of a dictionary, behind the byte that says how many bits they have."""
    bits = data[0] if data else 0
    if not 0 < bits <= _MOST_INDEX_BITS:
        return np.zeros(count, np.int64)
    try:
        return run_lengths(data[1:], (1 << bits) - 1, count)
    except ValueError:
        return np.zeros(0, np.int64)


def _carved(data: bytes, start: int) -> Iterator[Span]:
    if len(data) >= LEAST_CARVED_BYTES:
        yield from (one.moved(start) for one in carving.carve(data))


def _pages(read: ReadAt, chunk: Chunk, start: int, end: int) -> Iterator[tuple[Page, int | None]]:
    """Pages up to the end of a piece, each with its first row; up to the first that cannot be."""
    at, row, before = chunk.start, chunk.first_row, 0
    for _ in range(_MOST_PAGES):
        if at >= min(end, chunk.end) or before == _MOST_PAGES_BEFORE:
            return
        page = page_at(read, at)
        if page is None or page.end > chunk.end:
            return
        yield page, row
        if page.kind in (DATA, DATA_2) and row is not None:
            rows = page.values if page.rows is None and not chunk.repeated else page.rows
            row = None if rows is None or rows > MOST_ROWS - row else row + rows
        at = page.end
        before += at <= start
