"""Packing `chunks`: arrays that are cut into chunks of one size, each compressed by itself.

The content is the arrays, one behind the other, each as a whole and in the order of its axes; then
the rest: all bytes that are in no chunk. Chunks at the end of an axis have their full size in the
file. What they hold beyond their array is one number again and again, or in the rest.

Recipe: numbers of LEB128, and what bytes are said to be.

- how many bytes the packed ones are; how many arrays there are;
- for each array: how many axes; the size of each, the slowest first, the last one in bytes; the
  sizes of the axes of a chunk, likewise; how many bytes a number has; a number that stands beyond
  the array;
- how many chunks there are; for each, in their order: bytes of the rest before it; its array; where
  it is in the array (see `_steps`); flags, see below; how many bytes its recipe has;
- the recipes of all chunks.

Flags: 1 for a zlib stream, with the recipe of `deflate.Zlib`; 2 if before that the first bytes of
all numbers came first, then the second ones; 4 if what is beyond the array is in the rest; 8 if
the checksum of Fletcher that HDF5 writes is behind the chunk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.containers.numbers import number, numbers
from seec.pipeline.deflate import Alike, Zlib
from seec.schemas.errors import SectionCorrupt, UnreadableImage

ZLIB, SHUFFLED, BEYOND, CHECKED = 1, 2, 4, 8
_KNOWN = ZLIB | SHUFFLED | BEYOND | CHECKED
MOST_CHUNKS, MOST_GRIDS = 1 << 20, 1 << 12
_MOST_AXES, _MOST_NUMBER_BYTES = 32, 64
_CHECK_BYTES = 4
# All chunks together, with what is beyond their arrays: so many times the content, and more.
_FACTOR, _MORE_BYTES = 4, 64 << 20

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Grid:
    """An array, and how it is cut. sizes, edges: of it and of a chunk; the last axes in bytes.

    number_bytes: of a number. beyond: a number; nothing for zeros.
    """

    sizes: tuple[int, ...]
    edges: tuple[int, ...]
    number_bytes: int
    beyond: bytes = b""

    @cached_property
    def size_bytes(self) -> int:
        """Of the array."""
        return prod(self.sizes)

    @cached_property
    def chunk_bytes(self) -> int:
        """Of a chunk, with what is beyond the array."""
        return prod(self.edges)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many chunks lie along each axis."""
        return tuple(-(-size // edge) for size, edge in zip(self.sizes, self.edges, strict=True))

    def box(self, place: int) -> tuple[slice, ...]:
        """What a chunk covers of the array. place: below the product of `counts`."""
        box: list[slice] = []
        each = zip(self.sizes, self.edges, self.counts, strict=True)
        for size, edge, count in reversed([*each]):
            place, along = divmod(place, count)
            box.append(slice(along * edge, min(size, (along + 1) * edge)))
        return tuple(reversed(box))

    def filled(self) -> Bytes:
        """A chunk that is beyond the array as a whole."""
        if not self.beyond:
            return np.zeros(self.edges, np.uint8)
        whole = np.frombuffer(self.beyond, np.uint8)
        return np.resize(whole, self.chunk_bytes).reshape(self.edges)


@dataclass(frozen=True)
class Stored:
    """A chunk in a file. start, size_bytes: of it with its checksum. grid: which one it is of.

    place: in the grid, the last axis fastest. flags: without BEYOND.
    """

    start: int
    size_bytes: int
    grid: int
    place: int
    flags: int

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return self.start + self.size_bytes


@dataclass(frozen=True)
class _Part:
    """A chunk of the recipe. gap: bytes of the rest before it."""

    gap: int
    grid: int
    place: int
    flags: int
    recipe: bytes


class Chunks:
    """As `packings.Packing`."""

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Raises UnreadableImage: only an index tells where which chunk is."""
        raise UnreadableImage("chunks that do not tell which they are")

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """As `Packing.pack`."""
        try:
            size, grids, parts = _parsed(recipe)
        except IndexError:
            raise SectionCorrupt("a recipe of chunks that is cut short") from None
        arrays: list[Bytes] = []
        at = 0
        for grid in grids:
            if grid.size_bytes > len(content) - at:
                raise SectionCorrupt("a recipe of larger arrays than there are")
            array = np.frombuffer(content, np.uint8, grid.size_bytes, at)
            arrays.append(array.reshape(grid.sizes))
            at += grid.size_bytes
        if sum(grids[part.grid].chunk_bytes for part in parts) > most_bytes(len(content)):
            raise SectionCorrupt("a recipe of more chunks than there are")
        out: list[bytes | memoryview] = []
        rest, made = memoryview(content), 0
        for part in parts:
            grid = grids[part.grid]
            chunk, taken = _chunk(arrays[part.grid], grid, part, rest[at + part.gap :])
            out += (rest[at : at + part.gap], _encoded(chunk, grid, part))
            at += part.gap + taken
            made += part.gap + len(out[-1])
            if at > len(content) or made > size:
                raise SectionCorrupt("a recipe of chunks with more between them than there is")
        out.append(rest[at:])
        if made + len(rest) - at != size:
            raise SectionCorrupt("a recipe of chunks of another size")
        return b"".join(out)

    def packed_size(self, size_bytes: int, recipe: bytes) -> int:
        """As `Headed.packed_size`."""
        del size_bytes
        try:
            return number(recipe, 0)[0]
        except IndexError:
            raise SectionCorrupt("a recipe of chunks that is cut short") from None


def most_bytes(content_bytes: int) -> int:
    """Of all chunks of a content, with what is beyond their arrays."""
    return _FACTOR * content_bytes + _MORE_BYTES


def taken_apart(
    data: bytes, grids: Sequence[Grid], chunks: Sequence[Stored]
) -> tuple[bytes, bytes] | None:
    """Content and recipe of bytes that hold chunks; None if none is as it should be.

    grids: `beyond` is not yet known; at most MOST_GRIDS. chunks: at most MOST_CHUNKS, in their
    order in the data, without overlaps, no place twice. What is damaged, or cannot be compressed
    again to the same bytes, stays in the rest.
    """
    arrays = [np.zeros(grid.sizes, np.uint8) for grid in grids]
    known = list(grids)
    streams = Alike()
    parts: list[_Part] = []
    rest: list[bytes] = []
    end = 0
    for one in chunks:
        grid = known[one.grid]
        found = _decoded(data[one.start : one.end], grid, one.flags, streams)
        if found is None:
            continue
        plain, flags, recipe, size = found
        chunk = np.frombuffer(plain, np.uint8).reshape(grid.edges)
        box = grid.box(one.place)
        inside = tuple(slice(0, part.stop - part.start) for part in box)
        arrays[one.grid][box] = chunk[inside]
        kept = b""
        if chunk[inside].shape != chunk.shape:
            if not grid.beyond:
                grid = known[one.grid] = replace(grid, beyond=plain[-grid.number_bytes :])
            filled = grid.filled()
            filled[inside] = chunk[inside]
            if not np.array_equal(filled, chunk):
                kept = chunk[_outside(grid, inside)].tobytes()
                flags |= BEYOND
        parts.append(_Part(one.start - end, one.grid, one.place, flags, recipe))
        rest += (data[end : one.start], kept)
        end = one.start + size
    if not parts:
        return None
    content = b"".join((*(array.data for array in arrays), *rest, data[end:]))
    return content, _serialised(len(data), known, parts)


def fletcher(data: bytes) -> bytes:
    """The checksum that HDF5 writes behind a chunk."""
    words = np.frombuffer(data + bytes(len(data) % 2), ">u2").astype(np.int64)
    weights = np.arange(len(words), 0, -1, dtype=np.int64) % 65535
    sums = (int(words.sum()), int((weights * words % 65535).sum()))
    low, high = ((total - 1) % 65535 + 1 if words.any() else 0 for total in sums)
    return (high << 16 | low).to_bytes(_CHECK_BYTES, "little")


def _outside(grid: Grid, inside: tuple[slice, ...]) -> NDArray[np.bool_]:
    """Which bytes of a chunk are beyond the array."""
    outside = np.ones(grid.edges, np.bool_)
    outside[inside] = False
    return outside


def _chunk(array: Bytes, grid: Grid, part: _Part, rest: memoryview) -> tuple[Bytes, int]:
    """The bytes of a chunk, and how many of them are in the rest."""
    covered = array[grid.box(part.place)]
    if covered.shape == grid.edges:
        return covered, 0
    inside = tuple(slice(0, size) for size in covered.shape)
    chunk, count = grid.filled(), 0
    chunk[inside] = covered
    if part.flags & BEYOND:
        count = grid.chunk_bytes - covered.size
        if count > len(rest):
            raise SectionCorrupt("a recipe of chunks that lead beyond what there is")
        chunk[_outside(grid, inside)] = np.frombuffer(rest[:count], np.uint8)
    return chunk, count


def _encoded(chunk: Bytes, grid: Grid, part: _Part) -> bytes:
    """A chunk as it is in the file."""
    if part.flags & SHUFFLED:
        chunk = chunk.reshape(-1, grid.number_bytes).T
    plain = chunk.tobytes()
    made = Zlib().pack(plain, part.recipe) if part.flags & ZLIB else plain
    return made + fletcher(made) if part.flags & CHECKED else made


def _decoded(
    data: bytes, grid: Grid, flags: int, streams: Alike
) -> tuple[bytes, int, bytes, int] | None:
    """Of a chunk in the file: its bytes, flags, recipe, and how many bytes these stand for."""
    recipe = b""
    if flags & CHECKED:
        data, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        flags -= 0 if fletcher(data) == check else CHECKED
    plain = data
    if flags & ZLIB:
        try:
            plain, recipe = streams.unpack(data, grid.chunk_bytes)
        except UnreadableImage:
            return None
    if len(plain) != grid.chunk_bytes:
        return None
    if flags & SHUFFLED:
        numbers_ = np.frombuffer(plain, np.uint8).reshape(grid.number_bytes, -1)
        plain = numbers_.T.tobytes()
    return plain, flags, recipe, len(data) + (_CHECK_BYTES if flags & CHECKED else 0)


def _serialised(size: int, grids: Sequence[Grid], parts: Sequence[_Part]) -> bytes:
    """The recipe."""
    made = [numbers(size, len(grids))]
    for grid in grids:
        beyond = grid.beyond or bytes(grid.number_bytes)
        made += (numbers(len(grid.sizes), *grid.sizes, *grid.edges, grid.number_bytes), beyond)
    made.append(numbers(len(parts)))
    steps = _steps((part.grid, part.place) for part in parts)
    for part, step in zip(parts, steps, strict=True):
        made.append(numbers(part.gap, part.grid, step, part.flags, len(part.recipe)))
    return b"".join((*made, *(part.recipe for part in parts)))


def _parsed(recipe: bytes) -> tuple[int, list[Grid], list[_Part]]:
    """Size of the packed bytes, arrays and chunks. IndexError if the recipe is cut short."""
    (size, count), at = _numbers(recipe, 0, 2)
    if count > MOST_GRIDS:
        raise SectionCorrupt("a recipe of too many arrays")
    grids: list[Grid] = []
    for _ in range(count):
        grid, at = _grid(recipe, at)
        grids.append(grid)
    (count,), at = _numbers(recipe, at, 1)
    if count > MOST_CHUNKS:
        raise SectionCorrupt("a recipe of too many chunks")
    listed: list[list[int]] = []
    for _ in range(count):
        fields, at = _numbers(recipe, at, 5)
        listed.append(fields)
    parts: list[_Part] = []
    last = [-1] * len(grids)
    for gap, grid, step, flags, length in listed:
        if grid >= len(grids) or flags & ~_KNOWN:
            raise SectionCorrupt("a recipe of chunks that cannot be")
        place = last[grid] + 1 + (step // 2 if step % 2 == 0 else -(step + 1) // 2)
        if not 0 <= place < prod(grids[grid].counts) or length > len(recipe) - at:
            raise SectionCorrupt("a recipe of chunks that are nowhere")
        last[grid] = place
        parts.append(_Part(gap, grid, place, flags, recipe[at : at + length]))
        at += length
    return size, grids, parts


def _numbers(recipe: bytes, at: int, count: int) -> tuple[list[int], int]:
    """So many numbers, and where they end."""
    found: list[int] = []
    for _ in range(count):
        one, at = number(recipe, at)
        found.append(one)
    return found, at


def _grid(recipe: bytes, at: int) -> tuple[Grid, int]:
    """An array of the recipe, and where it ends."""
    (axes,), at = _numbers(recipe, at, 1)
    if not 1 <= axes <= _MOST_AXES:
        raise SectionCorrupt("a recipe of arrays with too many axes")
    sizes, at = _numbers(recipe, at, 2 * axes)
    (number_bytes,), at = _numbers(recipe, at, 1)
    beyond = recipe[at : at + number_bytes]
    grid = Grid(tuple(sizes[:axes]), tuple(sizes[axes:]), number_bytes, beyond)
    if (
        min(sizes) < 1
        or not 1 <= number_bytes <= _MOST_NUMBER_BYTES
        or len(beyond) < number_bytes
        or grid.edges[-1] % number_bytes
    ):
        raise SectionCorrupt("a recipe of arrays that cannot be")
    return grid, at + number_bytes


def _steps(places: Iterator[tuple[int, int]]) -> Iterator[int]:
    """Where chunks are, by where they are expected: next to the last one of the same array.

    n places behind that is 2n, n places before it 2n - 1.
    """
    last: dict[int, int] = {}
    for grid, place in places:
        ahead = place - last.get(grid, -1) - 1
        last[grid] = place
        yield 2 * ahead if ahead >= 0 else -2 * ahead - 1
