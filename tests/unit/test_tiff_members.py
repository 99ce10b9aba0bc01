"""Strips and tiles of large TIFF files become small TIFF files, those of JPEG become JPEG files."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from seec.pipeline.containers import PACKINGS, Held, cut, find, is_container, packed_size
from seec.pipeline.images.files import read_header, read_image
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from seec.schemas.planes import Shape
from tests.containers import found, in_pieces
from tests.ljpegs import with_preview
from tests.pictures import textured
from tests.sources import image_bytes
from tests.tiffs import DEEP, FLOATS, RGB, exact_files, pyramid, written

STACK = np.stack([np.roll(DEEP, i, axis=1) for i in range(9)])
LARGE = {
    "stack": written(STACK, bigtiff=True, metadata=None),
    "big-endian": written(STACK, byteorder=">", metadata=None),
    "floats": written(FLOATS, rowsperstrip=7, metadata=None),
    "rgb": written(RGB, photometric="rgb", metadata=None),
    "tiles": written(RGB, photometric="rgb", tile=(32, 48), metadata=None),
    "planes": written(np.moveaxis(RGB, 2, 0).copy(), photometric="rgb", planarconfig="separate"),
    "lzw": written(STACK, compression="lzw", predictor=True, rowsperstrip=20),
    "deflate": written(STACK, compression="deflate", tile=(32, 32), bigtiff=True),
    "pyramid": pyramid(compression="deflate", predictor=True),
}
SIZES = [3000, 10_000, 1 << 24]


def jpeg_files() -> dict[str, bytes]:
    """Files whose strips or tiles are JPEG pictures: whole ones, and some that share tables."""
    picture = textured(320, 400)
    tiles = written(picture, compression="jpeg", photometric="rgb", tile=(128, 128))
    return {"whole": tiles, "shared": image_bytes(picture, "TIFF", compression="jpeg")}


@pytest.mark.parametrize("size_bytes", SIZES)
@pytest.mark.parametrize("name", LARGE)
def test_members_hold_the_samples_of_the_file_in_its_order(name: str, size_bytes: int):
    data = LARGE[name]
    images = [image for _, image in in_pieces(data, size_bytes)]
    assert images, "nothing of it would be coded"
    both = [
        b"".join(raster.samples.tobytes() for one in files for raster in read_image(one).rasters)
        for files in (images, [data])
    ]
    # What is cut off at the ends of pieces stays as it is.
    if name not in ("planes", "lzw", "deflate", "pyramid"):
        assert len(both[0]) > 0.9 * len(both[1])
    if size_bytes > len(data):
        assert sorted(both[0]) == sorted(both[1])


@pytest.mark.parametrize("name", LARGE)
def test_members_are_tiff_files_that_other_programs_read(name: str):
    for _, image in in_pieces(LARGE[name], 10_000):
        with tifffile.TiffFile(io.BytesIO(image)) as file:
            others = [page.asarray() for page in file.pages]
        ours = read_image(image, keep_file=True).rasters
        assert sum(one.nbytes for one in others) == sum(one.samples.nbytes for one in ours)


def test_the_rows_of_a_stack_are_members_in_order():
    images = in_pieces(LARGE["stack"], 1 << 24)
    [(name, image)] = images
    assert str(name).startswith("page-0@")
    with tifffile.TiffFile(io.BytesIO(image)) as file:
        rows = np.concatenate([page.asarray() for page in file.pages])
    assert np.array_equal(rows.reshape(STACK.shape), STACK)


def test_a_strip_is_cut_between_rows_and_a_tile_not_at_all():
    plain, tiled = LARGE["rgb"], LARGE["deflate"]
    row = RGB.shape[1] * 3
    with tifffile.TiffFile(io.BytesIO(plain)) as file:
        (start,) = file.pages.first.dataoffsets
    with tifffile.TiffFile(io.BytesIO(tiled)) as file:
        page = file.pages.first
        ends = [at + size for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
    for position in range(start + 1, start + 5 * row, 111):
        assert (cut(Held(plain), position) - start) % row == 0
    assert cut(Held(tiled), ends[3] - 5) == ends[3]


@pytest.mark.parametrize("name", jpeg_files())
def test_jpeg_strips_are_files_with_the_tables_that_they_share(name: str):
    data = jpeg_files()[name]
    assert is_container(data[:4096])
    with pytest.raises(UnreadableImage, match="JPEG"):
        read_header(data)
    images = found(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        assert (page.jpegtables is not None) == (name == "shared")
        assert len(images) == len(page.dataoffsets) > 1
    for _, image in images:
        Image.open(io.BytesIO(image)).load()
    assert in_pieces(data, 4000) == images


def test_tiles_of_lossless_jpeg_are_members_beside_the_preview():
    data = with_preview()
    with pytest.raises(UnreadableImage, match="JPEG"):
        read_header(data)
    preview, tiles = (image for _, image in in_pieces(data, 1 << 24))
    Image.open(io.BytesIO(preview)).load()
    (raster,) = read_image(tiles).rasters
    assert raster.shape == Shape(48, 32 * 12, 4, 16)
    assert len(in_pieces(data, 40_000)) > 2


@pytest.mark.parametrize("name", exact_files())
def test_files_of_all_kinds_come_back_from_pieces(name: str):
    in_pieces(exact_files()[name], 5000)  # which compares


class Counted:
    """A file that counts what is read of it, and is the same file again."""

    identity = "a file"

    def __init__(self, data: bytes) -> None:
        self.size_bytes, self.reads, self._data = len(data), 0, data

    def read(self, start: int, length: int) -> bytes:
        self.reads += 1
        return self._data[start : start + length]


def test_directories_are_read_once_for_all_pieces_of_a_file():
    data = LARGE["stack"]
    expected = [cut(Held(data), at) for at in range(0, len(data), 5000)]
    first = Counted(data)
    assert cut(first, 5000) == expected[1]
    again = Counted(data)
    assert [cut(again, at) for at in range(0, len(data), 5000)] == expected
    assert find(data, 0, again) == find(data, 0, Held(data))
    assert again.reads == len(expected) - 1, "nothing but what tells the kind of the file"
    other = Counted(LARGE["rgb"])
    other.identity = "another"
    assert cut(other, 5000) == cut(Held(LARGE["rgb"]), 5000)


def test_damaged_directories_cost_no_more_than_their_members():
    data = bytearray(LARGE["lzw"])
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offsets = [page.offset for page in file.pages]
    for at in offsets[3:5]:
        struct.pack_into("<H", data, at, 0xFFFF)
    whole = bytes(data)
    assert cut(Held(whole), 1000) >= 1000
    find(whole, 0, Held(whole))


@pytest.mark.parametrize("recipe", [b"", b"\0\0\0", struct.pack("<I", 5), b"\xff" * 9])
def test_a_recipe_that_leaves_out_more_than_there_is_is_damage(recipe: bytes):
    with pytest.raises(SectionCorrupt, match="recipe"):
        PACKINGS["headed"].pack(b"1234", recipe)
    with pytest.raises(SectionCorrupt, match="recipe"):
        packed_size("headed", 4, recipe)


def test_the_length_of_a_part_is_known_without_its_content():
    recipe = struct.pack("<I", 3) + b"abcd"
    packed = PACKINGS["headed"].pack(b"12345", recipe)
    assert packed == b"abcd45"
    assert packed_size("headed", 5, recipe) == len(packed)
