"""Chunks of arrays that hold a part of many images each: runs of them, put together to images.

A run is some chunks that follow each other in a file, of one array or several, with what lies
between them. Its content is the parts of the arrays that its chunks cover: images, as many as are
coded well together, or of images that take too much the same rows, as many as possible. Where the
runs of a file begin follows from its index alone. They end where few parts of arrays are open:
those of which chunks lie before and behind.

Bounds: the chunks of a run have 64 MB, both in the file and on their own, and its content twice as
much at most. Runs of a piece are put together as long as their chunks have `_FACTOR` times the
bytes of the piece, and 32 MiB more; the others are left as they are.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.containers.arrays import known_slices
from seec.pipeline.containers.chunks import MOST_CHUNKS, MOST_GRIDS, Grid, Stored, taken_apart
from seec.pipeline.containers.packings import comes_back
from seec.pipeline.containers.span import Span
from seec.pipeline.containers.strips import Index, Known, at_most, with_carved
from seec.pipeline.images.formats.raw_samples import Array, Type
from seec.pipeline.images.ranges import Ranges
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_DEEP_GROUP

_RUN_SAMPLES = MAX_DEEP_GROUP  # that a run is to have: more in one member would be coded no better
_RUN_BYTES, _FACTOR, _MORE_BYTES = 64_000_000, 2, 32 << 20
_MOST_OPEN = 0.125  # of a run: parts of arrays that it leaves open
_MOST_PARTS = 1 << 40  # of an array
_APART_BYTES = 1 << 16  # between chunks of a run, such as nodes of an index
_LEAST_BYTES = 256  # of a chunk, put together: small ones take long
_LEAST_SHARE = 0.5  # of the chunks of a part of an array: fewer are kept as they are
_MOST_RECIPE = 0.25  # of the bytes of a run, compressed
_MOST_SLICES = 1 << 12  # of the arrays of a run

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Chunked:
    """An array in chunks. sizes, edges: of the axes of it and of a chunk, the last one fastest.

    at, size_bytes, places, flags: [chunks] int64, each in the file, which one it is in the grid of
    chunks, the last axis fastest, and as in `chunks.Stored`.
    """

    name: str
    type: Type
    little: bool
    sizes: tuple[int, ...]
    edges: tuple[int, ...]
    at: Longs
    size_bytes: Longs
    places: Longs
    flags: Longs

    @property
    def counts(self) -> tuple[int, ...]:
        """How many chunks lie along each axis."""
        return tuple(-(-size // edge) for size, edge in zip(self.sizes, self.edges, strict=True))


@dataclass(frozen=True)
class Parted:
    """An array in parts: what one place along some axes covers, and all of the axes behind.

    axis: the last one of those. chunks: of a part. first: number of its first part in the file.
    """

    array: Chunked
    axis: int
    chunks: int
    first: int

    @property
    def behind(self) -> int:
        """Number of the first part of the next array in the file."""
        return self.first + prod(self.array.counts[: self.axis + 1])

    def corner(self, part: int) -> tuple[int, ...]:
        """Where a part begins in the array. part: its number in the array."""
        found: list[int] = []
        for axis in range(self.axis, -1, -1):
            part, along = divmod(part, self.array.counts[axis])
            found.append(along * self.array.edges[axis])
        return (*reversed(found), *(0 for _ in self.array.sizes[self.axis + 1 :]))

    def sizes(self, part: int, parts: int) -> tuple[int, ...]:
        """Of the axes of so many parts that lie along its axis."""
        array, axis = self.array, self.axis
        edges = (*array.edges[:axis], parts * array.edges[axis], *array.sizes[axis + 1 :])
        each = zip(array.sizes, self.corner(part), edges, strict=True)
        return tuple(min(size - begin, edge) for size, begin, edge in each)


def parted(array: Chunked, first: int) -> Parted | None:
    """An array whose parts hold pictures, and may be put together; None for others."""
    counts, edges = array.counts, array.edges
    whole = [count * edge for count, edge in zip(counts, edges, strict=True)]
    for axis in range(len(edges)):
        each = prod(edges[: axis + 1]) * prod(whole[axis + 1 :]) * array.type.size_bytes
        if each <= _RUN_BYTES:
            break
    else:
        return None
    if prod(edges) * array.type.size_bytes < _LEAST_BYTES or not len(array.at):
        return None
    if prod(counts[: axis + 1]) > _MOST_PARTS:
        return None
    one = Parted(array, axis, prod(counts[axis + 1 :]), first)
    try:
        shape = one.sizes(0, counts[axis])
        Array(0, shape[::-1], array.type, array.little).places(picture=False, most_bytes=1 << 62)
    except UnreadableImage:
        return None
    return one


@dataclass(frozen=True)
class _Run:
    """start, end: in the file. chunks: numbers of the first one and the one behind the last.

    size_bytes: of all chunks on their own.
    """

    start: int
    end: int
    chunks: tuple[int, int]
    size_bytes: int


class Runs:
    """The runs of a file."""

    def __init__(self, arrays: Sequence[Parted], others: Longs) -> None:
        """others: where what else is known of the file begins, in order."""
        self._arrays = arrays
        counts = [len(one.array.at) for one in arrays]
        owners = np.repeat(np.arange(len(arrays)), counts)
        numbers = np.concatenate([np.arange(count) for count in counts] or [owners])
        at = _joined([one.array.at for one in arrays])
        ends = at + _joined([one.array.size_bytes for one in arrays])
        parts = _joined([one.first + one.array.places // one.chunks for one in arrays])
        order = np.lexsort((ends, at))
        # What overlaps is damaged.
        before = np.maximum.accumulate(np.concatenate([[-1], ends[order][:-1]]))[: len(order)]
        order = order[at[order] >= before]
        self._at, self._ends, self._parts = at[order], ends[order], parts[order]
        self._owners, self._numbers = owners[order], numbers[order]
        self._runs = [*self._found(others)] if len(order) else []
        self._starts = np.array([run.start for run in self._runs], np.int64)

    def spans(self, piece: bytes, start: int) -> list[Span]:
        """Runs that lie in a piece of the file, which begins at `start`, put together."""
        left = _FACTOR * len(piece) + _MORE_BYTES
        found: list[Span] = []
        for i in range(int(np.searchsorted(self._starts, start)), len(self._runs)):
            run = self._runs[i]
            left -= run.size_bytes
            if run.end > start + len(piece) or left < 0:
                break
            span = self._span(piece, start, run)
            found += [] if span is None else [span]
        return found

    def cut(self, ranges: Ranges, position: int) -> int:
        """The end of the run that covers a position; else the position."""
        i = int(np.searchsorted(self._starts, position)) - 1
        if i >= 0 and position < self._runs[i].end:
            return min(at_most(self._runs[i].end, position), ranges.size_bytes)
        return position

    def _found(self, others: Longs) -> Iterator[_Run]:
        sizes, samples = self._weights()
        gaps = self._at[1:] - self._ends[:-1]
        between = np.searchsorted(others, self._at[1:]) > np.searchsorted(others, self._ends[:-1])
        breaks = [*(np.flatnonzero((gaps > _APART_BYTES) | between) + 1).tolist(), len(self._at)]
        open_ = self._open(np.diff(sizes))
        first = 0
        for hard in breaks:
            while first < hard:
                far = _reached(sizes, first, hard, _RUN_BYTES)
                near = _reached(samples, first, far, _RUN_SAMPLES)
                half = _reached(samples, first, far, _RUN_SAMPLES // 2)
                few = _MOST_OPEN * (sizes[first + 1 : far + 1] - sizes[first])
                little = open_[first:far] <= few
                behind = hard if near == hard else _best(open_, little, first, half, near)
                start, end = int(self._at[first]), int(self._ends[behind - 1])
                yield _Run(start, end, (first, behind), int(sizes[behind] - sizes[first]))
                first = behind

    def _weights(self) -> tuple[Longs, Longs]:
        """Bytes and samples of all chunks before each, and of all at last.

        Of the rows of images that take too much a run has as many as it may: they count less.
        """
        sizes = [prod(one.array.edges) * one.array.type.size_bytes for one in self._arrays]
        samples = [
            size * _RUN_SAMPLES // _RUN_BYTES
            if one.axis
            else size * one.array.type.words // one.array.type.size_bytes
            for one, size in zip(self._arrays, sizes, strict=True)
        ]
        each = np.array(sizes, np.int64)[self._owners]
        taken = np.diff(self._ends, prepend=self._at[:1])
        return (
            np.concatenate([[0], np.cumsum(np.maximum(each, taken))]),
            np.concatenate([[0], np.cumsum(np.array(samples, np.int64)[self._owners])]),
        )

    def _open(self, sizes: Longs) -> Longs:
        """Behind each chunk, the bytes of all parts of which chunks lie before and behind it."""
        _, first, which = np.unique(self._parts, return_index=True, return_inverse=True)
        _, last = np.unique(self._parts[::-1], return_index=True)
        last = len(self._parts) - 1 - last
        weights = np.bincount(which, sizes)
        steps = np.bincount(first, weights, len(self._parts))
        steps -= np.bincount(last, weights, len(self._parts))
        return np.cumsum(steps.astype(np.int64))

    def _span(self, piece: bytes, start: int, run: _Run) -> Span | None:
        grids: list[Grid] = []
        known: list[Known] = []
        chunks: list[Stored] = []
        content_bytes = 0
        for one in self._sheets(*run.chunks):
            array = one.parted.array
            bytes_ = array.type.size_bytes
            sizes = (*one.sizes[:-1], one.sizes[-1] * bytes_)
            edges = (*array.edges[:-1], array.edges[-1] * bytes_)
            for i, place in zip(one.chunks, one.places, strict=True):
                number = int(self._numbers[i])
                at, size, flags = (
                    int(column[number]) for column in (array.at, array.size_bytes, array.flags)
                )
                chunks.append(Stored(at - run.start, size, len(grids), place, flags))
            known += _known(one, content_bytes)
            grids.append(Grid(sizes, edges, bytes_))
            content_bytes += prod(sizes)
        chunks.sort(key=lambda chunk: chunk.start)
        data = piece[run.start - start : run.end - start]
        if not known or len(grids) > MOST_GRIDS or len(chunks) > MOST_CHUNKS:
            return None
        made = taken_apart(data, grids, chunks)
        if made is None:
            return None
        content, recipe = made
        if len(zlib.compress(recipe, 1)) > _MOST_RECIPE * len(data):
            return None
        members = tuple(with_carved(content, Index(known).spans(content, 0)))
        if not members or not comes_back("chunks", data, content, recipe):
            return None
        return Span(run.start - start, len(data), None, "chunks", content, recipe, members)

    def _sheets(self, first: int, behind: int) -> "Iterator[_Sheet]":
        """The arrays of which the content of a run is made."""
        parts, owners = self._parts[first:behind], self._owners[first:behind]
        for owner in np.unique(owners):
            one = self._arrays[int(owner)]
            mine = np.flatnonzero(owners == owner)
            own, inverse, counts = np.unique(
                parts[mine] - one.first, return_inverse=True, return_counts=True
            )
            whole = counts >= _LEAST_SHARE * one.chunks
            for begin, end in _neighbours(own[whole], one.array.counts[one.axis]):
                chunks = (
                    mine[(own[inverse] >= begin) & (own[inverse] < end) & whole[inverse]] + first
                )
                places = one.array.places[self._numbers[chunks]] - begin * one.chunks
                sizes = one.sizes(begin, end - begin)
                corner = "-".join(map(str, one.corner(begin)[: one.axis + 1]))
                yield _Sheet(one, f"{one.array.name}-{corner}", sizes, chunks, places.tolist())
            chunks = mine[~whole[inverse]] + first
            if len(chunks):
                places = one.array.places[self._numbers[chunks]]
                chunks = chunks[np.argsort(places, kind="stable")]
                edges = one.array.edges
                sizes = (len(chunks) * edges[0], *edges[1:])
                name = f"{one.array.name}-chunk-{int(places.min())}"
                yield _Sheet(one, name, sizes, chunks, [*range(len(chunks))])


@dataclass(frozen=True)
class _Sheet:
    """An array of the content of a run: parts of one of the file, or chunks below each other.

    sizes: of its axes. chunks: their numbers. places: of each in this array.
    """

    parted: Parted
    name: str
    sizes: tuple[int, ...]
    chunks: Longs
    places: list[int]


def _known(sheet: _Sheet, at: int) -> list[Known]:
    """Its slices. at: where it begins in the content."""
    array = sheet.parted.array
    whole = Array(at, sheet.sizes[::-1], array.type, array.little)
    try:  # a few rows of pictures are none that would be taken for pictures
        return known_slices(whole, sheet.name, _MOST_SLICES, at + whole.size_bytes, picture=True)
    except UnreadableImage:
        return []


def _joined(columns: Sequence[Longs]) -> Longs:
    return np.concatenate(columns) if columns else np.zeros(0, np.int64)


def _reached(totals: Longs, first: int, most: int, limit: int) -> int:
    """Behind the last chunk with which those from the first one on stay within a limit."""
    found = int(totals.searchsorted(int(totals[first]) + limit, "right")) - 1
    return max(first + 1, min(found, most))


def _best(open_: Longs, little: NDArray[np.bool_], first: int, half: int, near: int) -> int:
    """Behind which chunk a run is to end: up to `near` where no part is open, or behind `half`.

    little: of each chunk up to which it may lead, from `first` on: whether little is open behind.
    """
    closed = np.flatnonzero(open_[first:near] == 0)
    if len(closed):
        return first + int(closed[-1]) + 1
    from_ = min(half, near) - 1 - first
    enough = np.flatnonzero(little[from_:])
    if len(enough):
        return first + from_ + int(enough[0]) + 1
    least = open_[first + from_ : first + len(little)]
    return first + from_ + int(np.flatnonzero(least == least.min())[-1]) + 1


def _neighbours(parts: Longs, count: int) -> Iterator[tuple[int, int]]:
    """Runs of numbers that follow each other, in rows of so many: first and behind the last."""
    ends = np.flatnonzero((np.diff(parts) != 1) | (parts[1:] % count == 0)) + 1
    for run in np.split(parts, ends):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1
