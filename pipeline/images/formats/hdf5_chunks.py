"""Where the chunks of a dataset of an HDF5 file lie, by each kind of index that there is."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats.hdf5_reader import UNDEFINED, Damaged, Reader, uint
from seec.pipeline.images.formats.hdf5_trees import leaves, records

MAX_CHUNKS = 1 << 20  # of a dataset
# Addresses, sizes and numbers of chunks stay below, so that two of them make no number of 64 bits
# with another sign.
_LIMIT = 1 << 62
_BATCH = 1 << 13  # chunks whose rows are made at once: each axis is a column
_SINGLE, _IMPLICIT, _FIXED_ARRAY, _EXTENSIBLE_ARRAY, _TREE = 1, 2, 3, 4, 5  # indexes of version 4
# What the message has of each between its kind and its address; of a single chunk see `_single`.
_INDEX_BYTES = {_SINGLE: 0, _IMPLICIT: 0, _FIXED_ARRAY: 1, _EXTENSIBLE_ARRAY: 5, _TREE: 6}
_WHOLE_EDGES, _FILTERED_SINGLE = 1, 2  # flags of version 4
_CHUNK_RECORDS = (10, 11)  # kinds of B-trees
_ALL_FILTERS = (1 << 32) - 1
_MOST_ELEMENT_BYTES, _MOST_BITS = 20, 40

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Chunks:
    """The chunks of a dataset: [chunks] int64 each.

    at, size_bytes: in the file. skipped: filters that were not applied, by bits. places: which one
    it is in the grid of all chunks, the last axis fastest.
    """

    at: Longs
    size_bytes: Longs
    skipped: Longs
    places: Longs

    def only(self, which: NDArray[np.bool_]) -> "Chunks":
        """Some of them. which: [chunks]."""
        columns = (self.at, self.size_bytes, self.skipped, self.places)
        return Chunks(*(column[which] for column in columns))


@dataclass(frozen=True)
class Space:
    """How large a dataset is along each axis, and may become; `UNDEFINED` without a limit."""

    sizes: tuple[int, ...]
    most: tuple[int, ...]


def chunks_of(
    reader: Reader, layout: bytes, space: Space, number_bytes: int, *, filtered: bool
) -> tuple[tuple[int, ...], Chunks]:
    """The sizes of the axes of a chunk, and all chunks. layout: the message. filtered: any."""
    flags = 0
    if layout[0] == 3:
        rank, address = layout[2], uint(layout, 3)
        edges: tuple[int, ...] = struct.unpack_from(f"<{rank}I", layout, 11)
        index = at = 0
    else:
        flags, rank, width = layout[2:5]
        edges = tuple(uint(layout, 5 + width * i, width) for i in range(rank))
        at = 6 + width * rank
        index = layout[at - 1]
        if index not in _INDEX_BYTES:
            raise Damaged
        known = 12 if index == _SINGLE and flags & _FILTERED_SINGLE else _INDEX_BYTES[index]
        address = uint(layout, at + known)
    edges = edges[:-1]  # the last one is the size of a number
    if len(edges) != len(space.sizes) or min(edges, default=0) < 1:
        raise Damaged
    grid = _Grid(space, edges, prod(edges) * number_bytes, filtered)
    if max(*space.sizes, grid.chunk_bytes) >= _LIMIT:
        raise Damaged
    found: Iterator[Longs] = iter(())
    if address != UNDEFINED:
        if layout[0] == 3:
            found = _in_old_tree(reader, address, grid)
        elif index == _SINGLE:
            found = iter([_single(layout, at, address, grid, alone=known > 0)])
        else:
            found = _FOUND[index](reader, address, grid)
    return edges, _chunks(reader, found, grid, whole_edges=bool(flags & _WHOLE_EDGES))


@dataclass(frozen=True)
class _Grid:
    """The chunks that a dataset may have. chunk_bytes: of one without filters."""

    space: Space
    edges: tuple[int, ...]
    chunk_bytes: int
    filtered: bool

    @property
    def counts(self) -> tuple[int, ...]:
        """How many lie along each axis."""
        return _counts(self.space.sizes, self.edges)

    def of_numbers(self, numbers: Longs, *, first: int = 0) -> Longs:
        """[chunks, axes], of their numbers in an array for all that the dataset may become.

        first: the axis that comes first there; the others follow in their order.
        """
        most = _counts(self.space.most, self.edges)
        order = [first, *(axis for axis in range(len(most)) if axis != first)]
        found = np.zeros((len(numbers), len(most)), np.int64)
        for axis in reversed(order[1:]):
            if most[axis] > _LIMIT:
                raise Damaged
            found[:, axis] = numbers % max(1, most[axis])
            numbers = numbers // max(1, most[axis])
        found[:, first] = numbers
        return found


def _counts(sizes: Sequence[int], edges: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-size // edge) for size, edge in zip(sizes, edges, strict=True))


def _rows(at: Longs, size: Longs, skipped: Longs, places: Longs) -> Longs:
    """[chunks, 3 + axes]. places: [chunks, axes]."""
    return np.concatenate([np.stack([at, size, skipped], 1), places], 1)


def _chunks(reader: Reader, found: Iterator[Longs], grid: _Grid, *, whole_edges: bool) -> Chunks:
    """Those that are somewhere, and within the dataset. whole_edges: those have no filters."""
    counts = grid.counts
    if not 0 < prod(counts) < _LIMIT:
        return Chunks(*(np.zeros(0, np.int64) for _ in range(4)))
    kept: list[Longs] = []
    total = 0
    for rows in found:
        at, places = rows[:, 0], rows[:, 3:]
        inside = (at >= 0) & (at < _LIMIT) & (rows[:, 1] > 0) & (rows[:, 1] < _LIMIT)
        inside &= ((places >= 0) & (places < np.array(counts, np.int64))).all(1)
        rows = rows[inside]
        place = np.zeros(len(rows), np.int64)
        for axis, count in enumerate(counts):
            place = place * count + rows[:, 3 + axis]
        if whole_edges:
            ends = (rows[:, 3:] + 1) * np.array(grid.edges, np.int64)
            rows[(ends > np.array(grid.space.sizes, np.int64)).any(1), 2] = _ALL_FILTERS
        kept.append(np.concatenate([rows[:, :3], place[:, None]], 1))
        total += len(rows)
        if total >= MAX_CHUNKS:
            break
    table = np.concatenate([np.zeros((0, 4), np.int64), *kept])[:MAX_CHUNKS]
    _, first = np.unique(table[:, 3], return_index=True)
    table = table[np.sort(first)]
    return Chunks(table[:, 0] + reader.base, table[:, 1], table[:, 2], table[:, 3])


def _single(layout: bytes, at: int, address: int, grid: _Grid, *, alone: bool) -> Longs:
    """The only chunk. alone: whether its size is in the message."""
    size = uint(layout, at) if alone else grid.chunk_bytes
    skipped = uint(layout, at + 8, 4) if alone else 0
    if max(size, address) >= _LIMIT:
        raise Damaged
    return np.array([[address, size, skipped, *(0 for _ in grid.edges)]], np.int64)


def _in_old_tree(reader: Reader, address: int, grid: _Grid) -> Iterator[Longs]:
    """Chunks that a B-tree of version 1 lists."""
    axes = len(grid.edges)
    kind = np.dtype([("size", "<u4"), ("skipped", "<u4"), ("at", "<i8", axes + 1), ("to", "<i8")])
    for listed in leaves(reader, address, 1, kind.itemsize - 8):
        found = np.frombuffer(listed, kind)
        places = found["at"][:, :axes] // np.array(grid.edges, np.int64)
        size, skipped = (found[key].astype(np.int64) for key in ("size", "skipped"))
        yield _rows(found["to"], size, skipped, places)


def _implicit(reader: Reader, address: int, grid: _Grid) -> Iterator[Longs]:
    """Chunks one behind the other."""
    count = min(prod(_counts(grid.space.most, grid.edges)), MAX_CHUNKS)
    if address + grid.chunk_bytes * count >= _LIMIT:
        raise Damaged
    for first in range(0, count, _BATCH):
        numbers = np.arange(first, min(first + _BATCH, count), dtype=np.int64)
        reader.step(len(numbers))
        sizes = np.full_like(numbers, grid.chunk_bytes)
        places = grid.of_numbers(numbers)
        yield _rows(address + sizes * numbers, sizes, np.zeros_like(numbers), places)


def _elements(
    reader: Reader, data: bytes, each: int, first: int, grid: _Grid, axis: int
) -> Iterator[Longs]:
    """Chunks of an array, from number `first` on. each: bytes of one. axis: which comes first."""
    size_bytes = each - 12 if grid.filtered else 0
    if each != (12 + size_bytes if grid.filtered else 8) or not 0 <= size_bytes <= 8:
        raise Damaged
    table = np.frombuffer(data, np.uint8)[: len(data) // each * each].reshape(-1, each)
    for begin in range(0, len(table), _BATCH):
        part = table[begin : begin + _BATCH]
        reader.step(len(part))
        at = _uints(part[:, :8])
        size, skipped = np.full_like(at, grid.chunk_bytes), np.zeros_like(at)
        if grid.filtered:
            size, skipped = _uints(part[:, 8 : 8 + size_bytes]), _uints(part[:, each - 4 :])
        numbers = np.arange(first + begin, first + begin + len(at), dtype=np.int64)
        yield _rows(at, size, skipped, grid.of_numbers(numbers, first=axis))


def _uints(columns: NDArray[np.uint8]) -> Longs:
    """Numbers of up to 8 bytes, the lowest first; negative if they are too large."""
    whole = np.zeros((len(columns), 8), np.uint8)
    whole[:, : columns.shape[1]] = columns
    return whole.view("<i8")[:, 0].astype(np.int64)


def _fixed_array(reader: Reader, address: int, grid: _Grid) -> Iterator[Longs]:
    """Chunks in an array for all that the dataset may become, perhaps in pages."""
    head = reader.read(address, 28, b"FAHD")
    each, page_bits, listed = head[6], head[7], uint(head, 8)
    block = uint(head, 16)
    if not 8 <= each <= _MOST_ELEMENT_BYTES or page_bits > _MOST_BITS:
        raise Damaged
    reader.read(block, 14, b"FADB")
    at, per_page = block + 14, 1 << page_bits
    count = min(listed, MAX_CHUNKS)
    if listed <= per_page:
        yield from _elements(reader, reader.read(at, each * count), each, 0, grid, 0)
        return
    pages = -(-count // per_page)
    made = reader.read(at, -(-pages // 8))
    at += (-(-listed // per_page) + 7) // 8 + 4
    for page in range(pages):
        first = page * per_page
        here = min(per_page, listed - first)
        if made[page // 8] << page % 8 & 128:
            yield from _elements(reader, reader.read(at, each * here), each, first, grid, 0)
        at += each * here + 4


def _extensible_array(reader: Reader, address: int, grid: _Grid) -> Iterator[Longs]:
    """Chunks in an array that grows along the axis without a limit: in blocks of blocks."""
    unlimited = [axis for axis, most in enumerate(grid.space.most) if most == UNDEFINED]
    head = reader.read(address, 68, b"EAHD")
    each, bits, held, least, least_blocks, page_bits = head[6:12]
    listed, index = uint(head, 44), uint(head, 60)
    if (
        len(unlimited) != 1
        or not 8 <= each <= _MOST_ELEMENT_BYTES
        or page_bits > _MOST_BITS
        or bits > 64
        or not least
        or least & (least - 1)
        or not least_blocks
        or least_blocks & (least_blocks - 1)
    ):
        raise Damaged
    array = _Array(reader, grid, unlimited[0], each, -(-bits // 8), 1 << page_bits)
    supers = 1 + max(0, bits - least.bit_length() + 1)
    inline = 2 * (least_blocks.bit_length() - 1)  # of these, whose blocks the index itself lists
    direct = 2 * (least_blocks - 1)
    at = 14 + each * held
    data = reader.read(index, at + 8 * (direct + max(0, supers - inline)), b"EAIB")
    count = min(listed, MAX_CHUNKS)
    yield from _elements(reader, data[14:at], each, 0, grid, array.axis)
    first, block = held, 0
    for number in range(supers):
        blocks, size = 1 << number // 2, least << (number + 1) // 2
        if first >= count:
            return
        if number < inline:
            for i in range(block, min(block + blocks, direct)):
                yield from array.block(uint(data, at + 8 * i), first, size, b"")
                first += size
        else:
            place = uint(data, at + 8 * (direct + number - inline))
            yield from array.super_block(place, first, blocks, size, count)
            first += blocks * size
        block += blocks


@dataclass(frozen=True)
class _Array:
    """How an extensible array is kept. axis: without a limit. each: bytes of an element."""

    reader: Reader
    grid: _Grid
    axis: int
    each: int
    offset_bytes: int
    page: int

    def super_block(
        self, address: int, first: int, blocks: int, size: int, count: int
    ) -> Iterator[Longs]:
        """Elements below a block of so many blocks. size: elements of one. count: of all."""
        if address == UNDEFINED:
            return
        at = 14 + self.offset_bytes
        pages = size // self.page if size > self.page else 0
        bitmap = blocks * -(-pages // 8)
        data = self.reader.read(address, at + bitmap + 8 * blocks, b"EASB")
        bits = np.unpackbits(np.frombuffer(data[at : at + bitmap], np.uint8))
        for i in range(blocks):
            if first >= count:
                return
            made = bits[i * pages : (i + 1) * pages].tobytes()
            place = uint(data, at + bitmap + 8 * i)
            yield from self.block(place, first, size, made)
            first += size

    def block(self, address: int, first: int, size: int, made: bytes) -> Iterator[Longs]:
        """Elements of a block. made: of each of its pages, whether it was written."""
        if address == UNDEFINED:
            return
        at = 14 + self.offset_bytes
        self.reader.read(address, at, b"EADB")
        if size <= self.page:
            data = self.reader.read(address + at, self.each * size)
            yield from _elements(self.reader, data, self.each, first, self.grid, self.axis)
            return
        at += 4
        for i, is_made in enumerate(made):
            if is_made:
                place = address + at + i * (self.each * self.page + 4)
                data = self.reader.read(place, self.each * self.page)
                yield from _elements(
                    self.reader, data, self.each, first + i * self.page, self.grid, self.axis
                )


def _in_tree(reader: Reader, address: int, grid: _Grid) -> Iterator[Longs]:
    """Chunks that a B-tree of version 2 lists."""
    axes = len(grid.edges)
    for each, listed in records(reader, address, _CHUNK_RECORDS):
        size_bytes = each - 12 - 8 * axes if grid.filtered else 0
        if each != 8 + (size_bytes + 4) * grid.filtered + 8 * axes or not 0 <= size_bytes <= 8:
            raise Damaged
        table = np.frombuffer(listed, np.uint8).reshape(-1, each)
        at = _uints(table[:, :8])
        size, skipped = np.full_like(at, grid.chunk_bytes), np.zeros_like(at)
        if grid.filtered:
            size = _uints(table[:, 8 : 8 + size_bytes])
            skipped = _uints(table[:, 8 + size_bytes : 12 + size_bytes])
        starts = range(each - 8 * axes, each, 8)
        places = np.stack([_uints(table[:, start : start + 8]) for start in starts], 1)
        yield _rows(at, size, skipped, places)


_FOUND = {
    _IMPLICIT: _implicit,
    _FIXED_ARRAY: _fixed_array,
    _EXTENSIBLE_ARRAY: _extensible_array,
    _TREE: _in_tree,
}
