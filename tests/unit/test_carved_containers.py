"""Images are found in the containers of other libraries, in which they are carved."""

import io
import random
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import img2pdf
import lmdb
import numpy as np
import pyarrow as pa
import pytest
import tifffile
from datasets import Dataset, Features, Image, disable_progress_bars
from PIL import Image as Pictures
from tfrecord.writer import TFRecordWriter
from warcio.warcwriter import WARCWriter

from seec.pipeline.containers import is_container
from tests.containers import found, in_pieces, named_pictures, pictures
from tests.jpegs import detailed, jpeg
from tests.pictures import textured

disable_progress_bars()


def images() -> list[bytes]:
    return [*pictures().values(), *(jpeg(textured(40 + i, 60)) for i in range(20))]


def tfrecord(folder: Path) -> bytes:
    path = folder / "a.tfrecord"
    writer = TFRecordWriter(str(path))
    for i, image in enumerate(images()):
        writer.write({"image": (image, "byte"), "label": (i, "int")})
    writer.close()
    return path.read_bytes()


def lmdb_file(folder: Path) -> bytes:
    with lmdb.open(str(folder / "a.lmdb"), map_size=1 << 24) as base, base.begin(write=True) as put:
        for i, image in enumerate(images()):
            put.put(f"{i:08}".encode(), image)
    return (folder / "a.lmdb" / "data.mdb").read_bytes()


def hdf5_of_variable_length(folder: Path) -> bytes:
    with h5py.File(folder / "a.h5", "w") as file:
        rows = file.create_dataset("images", (len(images()),), h5py.vlen_dtype(np.uint8))
        for i, image in enumerate(images()):
            rows[i] = np.frombuffer(image, np.uint8)
    return (folder / "a.h5").read_bytes()


def hdf5_of_datasets(folder: Path) -> bytes:
    with h5py.File(folder / "a.h5", "w") as file:
        for i, image in enumerate(images()):
            file.create_dataset(f"train/{i:05}", data=np.frombuffer(image, np.uint8))
    return (folder / "a.h5").read_bytes()


def hdf5_of_opaque_values(folder: Path) -> bytes:
    with h5py.File(folder / "a.h5", "w") as file:
        for i, image in enumerate(images()):
            file.create_dataset(f"{i:05}", data=np.void(image))
    return (folder / "a.h5").read_bytes()


def arrow_file(folder: Path) -> bytes:
    table = pa.table({"image": images()})
    with pa.OSFile(str(folder / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as w:
        w.write_table(table)
    return (folder / "a.arrow").read_bytes()


def arrow_of_datasets(folder: Path) -> bytes:
    rows = [{"image": {"bytes": image, "path": None}} for image in images()]
    Dataset.from_list(rows, features=Features({"image": Image()})).save_to_disk(folder / "data")
    (path,) = (folder / "data").glob("*.arrow")
    return path.read_bytes()


def warc(folder: Path) -> bytes:
    with (folder / "a.warc").open("wb") as file:
        writer = WARCWriter(file, gzip=False)
        for i, image in enumerate(images()):
            address = f"http://example.org/{i}.jpg"
            writer.write_record(
                writer.create_warc_record(address, "resource", payload=io.BytesIO(image))
            )
    return (folder / "a.warc").read_bytes()


WRITERS = {
    one.__name__: one
    for one in (
        tfrecord,
        lmdb_file,
        hdf5_of_variable_length,
        hdf5_of_datasets,
        hdf5_of_opaque_values,
        arrow_file,
        arrow_of_datasets,
        warc,
    )
}


# warcio leaves a temporary file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_all_images_are_found(writer: Callable[[Path], bytes], tmp_path: Path):
    data = writer(tmp_path)
    assert is_container(data[:4096])
    images_found = [image for _, image in found(data)]
    assert set(images_found) == set(images())
    # LMDB leaves copies behind where it splits a page.
    assert len(images_found) == len(images()) or writer is lmdb_file


# warcio leaves a temporary file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_pieces_hold_all_images(writer: Callable[[Path], bytes], tmp_path: Path):
    data = writer(tmp_path)
    assert in_pieces(data, 20_000) == found(data)


def test_photos_in_a_pdf_are_found():
    photos = [jpeg(textured(60 + i, 90)) for i in range(4)]
    data = img2pdf.convert(photos)
    assert data is not None
    assert is_container(data[:4096])
    assert [image for _, image in found(data)] == photos


def test_all_pictures_of_an_mpo_file_are_found():
    target = io.BytesIO()
    left, right = (Pictures.fromarray(textured(90, 120, i)) for i in range(2))
    left.save(target, "MPO", save_all=True, append_images=[right], quality=90)
    data = target.getvalue()
    first, second = (image for _, image in found(data))
    assert first + second == data
    assert Pictures.open(io.BytesIO(second)).size == (120, 90)


def test_the_photo_of_a_motion_photo_is_found():
    noise = random.Random(4).randbytes(4000)
    film = (
        struct.pack(">I4s", 24, b"ftyp") + b"mp42" + bytes(12) + struct.pack(">I4s", 4008, b"mdat")
    )
    data = jpeg() + film + noise
    assert found(data) == [(None, jpeg())]


def test_a_preview_in_a_raw_file_is_found(tmp_path: Path):
    """A DNG file as cameras write it: raw samples, and a JPEG file of the same view."""
    raw = np.random.default_rng(1).integers(0, 4096, (200, 300), np.uint16)
    preview = jpeg(detailed())
    path = tmp_path / "a.dng"
    extra = [(50706, 1, 4, (1, 4, 0, 0), True), (0xC7D5, 7, len(preview), preview, True)]
    tifffile.imwrite(
        path,
        raw,
        photometric=32803,
        extratags=[(33421, 3, 2, (2, 2), True), (33422, 1, 4, (0, 1, 1, 2), True), *extra],
    )
    first, (_, page) = found(path.read_bytes())
    assert first == (None, preview)
    assert np.array_equal(tifffile.imread(io.BytesIO(page)), raw)


@pytest.mark.parametrize("name", [*named_pictures(), "text", "nothing", "zeros"])
def test_what_is_no_container_does_not_begin_as_one(name: str):
    others = {"text": b"some text " * 500, "nothing": b"", "zeros": bytes(4096)}
    is_tiff = name.endswith(".tif")  # which has strips
    assert is_container((named_pictures() | others)[name][:4096]) == is_tiff
