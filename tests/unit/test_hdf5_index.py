"""All chunks and datasets of HDF5 files are found, whatever index the library gives them."""

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from seec.pipeline.images.formats import hdf5_reader
from seec.pipeline.images.formats.hdf5 import Dataset, datasets
from seec.pipeline.images.formats.hdf5_groups import symbols
from seec.pipeline.images.ranges import Held

VERSIONS = ("earliest", "v110", "v112", "latest")


def written(fill: Callable[[h5py.File], Any], libver: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    with h5py.File(sink, "w", libver=libver, **options) as file:
        fill(file)
    return sink.getvalue()


def values(data: bytes, dataset: Dataset) -> NDArray[Any]:
    """Of a dataset in chunks without filters, put together."""
    assert dataset.chunks is not None
    counts = [-(-size // edge) for size, edge in zip(dataset.sizes, dataset.edges, strict=True)]
    grid = [count * edge for count, edge in zip(counts, dataset.edges, strict=True)]
    whole = np.zeros(grid, f"u{dataset.type.size_bytes}")
    for at, size, place in zip(
        *(column.tolist() for column in (dataset.chunks.at, dataset.chunks.size_bytes)),
        dataset.chunks.places.tolist(),
        strict=True,
    ):
        box = tuple(
            slice(i * edge, (i + 1) * edge)
            for i, edge in zip(np.unravel_index(place, counts), dataset.edges, strict=True)
        )
        chunk = np.frombuffer(data, whole.dtype, size // whole.itemsize, at)
        whole[box] = chunk.reshape(dataset.edges)
    return whole[tuple(slice(0, size) for size in dataset.sizes)]


# Each kind of index, with pages, nodes and blocks below others where there may be.
INDEXES: dict[str, dict[str, Any]] = {
    "one chunk": {"shape": (30, 20), "chunks": (30, 20)},
    "fixed": {"shape": (30, 20), "chunks": (4, 7)},
    "fixed, larger": {"shape": (30, 20), "chunks": (4, 7), "maxshape": (30, 45)},
    "fixed, in pages": {"shape": (90, 100), "chunks": (3, 1), "maxshape": (300, 200)},
    "one axis grows": {"shape": (30, 20), "chunks": (4, 7), "maxshape": (None, 20)},
    "another axis grows": {"shape": (30, 20, 9), "chunks": (4, 7, 2), "maxshape": (30, None, 11)},
    "one axis grows far": {"shape": (90, 50), "chunks": (1, 1), "maxshape": (None, 50)},
    "two axes grow": {"shape": (30, 20), "chunks": (4, 7), "maxshape": (None, None)},
    "two axes grow far": {"shape": (90, 50), "chunks": (1, 1), "maxshape": (None, None)},
}


@pytest.mark.parametrize("libver", VERSIONS)
@pytest.mark.parametrize("name", INDEXES)
def test_chunks_are_where_the_library_has_them(name: str, libver: str):
    options = INDEXES[name]
    array = np.arange(np.prod(options["shape"]), dtype=np.uint16).reshape(options["shape"])

    def fill(file: h5py.File) -> None:
        file.create_dataset("plain", data=array, **options)
        file.create_dataset("masks", data=array, fletcher32=True, **options)
        some = file.create_dataset("some", dtype=array.dtype, **options)
        some[:9, 3:] = array[:9, 3:]

    data = written(fill, libver)
    found = {one.name: one for one in datasets(Held(data))}
    assert np.array_equal(values(data, found["plain"]), array)
    part = np.zeros_like(array)
    part[:9, 3:] = array[:9, 3:]
    assert np.array_equal(values(data, found["some"]), part)
    assert found["plain"].chunks is not None
    assert found["masks"].chunks is not None
    assert set(found["masks"].chunks.places) == set(found["plain"].chunks.places)
    sizes = found["masks"].chunks.size_bytes
    assert set(sizes.tolist()) == {int(np.prod(options["chunks"])) * 2 + 4}


@pytest.mark.parametrize("libver", VERSIONS)
def test_chunks_one_behind_the_other_are_found(libver: str):
    array = np.arange(600, dtype=np.uint16).reshape(30, 20)

    def fill(file: h5py.File) -> None:
        how: Any = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((4, 7))
        how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space: Any = h5py.h5s.create_simple(array.shape)
        kind: Any = h5py.h5t.py_create(array.dtype)
        made = h5py.Dataset(h5py.h5d.create(file.id, b"a", kind, space, dcpl=how))
        made[...] = array

    data = written(fill, libver)
    (found,) = datasets(Held(data))
    assert np.array_equal(values(data, found), array)


@pytest.mark.parametrize("libver", ["v110", "latest"])
def test_an_array_that_grows_very_far_is_kept_in_pages(libver: str):
    array = np.arange(200_000, dtype=np.uint32).reshape(-1, 1)
    options: dict[str, Any] = {"chunks": (1, 1), "maxshape": (None, 1)}

    def fill(file: h5py.File) -> None:
        dataset = file.create_dataset("plain", data=array[:140_000], **options)
        dataset.resize(200_000, 0)
        dataset[150_000:] = array[150_000:]

    data = written(fill, libver)
    (found,) = datasets(Held(data))
    array[140_000:150_000] = 0
    assert np.array_equal(values(data, found), array)


@pytest.mark.parametrize("seed", range(12))
def test_chunks_of_random_shapes_are_those_that_the_library_says(seed: int):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = tuple(int(size) for size in rng.integers(1, 30, rank))
    most = tuple(None if rng.random() < 0.3 else size + int(rng.integers(0, 20)) for size in shape)
    options: dict[str, Any] = {
        "chunks": tuple(int(rng.integers(1, size + 1)) for size in shape),
        "maxshape": shape if seed % 3 else most,
        "compression": int(rng.integers(1, 10)) if seed % 2 else None,
        "shuffle": seed % 4 == 1,
        "fletcher32": seed % 5 == 2,
    }
    array = rng.integers(0, 9, shape).astype(np.uint16)
    # The library names chunks of an array that grows along another axis than the first wrongly.
    named = [axis for axis, size in enumerate(options["maxshape"]) if size is None] in ([], [0])
    for libver in VERSIONS:
        data = written(lambda file: file.create_dataset("a", data=array, **options), libver)
        (found,) = datasets(Held(data))
        assert found.chunks is not None
        with h5py.File(io.BytesIO(data)) as file:
            handle: Any = file["a"]
            counts = [-(-size // edge) for size, edge in zip(shape, found.edges, strict=True)]
            stored = [
                handle.id.get_chunk_info_by_coord(
                    tuple(i * edge for i, edge in zip(place, found.edges, strict=True))
                )
                for place in np.ndindex(*counts)
            ]
        assert len(found.chunks.at) == len(stored)
        for at, size, skipped, place in zip(
            *(
                column.tolist()
                for column in (
                    found.chunks.at,
                    found.chunks.size_bytes,
                    found.chunks.skipped,
                    found.chunks.places,
                )
            ),
            strict=True,
        ):
            one = stored[place]
            if named or libver == "earliest":
                assert (at, size, skipped) == (one.byte_offset, one.size, one.filter_mask)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("libver", VERSIONS)
def test_large_groups_have_all_their_members(libver: str, ordered: bool):
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)

    def fill(file: h5py.File) -> None:
        group = file.create_group("train/images", track_order=ordered)
        for i in range(2500):
            group.create_dataset(f"{i:06}", data=image)
        for i in range(0, 2500, 3):
            del group[f"{i:06}"]
        group["a name that is rather long " * 9] = image
        group["elsewhere"] = h5py.SoftLink("/train")

    data = written(fill, libver)
    names = {one.name.removeprefix("train/images/") for one in datasets(Held(data))}
    expected = {f"{i:06}" for i in range(2500) if i % 3} | {"a name that is rather long " * 9}
    assert names == expected


def test_chunks_that_many_datasets_share_are_bounded(monkeypatch: pytest.MonkeyPatch):
    def fill(file: h5py.File) -> None:
        for i in range(9):
            file.create_dataset(f"{i}", data=np.ones((60, 50), "u1"), chunks=(1, 50))

    data = written(fill, "latest")
    assert [len(one.chunks.at) for one in datasets(Held(data)) if one.chunks] == [60] * 9
    # Beside the chunks a dataset takes some 20 steps.
    monkeypatch.setattr(hdf5_reader, "_MOST_STEPS", 400)
    assert sum(len(one.chunks.at) for one in datasets(Held(data)) if one.chunks) in range(60, 400)


def test_sizes_of_more_than_63_bits_are_passed_over():
    def fill(file: h5py.File) -> None:
        array = file.create_dataset("a", (70001, 70002, 70003), "u1", chunks=(65536, 1, 1))
        array.id.write_direct_chunk((0, 0, 0), bytes(65536))

    data = written(fill, "latest")
    assert [one.sizes for one in datasets(Held(data))] == [(70001, 70002, 70003)]
    edges = b"\0\0\1" + b"\1\0\0" * 3
    assert not list(datasets(Held(data.replace(edges, b"\xff" * 9 + edges[9:]))))
    whole_edges = data.replace(b"\4\2\0\4\3" + edges, b"\4\2\1\4\3" + edges)
    assert whole_edges != data
    large = whole_edges.replace((70001).to_bytes(8, "little"), b"\xff" * 8)
    assert not list(datasets(Held(large)))


def test_chunks_whose_end_would_be_negative_are_passed_over():
    def fill(file: h5py.File) -> None:
        array = np.arange(40 * 64, dtype="u1").reshape(40, 64)
        options = {"chunks": (4, 32), "maxshape": (None, None), "compression": 1}
        file.create_dataset("a", data=array, **options)

    data = bytearray(written(fill, "latest"))
    leaf = data.index(b"BTLF") + 6
    data[leaf + 8 : leaf + 16] = ((1 << 63) - 1).to_bytes(8, "little")
    (found,) = datasets(Held(bytes(data)))
    assert found.chunks is not None
    assert len(found.chunks.at) == 19
    assert all((found.chunks.at + found.chunks.size_bytes) > 0)


def test_long_names_that_many_links_share_are_bounded():
    """A symbol table whose tree lists one node of 8,000 links again and again."""
    count, nodes = 8000, 250
    data = bytearray(1 << 18)
    data[:32] = b"HEAP" + bytes(4) + struct.pack("<QQQ", 1 << 16, 0, 1 << 17)
    tree = b"TREE" + bytes(2) + struct.pack("<H", nodes) + bytes(16)
    tree += struct.pack("<QQ", 0, 1 << 18) * nodes
    data[4096 : 4096 + len(tree)] = tree
    data[1 << 17 : (1 << 17) + (1 << 16)] = b"\xff" * (1 << 16)
    data += b"SNOD" + bytes(2) + struct.pack("<H", count) + bytes(40) * count
    names: list[str] = []
    with suppress(hdf5_reader.Damaged):
        found = symbols(hdf5_reader.Reader(Held(bytes(data))), struct.pack("<QQ", 4096, 0))
        names.extend(name for name, _ in islice(found, 100_000))
    assert 1 << 20 < sum(map(len, names)) < 1 << 26
