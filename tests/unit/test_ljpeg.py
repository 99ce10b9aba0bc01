"""Lossless JPEG: read as other decoders do, and written again to the same bytes."""

import io
import random

import imagecodecs
import numpy as np
import pytest
import tifffile

from seec.pipeline.images import _pieces
from seec.pipeline.images.files import is_exact, read_header, read_image, write_image
from seec.pipeline.images.formats.tiff_regions import read_page
from seec.pipeline.images.ranges import Held
from seec.schemas.errors import UnreadableImage
from tests import ljpegs
from tests.archives import plain_spliced
from tests.archives.plain_ljpeg import ljpeg

RAW = ljpegs.raw_files()
_WAYS = [(1, 0, 0), (2, 2, 0), (3, 0, 2), (4, 3, 1)]


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("keep_file", [False, True])
def test_raw_files_come_back_byte_for_byte(name: str, keep_file: bool):
    data = RAW[name]
    image = read_header(data).read(keep_file=keep_file)
    assert is_exact(image.envelope)
    assert write_image(image) == data
    samples = [raster.samples for raster in image.rasters]
    depths = [raster.depth for raster in image.rasters]
    assert plain_spliced.spliced(samples, depths, image.envelope[1:], 1) == data
    if image.rasters[1].depth > 8:
        assert image.rasters[1].shape.samples == 4, "the mosaic is four pictures"


@pytest.mark.parametrize("name", RAW)
def test_pages_are_those_that_tifffile_reads(name: str):
    with tifffile.TiffFile(io.BytesIO(RAW[name])) as file:
        below = file.pages[0].aspage().pages
        assert below is not None
        page = below[0].aspage()
        # tifffile takes only files of the size of a strip.
        expected = ljpegs.mosaic(150, 190) if name == "double-rows" else page.asarray()
    found = read_page(Held(RAW[name]), 1)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    assert np.array_equal(read_page(Held(RAW[name]), 1, (30, 40, 21, 17)), expected[40:57, 30:51])


def test_other_patterns_than_two_by_two_are_one_picture():
    data = RAW["imagecodecs"]
    at = data.index(b"\x8d\x82\3\0\2\0\0\0\2\0\2\0")
    image = read_image(data[: at + 8] + b"\6\0\6\0" + data[at + 12 :])
    assert image.rasters[1].shape.samples == 1


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("components", "shift", "rows"), _WAYS)
def test_all_ways_are_read_and_written(predictor: int, components: int, shift: int, rows: int):
    rng = np.random.default_rng(predictor)
    for precision in (2, 7, 8, 9, 13, 16):
        if shift >= precision:
            continue
        for most in (2, 1 << precision):
            samples = rng.integers(0, most, (9, 11, components), np.int64) >> shift << shift
            file = ljpegs.written(
                samples,
                precision=precision,
                predictor=predictor,
                shift=shift,
                rows_of_interval=rows,
            )
            each = 1 if precision <= 8 else 2
            plain, recipe = _pieces.ljpeg_read(file, samples.size * each, each)
            assert np.array_equal(np.frombuffer(plain, f"<u{each}").reshape(samples.shape), samples)
            assert _pieces.ljpeg_write(plain, each, recipe) == file
            assert ljpeg([int(one) for one in samples.ravel()], recipe) == file
            assert np.array_equal(imagecodecs.jpeg8_decode(file).reshape(samples.shape), samples)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_what_libjpeg_writes_comes_back(predictor: int, bits: int):
    rng = np.random.default_rng(bits)
    dtype = np.uint8 if bits == 8 else np.uint16
    for shape in ((31, 17), (5, 6, 3), (1, 1)):
        for most in (1, 9, 1 << bits):
            samples = rng.integers(0, most, shape, dtype, endpoint=False)
            file = bytes(
                imagecodecs.jpeg8_encode(
                    samples, lossless=True, predictor=predictor, bitspersample=bits
                )
            )
            plain, recipe = _pieces.ljpeg_read(file, samples.nbytes, samples.itemsize)
            assert plain == samples.tobytes()
            assert _pieces.ljpeg_write(plain, samples.itemsize, recipe) == file


def test_any_bytes_are_refused_or_written_again():
    seeds = [
        ljpegs.written(ljpegs.mosaic(8, 12)[:, :, None], precision=14, predictor=n) for n in (1, 7)
    ]
    random_ = random.Random(0)
    for _ in range(3000):
        data = bytearray(random_.choice(seeds))
        for _ in range(random_.randint(1, 3)):
            data[random_.randrange(len(data))] = random_.randrange(256)
        del data[random_.randint(len(data) // 2, len(data)) :]
        try:
            plain, recipe = _pieces.ljpeg_read(bytes(data), 192, 2)
            assert len(plain) == 192
            _pieces.ljpeg_write(plain, 2, recipe)
        except ValueError:
            continue


def test_what_has_another_size_or_no_code_is_refused():
    file = ljpegs.written(ljpegs.mosaic(8, 12)[:, :, None], precision=14)
    plain, recipe = _pieces.ljpeg_read(file, 192, 2)
    for size, each in ((190, 2), (194, 2), (96, 1), (193, 2), (0, 2), (-2, 2), (192, 3)):
        with pytest.raises(ValueError, match="codes"):
            _pieces.ljpeg_read(file, size, each)
    with pytest.raises(ValueError, match="codes"):
        _pieces.ljpeg_read(file, 96, 1)
    short = recipe.replace(bytes(range(8, 17)), bytes([8, *[1] * 8]))
    with pytest.raises(ValueError, match="codes"):
        _pieces.ljpeg_write(bytes(95) + b"\x7f" + bytes(96), 2, short)
    with pytest.raises(ValueError, match="codes"):
        _pieces.ljpeg_write(plain[:-2], 2, recipe)


def test_a_strip_that_is_not_written_again_to_the_same_bytes_is_refused():
    data = RAW["imagecodecs"]
    frame = data.index(b"\xff\xc3")
    damaged = data[: frame + 4] + b"\x0f" + data[frame + 5 :]  # another precision
    with pytest.raises(UnreadableImage, match="strip"):
        read_header(damaged[: frame + 5] + b"\0\1" + damaged[frame + 7 :]).read(keep_file=True)
