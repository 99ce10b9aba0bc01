"""Arrays in HDF5 files become small TIFF files, whatever way the library keeps them."""

import io
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from seec.pipeline.containers import Held, chunks, cut, find, is_container, runs
from seec.pipeline.images.files import read_image
from tests.containers import found, in_pieces, leaves
from tests.instruments import DEEP, FLOATS, RGB
from tests.jpegs import jpeg
from tests.pictures import textured

STACK = np.stack([np.roll(DEEP, i, axis=1) for i in range(20)])
COLOURS = np.stack([np.roll(RGB, i, axis=1) for i in range(20)])
LARGE = np.stack([np.roll(textured(260, 256)[:, :, 0], i) for i in range(4)]).astype(np.int16)


def written(
    fill: Callable[[h5py.File], Any], libver: Any = "earliest", userblock: int = 0
) -> bytes:
    sink = io.BytesIO()
    with h5py.File(sink, "w", libver=libver, userblock_size=userblock) as file:
        fill(file)
    return sink.getvalue()


def one(array: NDArray[Any], **options: Any) -> Callable[[h5py.File], Any]:
    return lambda file: file.create_dataset("a/b/images", data=array, **options)


LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunks": {"chunks": (1, 60, 74)},
    "deflate": {"chunks": (1, 60, 74), "compression": 4},
    "shuffled": {"chunks": (2, 60, 74), "compression": 9, "shuffle": True},
    "checksums": {"chunks": (1, 60, 74), "compression": 1, "fletcher32": True},
    "only checksums": {"chunks": (1, 60, 74), "fletcher32": True},
    "parts of images": {"chunks": (5, 16, 32), "compression": 4, "shuffle": True},
    "parts that grow": {"chunks": (5, 16, 32), "compression": 1, "maxshape": (None, 60, 74)},
    "parts that grow far": {"chunks": (5, 16, 32), "fletcher32": True, "maxshape": (None,) * 3},
}
_MARKS = (b"TREE", b"SNOD", b"HEAP", b"OHDR", b"FADB", b"FAHD", b"FRHP", b"FHDB", b"FHIB", b"BTHD",
          b"BTLF", b"BTIN", b"EAHD", b"EAIB", b"EADB", b"EASB")  # fmt: skip
ARRAYS: dict[str, NDArray[Any]] = {
    "uint16": STACK,
    "big-endian": STACK.astype(">i2"),
    "float32": STACK.astype(np.float32) / 7,
    "float64": STACK.astype(np.float64) / 7,
    "float16": (STACK / 7).astype(np.float16),
    "int64": STACK.astype(np.int64),
    "uint8": (STACK >> 8).astype(np.uint8),
    "bool": STACK % 3 == 0,
}


def numbers(images: list[tuple[str | None, bytes]]) -> int:
    """How many bytes of samples."""
    return sum(raster.samples.nbytes for _, image in images for raster in read_image(image).rasters)


