"""GIF: all frames with all that the file says, byte for byte where the usual way wrote it."""

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.images.files import is_exact, read_image, write_image
from seec.pipeline.images.formats import gif_lzw
from seec.schemas.errors import UnreadableImage
from tests.pictures import gray, screenshot, textured
from tests.sources import animated_gif, image_bytes, same_image

SCREEN = b"GIF89a" + struct.pack("<HHBBB", 40, 30, 0xF1, 0, 0) + bytes(range(12))


def codes(numbers: list[tuple[int, int]]) -> bytes:
    """A stream of codes, each with its number of bits."""
    value = place = 0
    for code, bits in numbers:
        value |= code << place
        place += bits
    return value.to_bytes(-(-place // 8), "little")


def gif(stream: bytes, width: int, height: int, flags: int = 0, block: int = 255) -> bytes:
    image = b"," + struct.pack("<HHHHB", 0, 0, width, height, flags) + b"\2"
    blocks = [stream[i : i + block] for i in range(0, len(stream), block)]
    return SCREEN + image + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0;"


def noise(count: int, bits: int) -> bytes:
    return np.random.default_rng(bits).integers(0, 1 << bits, count, np.uint8).tobytes()


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("count", [1, 2, 3, 500, 40_000])
def test_streams_are_read_and_written_again(bits: int, count: int):
    for indices in (noise(count, bits), bytes(count), noise(7, bits) * (count // 7 + 1)):
        data = gif_lzw.write_anew(indices[:count], bits)
        stream = gif_lzw.read(data, bits, count)
        assert stream.indices == indices[:count]
        assert gif_lzw.write(stream, bits) == data


def test_a_stream_may_begin_without_a_clear_code_and_forget_at_any_place():
    stream = gif_lzw.Stream(noise(5000, 4), (700, 701, 701, 4999), b"")
    data = gif_lzw.write(stream, 4)
    read = gif_lzw.read(data + b"behind", 4, 5000)
    assert (read.indices, read.clears) == (stream.indices, stream.clears)
    assert gif_lzw.write(read, 4) == data + b"behind"


def test_streams_of_many_clear_codes_or_none_are_written_as_they_were():
    for bits, clears in ((8, (0,)), (2, ()), (5, tuple(range(50_000))), (3, (0, *[40_000] * 9))):
        stream = gif_lzw.Stream(noise(50_000, bits), clears, b"")
        data = gif_lzw.write(stream, bits)
        read = gif_lzw.read(data, bits, 50_000)
        assert (read.indices, read.clears) == (stream.indices, clears)
        assert gif_lzw.write(read, bits) == data


def frames_of(image: Image.Image) -> list[NDArray[np.uint8]]:
    found = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        found.append(np.asarray(image.convert("RGBA")))
    return found


def test_an_animation_comes_back_byte_for_byte():
    data = animated_gif()
    composite = read_image(data, keep_file=True)
    assert len(composite.rasters) == 4
    assert is_exact(composite.envelope)
    assert write_image(composite) == data


@pytest.mark.parametrize("interlaced", [False, True])
def test_rasters_are_what_others_show(interlaced: bool):
    for height, width in ((1, 1), (3, 5), (7, 2), (30, 41), (64, 64)):
        picture = Image.fromarray(gray(height, width) >> 2 << 2)
        data = image_bytes(picture, "GIF", interlace=interlaced)
        (raster,) = read_image(data).rasters
        image = Image.open(io.BytesIO(data))
        palette = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
        assert np.array_equal(palette[raster.samples[..., 0]], np.asarray(image.convert("RGB")))
        assert write_image(read_image(data)) == data


def test_gif_of_another_writer_comes_back_with_the_same_frames():
    # The shortest strings: a clear code before every index.
    indices = noise(12, 2)
    data = gif(codes([(n, 3) for index in indices for n in (4, index)] + [(5, 3)]), 4, 3)
    assert is_exact(read_image(data).envelope)
    # The same without clear codes: one string for each index.
    sizes = [3] * 3 + [4] * 8 + [5]
    unusual = gif(codes([(4, 3), *zip([1] * 12, sizes, strict=True), (5, 5)]), 4, 3)
    composite = read_image(unusual)
    assert not is_exact(composite.envelope)
    written = write_image(composite)
    assert same_image(unusual, written)
    assert is_exact(read_image(written).envelope)
    with pytest.raises(UnreadableImage, match="reproduced"):
        read_image(unusual, keep_file=True)


def test_blocks_of_any_size_and_bytes_behind_the_indices_are_kept():
    drawing = (screenshot(30, 40)[..., 0] >> 6).tobytes()
    stream = gif_lzw.write_anew(drawing, 2)
    for data in (
        gif(stream, 40, 30, block=17),
        gif(stream + b"and more", 40, 30),
        gif(stream, 40, 30)[:-1],
        gif(stream, 40, 30) + b"behind the end",
    ):
        composite = read_image(data, keep_file=True)
        assert write_image(composite) == data


def test_damaged_files_are_refused_with_a_reason():
    stream = gif_lzw.write_anew(noise(1200, 2), 2)
    sound = gif(stream, 40, 30)
    assert len(read_image(sound).rasters) == 1
    wrong = {
        "cut short": (sound[:9], sound[:40], sound[:-2], gif(stream[:-9], 40, 30)),
        "more image data": (gif(codes([(4, 3), (0, 3), (6, 3), (6, 3)]), 4, 1),),
        "cannot be": (gif(codes([(4, 3), (6, 3)]), 1, 1), gif(codes([(4, 3), (5, 3)]), 1, 1)),
        "no block": (SCREEN + b"?" + sound,),
        "no pixels": (gif(stream, 0, 30), sound.replace(b"\0\2\xff", b"\0\x09\xff")),
        "without a picture": (SCREEN + b";", SCREEN),
    }
    for reason, files in wrong.items():
        for data in files:
            with pytest.raises(UnreadableImage, match=reason):
                read_image(data)


def test_an_envelope_that_does_not_fit_is_an_error():
    composite = read_image(image_bytes(textured(9, 9)[..., 0], "GIF"))
    for envelope in (b"\1", composite.envelope[:20], b"\1" + bytes(30)):
        with pytest.raises(UnreadableImage):
            write_image(type(composite)("GIF", composite.rasters, envelope))
