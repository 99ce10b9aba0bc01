"""Files of instruments and of renderers: samples as they are, taken apart and put together."""

import io
import random
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from seec.pipeline.images.files import is_exact, read_extent, read_header, read_image, write_image
from seec.pipeline.images.raster import Meaning, Numbers, Packing, Planes, Raster, pack, unpack
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape
from tests import instruments
from tests.archives import plain_spliced
from tests.instruments import DEEP, FLOATS, GRAY, RGB, SIGNED, STACK

FILES, OTHERS = instruments.instrument_files(), instruments.other_instrument_files()
FORMAT_NAMES = {
    "npy": "NPY",
    "nii": "NIFTI",
    "fits": "FITS",
    "dcm": "DICOM",
    "mrc": "MRC",
    "exr": "EXR",
    "nrrd": "NRRD",
    "idx": "IDX",
    "gz": "GZIP",
}


@pytest.mark.parametrize("name", FILES)
def test_files_come_back_byte_for_byte(name: str):
    data = FILES[name]
    image = read_header(data).read(keep_file=True)
    assert is_exact(image.envelope)
    assert write_image(image) == data
    samples = [raster.samples for raster in image.rasters]
    depths = [raster.depth for raster in image.rasters]
    assert by_plain_reader(image.format, samples, depths, image.envelope[1:]) == data
    # What a library reads as pixels is in rasters, and headers are not.
    assert sum(raster.samples.nbytes for raster in image.rasters) >= 0.5 * len(data)


def by_plain_reader(name: str, samples: Any, depths: list[int], envelope: bytes) -> bytes:
    if name == "GZIP":
        return plain_spliced.gzipped(samples, depths, envelope)
    return plain_spliced.spliced(samples, depths, envelope, 1)


def test_formats_have_their_names():
    for name, data in FILES.items():
        assert read_image(data).format == FORMAT_NAMES[name.rpartition(".")[2]], name


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_refused_with_a_reason(name: str):
    with pytest.raises(UnreadableImage, match=r"\w"):
        read_image(OTHERS[name])


@pytest.mark.parametrize("name", FILES)
def test_the_extent_is_that_of_the_first_raster(name: str):
    data = FILES[name]
    first = read_image(data).rasters[0].shape
    assert read_extent(lambda at, size: data[at : at + size]) == (first.width, first.height)


def numbers(raster: Raster) -> NDArray[Any]:
    return raster.samples[:, :, 0]


def test_samples_are_those_that_libraries_read():
    for name, expected in (("deep.npy", DEEP), ("deep.dcm", DEEP), ("deep.nrrd", DEEP)):
        (raster,) = read_image(FILES[name]).rasters
        assert np.array_equal(numbers(raster), expected)
    (raster,) = read_image(FILES["digits.idx"]).rasters
    assert np.array_equal(numbers(raster), np.concatenate([GRAY, 255 - GRAY]))
    (raster,) = read_image(FILES["rgb.npy"]).rasters
    assert raster.meaning is Meaning.COLOUR
    assert np.array_equal(raster.samples, RGB)
    volume = np.asarray(nibabel.Nifti1Image.from_bytes(FILES["volume.nii"]).dataobj)
    (raster,) = read_image(FILES["volume.nii"]).rasters
    assert np.array_equal(numbers(raster).reshape(3, 60, 74) ^ 0x8000, volume.T.astype(np.uint16))
    (raster,) = read_image(FILES["unsigned.fits"]).rasters
    expected: Any = fits.getdata(io.BytesIO(FILES["unsigned.fits"]))
    assert np.array_equal(numbers(raster), expected)
    frames = pydicom.dcmread(io.BytesIO(FILES["frames.dcm"])).pixel_array
    (raster,) = read_image(FILES["frames.dcm"]).rasters
    assert np.array_equal(numbers(raster).reshape(STACK.shape), frames)


def test_every_unit_of_a_fits_file_is_read():
    rasters = read_image(FILES["units.fits"]).rasters
    assert [(r.shape.height, r.depth) for r in rasters] == [(60, 32), (60, 32), (60, 8), (180, 16)]


def test_channels_of_a_line_are_samples_of_a_pixel():
    colours, depths = read_image(FILES["mixed.exr"]).rasters
    assert (colours.shape.samples, colours.depth) == (3, 16)
    assert (depths.shape.samples, depths.depth) == (1, 32)
    assert np.array_equal(colours.samples[:, :, 0], colours.samples[:, :, 2])


def test_large_slices_are_rasters_of_their_own():
    stack = np.zeros((3, 256, 257), np.uint16)
    assert len(read_image(instruments.npy(stack)).rasters) == 3
    assert len(read_image(instruments.npy(stack[:, :200])).rasters) == 1


def test_order_is_that_of_the_numbers():
    for array, kind in ((SIGNED, Numbers.SIGNED), (FLOATS, Numbers.FLOATING)):
        shape = Shape(array.shape[1], array.shape[0], 1, 32)
        packing = Packing(little=True, numbers=kind)
        samples = unpack(array.tobytes(), shape, packing)
        assert np.array_equal(np.argsort(samples.ravel()), np.argsort(array.ravel()))
        assert pack(samples, shape, packing) == array.tobytes()