@pytest.mark.parametrize("libver", ["earliest", "v108", "v110", "latest"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_is_found_however_the_library_keeps_it(layout: str, libver: str):
    data = written(one(STACK, **LAYOUTS[layout]), libver)
    assert is_container(data[:4096])
    images = found(data)
    assert numbers(images) >= STACK.nbytes
    assert all(str(name).startswith("a/b/images") for name, _ in images)
    in_pieces(data, 10_000)  # which compares


@pytest.mark.parametrize("layout", ["contiguous", "deflate", "shuffled"])
@pytest.mark.parametrize("name", ARRAYS)
def test_numbers_of_all_types_are_found(name: str, layout: str):
    array = ARRAYS[name]
    images = found(written(one(array, **LAYOUTS[layout])))
    assert numbers(images) == array.nbytes
    assert not images or all(raster.samples.any() for raster in read_image(images[0][1]).rasters)


def test_the_samples_are_those_of_the_array():
    for options in ({}, LAYOUTS["shuffled"]):
        [(_, image)] = found(written(one(STACK, **options)))
        both = [raster.samples for raster in read_image(image).rasters]
        assert np.array_equal(np.concatenate(both).reshape(STACK.shape), STACK)
    [(_, image)] = found(written(one(COLOURS, chunks=(1, 60, 74, 3), compression=4)))
    (raster,) = read_image(image).rasters
    assert np.array_equal(raster.samples.reshape(COLOURS.shape), COLOURS)


def test_large_slices_are_rasters_of_their_own():
    for options in ({}, {"chunks": (1, 260, 256), "compression": 4}):
        [(_, image)] = found(written(one(LARGE, **options)))
        assert len(read_image(image).rasters) == len(LARGE)


def arrays_of(data: bytes) -> dict[str, NDArray[np.uint8]]:
    """Bytes of all samples of what is put together of chunks, by the name of the array."""
    parts: dict[str, list[NDArray[np.uint8]]] = {}
    for span in find(data, 0, Held(data)):
        if span.packing == "chunks":
            for name, image in leaves(span.content or b"", span.members):
                stem = str(name).split("@")[0].rsplit("-", 1)[0]
                rasters = read_image(image).rasters
                parts.setdefault(stem, []).extend(one.samples.reshape(-1) for one in rasters)
    return {name: np.concatenate(each) for name, each in parts.items()}


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("chunks", [(7, 16, 16, 1), (20, 9, 74, 3), (1, 60, 10, 3), (3, 9, 5, 2)])
def test_images_in_many_chunks_are_put_together(chunks: tuple[int, ...], libver: str):
    for options in ({}, {"compression": 4}, {"compression": 9, "fletcher32": True}):
        data = written(one(COLOURS, chunks=chunks, **options), libver)
        assert found(data)
        assert np.array_equal(arrays_of(data)["a/b/images"], COLOURS.reshape(-1))


def test_runs_that_would_not_come_back_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch):
    def lying(*given: Any) -> tuple[bytes, bytes]:
        content, recipe = chunks.taken_apart(*given) or (b"", b"")
        return content[:-1] + bytes([content[-1] ^ 1]), recipe

    data = written(one(COLOURS, chunks=(5, 16, 16, 1), compression=4))
    assert arrays_of(data)
    monkeypatch.setattr(runs, "taken_apart", lying)
    assert not arrays_of(data)


def test_members_have_the_end_of_a_long_name():
    path = "/".join([*(f"{i}" * 200 for i in range(9)), "images"])
    data = written(lambda file: file.create_dataset(path, data=LARGE))
    assert [name for name, _ in found(data)] == [f"{path[-255:]}-0@{data.index(LARGE)}.tif"]


def test_members_are_named_by_their_first_image(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runs, "_RUN_SAMPLES", 5 * COLOURS[0].size)
    data = written(one(COLOURS, chunks=(5, 16, 16, 1), compression=4))
    names = [f"a/b/images-{i}@0.tif" for i in (0, 5, 10, 15)]
    assert [name for name, _ in found(data)] == names
    assert [name for name, _ in in_pieces(data, 1)] == names


@pytest.mark.parametrize("seed", range(6))
def test_chunks_in_any_order_are_put_together(seed: int, monkeypatch: pytest.MonkeyPatch):
    """Two arrays, some of whose chunks come late, were never written, or have other filters."""
    monkeypatch.setattr(runs, "_RUN_SAMPLES", 6 * COLOURS[0].size)
    rng = np.random.default_rng(seed)

    def fill(file: h5py.File) -> None:
        how = {"chunks": (5, 16, 16, 1), "compression": 4, "maxshape": (None, 60, 74, 3)}
        both = [file.create_dataset(name, COLOURS.shape, "u1", fillvalue=9, **how)
                for name in ("one", "other")]  # fmt: skip
        for place in rng.permutation(4 * 4 * 5 * 3):
            first, y, x, colour = (int(i) for i in np.unravel_index(place, (4, 4, 5, 3)))
            box = (slice(5 * first, 5 * first + 5), slice(16 * y, 16 * y + 16),
                   slice(16 * x, 16 * x + 16), slice(colour, colour + 1))  # fmt: skip
            if rng.random() < 0.05:
                continue
            if rng.random() < 0.1:
                chunk = np.full((5, 16, 16, 1), rng.integers(200), np.uint8)
                corner = (5 * first, 16 * y, 16 * x, colour)
                both[0].id.write_direct_chunk(corner, chunk.tobytes(), filter_mask=1)
            else:
                both[int(rng.random() < 0.3)][box] = COLOURS[box]
                file.flush()

    data = written(fill, ("earliest", "latest")[seed % 2])
    images = found(data)
    assert numbers(images) > 0.8 * COLOURS.size
    in_pieces(data, 20_000)


def test_a_few_chunks_of_a_large_array_are_kept_alone():
    def fill(file: h5py.File) -> None:
        shape, chunks = (1 << 30, 640, 640, 3), (8, 64, 64, 1)
        how: dict[str, Any] = {"chunks": chunks, "maxshape": (None, *shape[1:]), "compression": 1}
        vast = file.create_dataset("vast", shape, "u1", **how)
        for i in range(4):
            vast[1000 * i : 1000 * i + 4, :60, :70, 1] = COLOURS[i : i + 4, :, :70, 0]

    for libver in ("earliest", "latest"):
        data = written(fill, libver)
        images = found(data)
        assert all("-chunk-" in str(name) for name, _ in images)
        assert numbers(images) == 4 * 2 * 8 * 64 * 64


def test_numbers_beyond_an_array_come_back():
    def fill(file: h5py.File) -> None:
        how: dict[str, Any] = {"chunks": (9, 25, 25), "maxshape": (None,) * 3, "compression": 3}
        kept = file.create_dataset("kept", data=STACK, fillvalue=7, **how)
        kept.resize((17, 40, 60))
        file.create_dataset("floats", data=STACK / 7, fillvalue=np.nan, **how)
        odd = file.create_dataset("odd", data=STACK, **how)
        noise = np.random.default_rng(0).bytes(9 * 25 * 25 * 2)
        odd.id.write_direct_chunk((18, 50, 50), zlib.compress(noise))

    data = written(fill, "latest")
    assert found(data)
    assert np.array_equal(arrays_of(data)["kept"].view(np.uint16), STACK[:17, :40, :60].reshape(-1))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_all_datasets_of_many_groups_are_found(libver: str):
    def fill(file: h5py.File) -> None:
        for i in range(40):
            for j in range(3):
                file.create_dataset(f"group {i}/image {j}", data=STACK[j] + i)
        file["again"] = file["group 3/image 1"]
        file["soft"] = h5py.SoftLink("/group 1/image 1")
        file.attrs["about"] = "x" * 3000

    for userblock in (0, 1024):
        data = written(fill, libver, userblock)
        assert numbers(found(data)) == 120 * DEEP.nbytes


def test_files_within_it_are_found_beside_its_arrays():
    picture = jpeg()

    def fill(file: h5py.File) -> None:
        file.create_dataset("stack", data=STACK)
        kind = h5py.vlen_dtype(np.uint8)
        rows = file.create_dataset("files", (3,), dtype=kind)
        for i in range(3):
            rows[i] = np.frombuffer(picture, np.uint8)

    data = written(fill)
    images = found(data)
    assert [image for _, image in images].count(picture) == 3
    assert len(images) > 3
    for position in range(1000, len(data), 5000):
        place = cut(Held(data), position)
        spans = [span for span in find(data, 0, Held(data)) if span.packing is None]
        assert not any(span.start < place < span.end for span in spans)


def test_what_has_no_pictures_is_left_as_it_is():
    def fill(file: h5py.File) -> None:
        file.create_dataset("one axis", data=np.arange(9999))
        file.create_dataset("text", data=["a" * 900] * 9)
        file.create_dataset("pairs", data=np.zeros((999, 2)))
        file.create_dataset("lzf", data=STACK, compression="lzf")
        file.create_dataset("empty", shape=(9, 99, 99), chunks=(1, 99, 99), dtype="f4")
        file.create_dataset("nothing", data=h5py.Empty("f4"))
        kind = np.dtype([("a", "u2"), ("b", "f4")])
        file.create_dataset("records", data=np.zeros((99, 99), kind))
        file["floats"] = FLOATS

    assert numbers(found(written(fill))) == FLOATS.nbytes


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
def test_damaged_files_come_back_all_the_same(libver: str):
    def fill(file: h5py.File) -> None:
        for i, options in enumerate(LAYOUTS.values()):
            file.create_dataset(f"group {i % 2}/{i}", data=STACK[:5], **options)
        for i in range(40):
            file.create_dataset(f"many/{i}", data=STACK[0])

    data, rng = written(fill, libver), np.random.default_rng(1)
    places = [at for mark in _MARKS
              for at in range(len(data)) if data.startswith(mark, at)]  # fmt: skip
    for trial in range(200):
        bad = bytearray(data)
        near = [int(rng.choice(places)) + int(rng.integers(0, 80)) if places and trial % 2 else
                int(rng.integers(0, len(data))) for _ in range(4)]  # fmt: skip
        for at in near:
            bad[at % len(data)] = int(rng.choice([0, 1, 255, int(rng.integers(256))]))
        found(bytes(bad[: int(rng.integers(100, len(bad)))] if trial % 5 == 0 else bad))


def test_trees_that_lead_back_to_themselves_have_an_end():
    data = bytearray(written(one(STACK, **LAYOUTS["deflate"])))
    at = data.find(b"TREE")
    while at >= 0:
        kind, rank = data[at + 4], 4
        key = 8 if kind == 0 else 8 + 8 * rank
        data[at + 5], data[at + 6] = 1, 2
        for i in range(2):
            place = at + 24 + key + i * (key + 8)
            data[place : place + 8] = at.to_bytes(8, "little")
        at = data.find(b"TREE", at + 1)
    assert found(bytes(data)) == []
