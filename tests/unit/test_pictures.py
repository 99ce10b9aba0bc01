"""Image files taken apart and put together again."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from seec.pipeline.images.files import (
    read_header,
    read_image,
    read_pixels,
    write_image,
)
from seec.pipeline.images.formats.png import Png
from seec.pipeline.images.raster import raster_digest
from seec.schemas.errors import UnreadableImage
from tests.pictures import gray, textured
from tests.sources import coded_files, image_bytes, jpeg_files, metadata, plane_files, stored_files

CODED, STORED = coded_files(), plane_files() | jpeg_files() | stored_files()
BYTE_FOR_BYTE = [name for name in CODED if name.endswith(("bmp", "ppm", "pgm", "tiff", "qoi"))]
BYTE_FOR_BYTE.remove("lzw.tiff")


def pixels_by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("name", CODED)
def test_pixels_and_metadata_survive(name: str):
    data = CODED[name]
    picture = read_image(data)
    written = write_image(picture)
    before, after = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(written))
    before.load()
    after.load()
    assert before.format == after.format
    assert np.array_equal(np.asarray(before), np.asarray(after))
    assert metadata(before) == metadata(after)
    if name != "lzw.tiff":
        assert read_image(written).envelope == picture.envelope


@pytest.mark.parametrize("name", BYTE_FOR_BYTE)
def test_plain_samples_come_back_byte_for_byte(name: str):
    assert write_image(read_image(CODED[name])) == CODED[name]


@pytest.mark.parametrize("name", STORED)
def test_pictures_that_cannot_be_rebuilt_are_refused_with_a_reason(name: str):
    with pytest.raises(UnreadableImage, match=r"\w"):
        read_pixels(STORED[name])


def png_chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def test_png_keeps_unknown_ancillary_chunks_and_trailing_bytes():
    data = image_bytes(textured(8, 9), "PNG")
    data = data[:33] + png_chunk(b"gAMA", struct.pack(">I", 45455)) + data[33:]
    data = data[:-12] + png_chunk(b"prVt", b"private") + data[-12:] + b"trailing"
    written = write_image(read_image(data))
    assert b"gAMA" in written
    assert b"private" in written
    assert written.endswith(b"trailing")
    assert np.array_equal(pixels_by_pillow(written), textured(8, 9))


def test_png_with_an_unknown_critical_chunk_is_refused():
    data = image_bytes(textured(8, 9), "PNG")
    with pytest.raises(UnreadableImage, match="ABCD"):
        read_image(data[:33] + png_chunk(b"ABCD", b"") + data[33:])


def test_a_bomb_is_seen_before_it_is_decoded():
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")
    with pytest.raises(UnreadableImage, match="over the limit"):
        read_header(bomb)
    (shape,) = Png().shapes(bomb)
    assert shape.width * shape.height == 10**10


def test_a_header_alone_announces_depth_and_samples():
    expected = {"sixteen.png": (1, 16), "alpha.png": (4, 8), "palette.png": (1, 8)}
    for name, kind in expected.items():
        (shape,) = read_header(STORED[name][:33]).shapes
        assert (shape.samples, shape.depth) == kind


@pytest.mark.parametrize("name", ["palette.png", "transparent.png", "gray.bmp", "fifteen.pgm"])
def test_eight_bits_that_are_no_brightness_are_no_picture(name: str):
    image = read_image(STORED[name])
    assert image.rasters[0].depth == 8
    assert image.pixels is None


@pytest.mark.parametrize(
    "name", ["metadata.png", "metadata.webp", "rgb.bmp", "rgb.tiff", "gray.pgm"]
)
def test_damaged_files_are_refused_or_read_never_a_crash(name: str):
    rng = random.Random(name)
    data = CODED[name]
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 4))):
            damaged[rng.randrange(len(data))] = rng.randrange(256)
        damaged = damaged[: rng.choice((len(data), rng.randrange(len(data))))]
        try:
            if read_header(bytes(damaged)).pixels > 1 << 22:
                continue
            picture = read_image(bytes(damaged))
        except UnreadableImage:
            continue
        again = read_image(write_image(picture))
        assert raster_digest(again.rasters) == raster_digest(picture.rasters)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 3)])
@pytest.mark.parametrize("format_name", ["PNG", "BMP", "PPM", "TIFF", "WEBP"])
def test_small_sizes(shape: tuple[int, int], format_name: str):
    options = {"lossless": True} if format_name == "WEBP" else {}
    data = image_bytes(textured(*shape), format_name, **options)
    assert np.array_equal(read_pixels(write_image(read_image(data))), textured(*shape))


@pytest.mark.parametrize("width", [1, 2, 7])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_high_and_narrow_noise(width: int, channels: int):
    """Nothing compresses it, and a byte for each row is much beside so few pixels."""
    shape = (20000, width, channels) if channels > 1 else (20000, width)
    noise = np.random.default_rng(channels).integers(0, 256, shape, np.uint8)
    picture = read_image(image_bytes(noise, "PNG"))
    for quick in (False, True):
        written = Png().write(picture.rasters, picture.envelope[1:], exact=False, quick=quick)
        assert np.array_equal(pixels_by_pillow(written), noise)


def test_gray_stays_gray():
    for format_name in ("PNG", "TIFF", "PPM"):
        data = image_bytes(gray(5, 6), format_name)
        assert read_pixels(write_image(read_image(data))).ndim == 2
