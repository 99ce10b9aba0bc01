"""Images are found in any bytes by how they begin and where they end."""

import random
import struct
import time
import zlib
from pathlib import Path

import pytest

from seec.pipeline.containers import Held, Span, cut, find
from tests.containers import found, in_pieces, pictures
from tests.jpegs import held, jpeg
from tests.pictures import textured
from tests.sources import image_bytes

NOISE = random.Random(1).randbytes(3000)
# A walk goes from segment to segment; readers that skip what stands between guess.
NOT_WALKED = ("junk between segments",)
WITH_MORE = {"junk behind": 1, "no profile, and junk behind": 1, "a second picture behind": 2}


def between_noise(images: list[bytes]) -> bytes:
    return NOISE + b"".join(image + NOISE[: 100 + i] for i, image in enumerate(images))


@pytest.mark.parametrize("name", pictures())
def test_an_image_among_noise_is_found_where_it_lies(name: str):
    image = pictures()[name]
    assert find(NOISE + image + NOISE, 0, Held(b"")) == (Span(3000, len(image)),)


def test_all_images_are_found_in_their_order():
    images = list(pictures().values()) * 3
    assert [image for _, image in found(between_noise(images))] == images


def test_images_that_touch_are_found():
    images = list(pictures().values())
    assert [image for _, image in found(b"".join(images))] == images


@pytest.mark.parametrize("name", [name for name in held() if name not in NOT_WALKED])
def test_every_kind_of_jpeg_file_is_found(name: str):
    data = held()[name]
    images = [image for _, image in found(b"before" + data + b"behind")]
    assert len(images) == WITH_MORE.get(name, 1)
    assert b"".join(images) in data
    assert images == [data] or name in WITH_MORE


def test_a_thumbnail_belongs_to_its_picture():
    thumbnail = jpeg(textured(64, 64))
    data = jpeg(exif=b"Exif\0\0" + thumbnail)
    assert thumbnail in data
    assert [image for _, image in found(NOISE + data + NOISE)] == [data]


def test_what_is_cut_short_or_damaged_is_left_alone():
    png, photo = pictures()["b.png"], jpeg()
    damaged = png[:200] + bytes([png[200] ^ 1]) + png[201:]
    no_tables = photo.replace(b"\xff\xdb", b"\xff\xfe")
    for data in (png[:-4], damaged, photo[:-2], photo[: len(photo) // 2], no_tables):
        assert found(NOISE + data) == []
    assert found(damaged + photo) == [(None, photo)]


def test_a_picture_of_few_bytes_is_left_alone():
    tiny = image_bytes(textured(4, 4), "PNG")
    assert len(tiny) < 256
    assert found(NOISE + tiny + NOISE) == []


def test_lossless_jpeg_and_lossy_webp_are_left_alone():
    photo = jpeg()
    frame = photo.index(b"\xff\xc0")
    lossless = photo[: frame + 1] + b"\xc3" + photo[frame + 2 :]
    assert found(lossless + image_bytes(textured(48, 64), "WEBP", quality=80)) == []


@pytest.mark.parametrize("size_bytes", [1, 1000, 30_000, 1 << 20])
def test_pieces_hold_each_image_whole(size_bytes: int):
    data = between_noise(list(pictures().values()) * 3)
    assert in_pieces(data, size_bytes) == found(data)


def test_a_cut_depends_on_the_bytes_alone():
    data = between_noise(list(pictures().values()))
    ranges, spans = Held(data), find(data, 0, Held(data))
    places = [cut(ranges, position) for position in range(0, len(data), 37)]
    assert places == sorted(places)
    assert all(not span.start < place < span.end for place in places for span in spans)


def test_a_cut_reads_a_bounded_part_of_a_large_file():
    class Noted(Held):
        read_bytes = 0

        def read(self, start: int, length: int) -> bytes:
            Noted.read_bytes += length
            return super().read(start, length)

    assert cut(Noted(bytes(40 << 20)), 20 << 20) == 20 << 20
    assert Noted.read_bytes < 40 << 20


def png_starts(count: int) -> bytes:
    """Each begins a file that ends where all others do, with a wrong checksum."""
    head = pictures()["b.png"][:33]
    each = len(head) + 8
    lengths = [max(0, each * (count - i - 1) - 4) for i in range(count)]
    starts = (head + struct.pack(">I4s", length, b"IDAT") for length in lengths)
    return b"".join(starts) + b"\0\0\0\0" + struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))


FALSE_STARTS = {
    "starts of JPEG": b"\xff\xd8\xff" * 10**5,
    "starts of JPEG in segments": b"\xff\xfe\0\4\xff\xd8" * 10**5,
    "fill bytes": b"\xff\xd8" + b"\xff" * 10**6,
    "headers of JPEG": jpeg()[:700] * 3000,
    "scans": (jpeg()[:700] + bytes(2)) * 3000,
    "starts of PNG": pictures()["b.png"][:33] * 10**5,
    "PNG with one end": png_starts(10**4),
    "starts of GIF": b"GIF89a" * 10**5,
    "blocks of GIF": (b"GIF89a" + bytes(7) + b"\x2c" + bytes(9) + b"\x08\xff") * 10**5,
    "starts of WebP": b"RIFF\xff\xff\0\0WEBP" * 10**5,
}


@pytest.mark.parametrize("name", FALSE_STARTS)
def test_false_starts_take_time_in_proportion_to_their_number(name: str):
    data = FALSE_STARTS[name]

    def seconds(part: bytes) -> float:
        start = time.process_time()
        assert find(part, 0, Held(b"")) == ()
        return time.process_time() - start

    # Ten times as long where time is linear, a hundred times where it is quadratic.
    assert seconds(data) < 35 * max(seconds(data[: len(data) // 10]), 0.005)


def test_a_film_behind_a_photo_is_no_part_of_it(tmp_path: Path):
    photo = jpeg()
    film = struct.pack(">I4s", 24, b"ftyp") + b"isom" + bytes(12) + NOISE
    assert found(photo + film) == [(None, photo)]