@pytest.mark.parametrize("kind", Numbers)
@pytest.mark.parametrize("depth", [8, 16, 32])
def test_all_bits_come_back(kind: Numbers, depth: int):
    rng = np.random.default_rng(depth)
    for packing in (
        Packing(numbers=kind),
        Packing(numbers=kind, little=True, by_row=True),
        Packing(numbers=kind, mosaic=True),
        Packing(numbers=kind, planes=Planes.SAMPLES),
        Packing(numbers=kind, planes=Planes.BYTES),
        Packing(numbers=kind, bits=12) if depth == 16 else Packing(),
    ):
        shape = Shape(9, 7, 4, depth)
        assert packing.fits(shape)
        data = rng.integers(0, 256, packing.size_bytes(shape), np.uint8).tobytes()
        if packing.bits:
            continue
        samples = unpack(data, shape, packing)
        assert samples.shape == (7, 9, 4)
        assert pack(samples, shape, packing) == data


@pytest.mark.parametrize("bits", range(9, 16))
def test_packed_bits_come_back(bits: int):
    shape, packing = Shape(13, 6, 3, 16), Packing(bits=bits)
    samples = np.random.default_rng(bits).integers(0, 1 << bits, (6, 13, 3), np.uint16)
    data = pack(samples, shape, packing)
    first = int.from_bytes(data[: packing.row_bytes(shape)], "big")
    assert first >> (8 * packing.row_bytes(shape) - bits) == samples[0, 0, 0]
    assert np.array_equal(unpack(data, shape, packing), samples)


def test_pydicom_sees_what_run_lengths_stand_for():
    for name, expected in (("runs.dcm", DEEP), ("runs-rgb.dcm", RGB)):
        (raster,) = read_image(FILES[name]).rasters
        assert np.array_equal(raster.samples.reshape(expected.shape), expected)
        assert np.array_equal(pydicom.dcmread(io.BytesIO(FILES[name])).pixel_array, expected)
    assert len(read_image(FILES["runs-frames.dcm"]).rasters) == 3


def test_colours_in_planes_are_one_raster():
    (raster,) = read_image(FILES["planes.dcm"]).rasters
    assert (raster.meaning, raster.shape.samples) == (Meaning.COLOUR, 3)


def test_a_mosaic_is_four_pictures():
    plain = np.arange(24, dtype="<u2").reshape(4, 6)
    samples = unpack(plain.tobytes(), Shape(3, 2, 4, 16), Packing(little=True, mosaic=True))
    for sample, (top, left) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        assert np.array_equal(samples[:, :, sample], plain[top::2, left::2])


@pytest.mark.parametrize("name", [*FILES, *OTHERS])
def test_damaged_files_are_refused_or_come_back(name: str):
    rng = random.Random(name)
    data = (FILES | OTHERS)[name]
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 4))):
            place = rng.randrange(min(rng.choice((400, 3000)), len(data)))
            damaged[place] = rng.choice((0, 1, 255, rng.randrange(256)))
        damaged = damaged[: rng.choice((len(data), len(data), rng.randrange(len(data))))]
        try:
            header = read_header(bytes(damaged))
            if sum(shape.size_bytes for shape in header.shapes) > 1 << 24:
                continue
            image = header.read()
        except UnreadableImage:
            continue
        assert write_image(image) == damaged or not is_exact(image.envelope)


def test_sequences_without_end_are_refused():
    start = instruments.dicom(GRAY)
    at = start.index(b"\x40\0\x75\x02SQ") if b"\x40\0\x75\x02SQ" in start else 200
    sequence = b"\x40\0\x75\x02SQ\0\0\xff\xff\xff\xff"
    item = b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    for hostile in (sequence * 9000, (sequence + item) * 9000, b"\x08\0\x08\0CS\0\0" * 300_000):
        with pytest.raises(UnreadableImage):
            read_header(start[:at] + hostile)


@pytest.mark.parametrize(
    ("row_bytes", "rows"), [(8, 0), (8, -5), (0, 10**15 - 1), (0, 40), (8, 39)]
)
def test_a_table_of_tiles_with_other_rows_than_these_is_refused(row_bytes: int, rows: int):
    data = instruments.fits_tiles(np.arange(40 * 30, dtype=np.int16).reshape(40, 30))
    for name, value in ((b"NAXIS1", row_bytes), (b"NAXIS2", rows)):
        at = data.index(name + b"  =", 2880)
        data = data[:at] + b"%-8s= %20d" % (name, value) + data[at + 30 :]
    with pytest.raises(UnreadableImage):
        read_header(data)


@pytest.mark.parametrize("name", ["runs.dcm", "lossless.dcm"])
def test_a_sequence_without_its_table_of_offsets_is_refused(name: str):
    data = FILES[name]
    start = data.index(b"\xe0\x7f\x10\0O") + 12
    with pytest.raises(UnreadableImage, match="frames"):
        read_header(data[:start] + b"\xfe\xff\xdd\xe0\0\0\0\0")
