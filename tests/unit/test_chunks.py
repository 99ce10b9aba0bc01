"""Arrays in chunks: content and recipe give the same bytes again, also by what FORMAT.md says."""

import time
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seec.pipeline.containers.chunks import (
    CHECKED,
    SHUFFLED,
    ZLIB,
    Chunks,
    Grid,
    Stored,
    fletcher,
    taken_apart,
)
from seec.pipeline.containers.numbers import number, numbers
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.archives.plain_spliced import zlib_stream
from tests.plain_packings import chunks as plain_chunks

MIB = 1 << 20


def chunk_of(array: NDArray[Any], grid: Grid, place: int, beyond: int) -> NDArray[np.uint8]:
    """With a number beyond the array."""
    number_ = np.array([beyond], f"<u{grid.number_bytes}")
    chunk = np.resize(number_.view(np.uint8), grid.chunk_bytes).reshape(grid.edges).copy()
    covered = array[grid.box(place)]
    chunk[tuple(slice(0, size) for size in covered.shape)] = covered
    return chunk


def packed(chunk: NDArray[np.uint8], flags: int, number_bytes: int) -> bytes:
    """As HDF5 writes it."""
    if flags & SHUFFLED:
        chunk = chunk.reshape(-1, number_bytes).T
    made = zlib.compress(chunk.tobytes(), 6) if flags & ZLIB else chunk.tobytes()
    return made + fletcher(made) if flags & CHECKED else made


def stored(
    seed: int, *, own: bool = False
) -> tuple[bytes, list[Grid], list[Stored], list[NDArray[np.uint8]]]:
    """A file of two arrays in chunks. own: numbers beyond the arrays are not all the same."""
    rng = np.random.default_rng(seed)
    data, grids, arrays = rng.bytes(9), [], []
    todo: list[tuple[int, int]] = []
    for which in range(2):
        number_bytes = int(rng.choice([1, 2, 4]))
        edges = (*(int(edge) for edge in rng.integers(1, 6, 2)), 5 * number_bytes)
        sizes = (*(int(size) for size in rng.integers(3, 14, 2)), 12 * number_bytes)
        grids.append(Grid(sizes, edges, number_bytes))
        arrays.append(rng.integers(0, 4, sizes, np.uint8))
        todo += [(which, place) for place in range(int(np.prod(grids[-1].counts)))]
    chunks: list[Stored] = []
    for which, place in (todo[i] for i in rng.permutation(len(todo))):
        flags = int(rng.choice([0, ZLIB, ZLIB | SHUFFLED, CHECKED, SHUFFLED, 11]))
        beyond = int(rng.integers(0, 200)) if own else 77 + which
        chunk = chunk_of(arrays[which], grids[which], place, beyond)
        made = packed(chunk, flags, grids[which].number_bytes)
        data += rng.bytes(int(rng.integers(0, 3)))
        chunks.append(Stored(len(data), len(made), which, place, flags))
        data += made
    return data + rng.bytes(5), grids, chunks, arrays


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_arrays_are_put_together_and_cut_again(seed: int, own: bool):
    data, grids, chunks, arrays = stored(seed, own=own)
    made = taken_apart(data, grids, chunks)
    assert made is not None
    content, recipe = made
    assert content.startswith(b"".join(array.tobytes() for array in arrays))
    assert Chunks().packed_size(len(content), recipe) == len(data)
    assert Chunks().pack(content, recipe) == data
    assert plain_chunks(content, recipe, zlib_stream) == data
    assert own or len(content) < sum(array.size for array in arrays) + 4 * len(chunks) + 9


def test_what_is_damaged_stays_as_it_is():
    data, grids, chunks, _ = stored(3)
    bad = bytearray(data)
    rng = np.random.default_rng(0)
    for one in chunks[::3]:
        bad[one.start + int(rng.integers(0, one.size_bytes))] ^= 255
    made = taken_apart(bytes(bad), grids, chunks)
    assert made is not None
    assert Chunks().pack(*made) == bad
    nonsense = rng.bytes(len(data))
    assert taken_apart(nonsense, grids, [one for one in chunks if one.flags & ZLIB]) is None


def test_only_an_index_tells_where_chunks_are():
    with pytest.raises(UnreadableImage):
        Chunks().unpack(b"chunks", 100)


def test_checksums_are_those_of_hdf5():
    assert fletcher(b"") == bytes(4)
    assert fletcher(bytes(9)) == bytes(4)
    assert fletcher(b"\xff\xff" * 1000) == b"\xff\xff\xff\xff"
    assert fletcher(b"\1\2\3") == bytes([2, 4, 4, 5])


def test_changed_recipes_are_errors_of_ours():
    data, grids, chunks, _ = stored(1, own=True)
    made = taken_apart(data, grids, chunks)
    assert made is not None
    content, recipe = made
    rng = np.random.default_rng(2)
    for trial in range(400):
        bad = bytearray(recipe)
        for _ in range(1 + trial % 3):
            bad[int(rng.integers(0, min(len(bad), 40 if trial % 2 else 10_000)))] = int(
                rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))])
            )
        less = int(rng.integers(len(content))) if trial % 7 == 0 else len(content)
        with suppress(SectionCorrupt):
            Chunks().pack(content[:less], bytes(bad))
    for length in range(0, len(recipe), 5):
        with pytest.raises(SectionCorrupt):
            Chunks().pack(content, recipe[:length])


def of(size: int, grids: list[tuple[int, ...]], chunks: list[tuple[int, ...]]) -> bytes:
    """A recipe. grids: axes, sizes, edges, bytes of a number."""
    made = numbers(size, len(grids))
    made += b"".join(numbers(*grid) + bytes(min(grid[-1], 99)) for grid in grids)
    return made + numbers(len(chunks)) + b"".join(numbers(*one) for one in chunks)


@pytest.mark.parametrize(
    "recipe",
    [
        of(1 << 60, [(1, 1, 1 << 50, 1)], [(0, 0, 0, 0, 0)]),  # a chunk of a petabyte
        of(1 << 60, [(1, 1, 1 << 25, 1)], [(0, 0, i > 0, 0, 0) for i in range(10_000)]),
        of(1 << 60, [(2, 1 << 40, 1 << 40, 1, 1, 1)], [(0, 0, 0, 0, 0)]),
        of(9, [(1, 4, 1, 1)] * 100_000, []),
        of(9, [(40, *([1] * 80), 1)], []),
        of(9, [(1, 0, 1, 1)], []),
        of(9, [(1, 4, 3, 2)], []),
        of(9, [(1, 4, 4, 1)], [(0, 1, 0, 0, 0)]),
        of(9, [(1, 4, 4, 1)], [(0, 0, 2, 0, 0)]),
        of(9, [(1, 4, 4, 1)], [(0, 0, 0, 16, 0)]),
        of(9, [(1, 4, 4, 1)], [(1 << 62, 0, 0, 0, 0)]),
        of(9, [(1, 3, 4, 1)], [(99, 0, 0, 4, 0)]),
        of(9, [(1, 4, 4, 1)], [(0, 0, 0, 1, 1 << 62)]),
        b"\xff" * 100,
    ],
)
def test_recipes_that_cannot_be_are_refused_soon(recipe: bytes):
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(SectionCorrupt):
            Chunks().pack(b"x" * 100, recipe)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 * MIB
    assert time.process_time() - start < 5


def test_numbers_come_back():
    values = [0, 1, 127, 128, 1 << 32, (1 << 63) - 1]
    data, at = numbers(*values), 0
    for value in values:
        found, at = number(data, at)
        assert found == value
    with pytest.raises(IndexError):
        number(b"\x80" * 12, 0)
