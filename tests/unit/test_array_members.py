"""Rows and slices of large arrays become small TIFF files, whatever format the array is in."""

import io

import numpy as np
import pytest
import tifffile

from seec.pipeline.containers import has_strips, is_container
from seec.pipeline.images.files import read_image
from tests.containers import in_pieces
from tests.instruments import DEEP, FLOATS, RGB, SIGNED, fits_file, idx, mrc, nifti, npy, nrrd
from tests.pictures import textured

LARGE_SLICES = np.stack([np.roll(textured(260, 256)[:, :, 0], i) for i in range(5)])
STACK = np.stack([np.roll(DEEP, i, axis=1) for i in range(40)])
ARRAYS = {
    "npy": npy(STACK),
    "npy, colours": npy(np.stack([np.roll(RGB, i, axis=1) for i in range(20)])),
    "npy, big-endian": npy(STACK.astype(">u2")),
    "npy, float64": npy(np.stack([FLOATS] * 9).astype(np.float64)),
    "npy, complex": npy(np.stack([FLOATS + 1j] * 9).astype(np.complex64)),
    "npy, large slices": npy(LARGE_SLICES),
    "nifti": nifti(STACK.astype(np.int16)),
    "mrc": mrc(np.stack([FLOATS] * 12)),
    "nrrd": nrrd(STACK, "uint16"),
    "idx": idx(8, LARGE_SLICES),
    "fits": fits_file(SIGNED.astype(np.int16), STACK.astype(np.int32), table=True),
}


@pytest.mark.parametrize("size_bytes", [5000, 60_000, 1 << 24])
@pytest.mark.parametrize("name", ARRAYS)
def test_members_hold_the_numbers_of_the_array_in_its_order(name: str, size_bytes: int):
    data = ARRAYS[name]
    assert has_strips(data[:4096])
    assert not is_container(data[:4096]), "files that are whole have reasons of their own"
    images = [image for _, image in in_pieces(data, size_bytes)]
    both = [
        b"".join(raster.samples.tobytes() for one in files for raster in read_image(one).rasters)
        for files in (images, [data])
    ]
    assert both[0] == both[1] or (size_bytes < 10_000 and len(both[0]) > 0.8 * len(both[1]))


# Numbers of more than 32 bits are several samples.
@pytest.mark.parametrize("name", sorted(ARRAYS.keys() - {"npy, complex", "npy, float64"}))
def test_members_are_tiff_files_that_other_programs_read(name: str):
    for _, image in in_pieces(ARRAYS[name], 20_000):
        with tifffile.TiffFile(io.BytesIO(image)) as file:
            others = [page.asarray() for page in file.pages]
        rasters = read_image(image, keep_file=True).rasters
        assert [one.size for one in others] == [one.samples.size for one in rasters]
        if others[0].dtype.kind == "u":
            assert all(
                np.array_equal(one.reshape(raster.samples.shape), raster.samples)
                for one, raster in zip(others, rasters, strict=True)
            )


def test_large_slices_are_members_of_their_own_names():
    names = [str(name) for name, _ in in_pieces(ARRAYS["npy, large slices"], 100_000)]
    assert [name.split("@")[0] for name in names][:2] == ["slice-0", "slice-1"]


def test_what_is_damaged_or_no_picture_is_left_as_it_is():
    for data in (
        npy(np.arange(99999)),
        npy(STACK)[:60],
        b"SIMPLE  =" + bytes(9000),
        nifti(STACK)[:400],
    ):
        assert in_pieces(data, 5000) == []
