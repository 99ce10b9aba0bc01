"""Images in gzip files: of one image, and of what holds images."""

import gzip
import io
import random
import tarfile
import zlib
from itertools import pairwise
from shutil import which
from subprocess import run

import numpy as np
import pytest

from seec.pipeline import deflate
from seec.pipeline.containers import (
    Held,
    cut,
    find,
    gzip_stream,
    gzips,
    is_container,
    look_into,
)
from seec.pipeline.images.files import read_image
from tests.containers import assembled, found, in_pieces, pictures, tar, zipped
from tests.jpegs import detailed, jpeg
from tests.pictures import textured
from tests.plain_packings import gzip_part
from tests.sources import image_bytes
from tests.vectors import plain_deflate

pytestmark = pytest.mark.skipif(not deflate.is_available(), reason="no C compiler")


class Remembered(Held):
    """A file of which a process remembers what it found."""

    @property
    def identity(self) -> int:
        """Of the bytes."""
        return hash(self.data)


NOISE = random.Random(3).randbytes(20_000)


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_images_of_a_compressed_tar_are_found_under_their_names(level: int):
    files = [*pictures().items(), ("notes.txt", b"some text " * 1000)]
    data = gzip.compress(tar(files), level)
    assert is_container(data[:4096])
    assert found(data) == list(pictures().items())
    assert [span.packing for span in find(data, 0, Held(data))] == ["gzip"]


def test_those_that_tarfile_writes():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        entry = tarfile.TarInfo("a.jpg")
        entry.size = len(jpeg())
        archive.addfile(entry, io.BytesIO(jpeg()))
    assert found(target.getvalue()) == [("a.jpg", jpeg())]


@pytest.mark.skipif(which("gzip") is None, reason="no program gzip")
def test_those_of_the_gzip_program():
    data = run(["gzip", "-9"], input=tar(pictures().items()), check=True, capture_output=True)
    assert found(data.stdout) == list(pictures().items())


def test_an_image_alone_and_other_containers():
    inner = gzip.compress(tar([("a.jpg", jpeg())]))
    assert found(gzip.compress(jpeg())) == [(None, jpeg())]
    assert found(gzip.compress(zipped(pictures()))) == list(pictures().items())
    assert found(tar([("inner.tgz", inner)])) == [("a.jpg", jpeg())]


def test_what_holds_no_image_is_left_alone():
    for content in (b"", b"x", b"text " * 9999, NOISE, tar([("a.txt", b"text")])):
        assert found(gzip.compress(content)) == []


def test_damaged_files_and_more_than_one_member_are_left_alone():
    whole = gzip.compress(tar(pictures().items()))
    others = [whole[:-1], whole + b"\0", whole + whole, whole[:-8] + b"12345678", whole[:18]]
    for data in others:
        spans = find(data, 0, Held(data))
        assert "gzip" not in [span.packing for span in spans]
        assert assembled(data, spans) == data


def test_a_bomb_is_not_expanded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gzips, "MOST_CONTENT_BYTES", 1 << 20)
    files = [("a.jpg", jpeg()), ("zeros", bytes(1 << 21))]
    data = gzip.compress(tar(files))
    assert len(data) < 1 << 16
    seen = look_into(data, 0, Held(data))
    assert "gzip" not in [span.packing for span in seen.spans]


def photographs(count: int) -> list[tuple[str, bytes]]:
    """JPEG files of some kilobytes, no two the same, and notes."""
    chance = random.Random(5)
    files: list[tuple[str, bytes]] = []
    for number in range(count):
        pixels = detailed(number)[:96, :128]
        files.append((f"set/{number:03d}.jpg", image_bytes(pixels, "JPEG", quality=90)))
        words = " ".join(chance.choices(("light", "shadow", "lens", "hour"), k=200))
        files.append((f"set/{number:03d}.txt", f"{number} {words}".encode()))
    return files


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("size_bytes", [30_000, 70_000])
def test_large_ones_are_taken_in_parts(size_bytes: int, level: int):
    files = photographs(60)
    data = gzip.compress(tar(files), level)
    images = [one for one in files if one[0].endswith(".jpg")]
    assert len(data) > 3 * size_bytes
    assert in_pieces(data, size_bytes) == images
    assert in_pieces(data + b"something behind", size_bytes) == images


@pytest.mark.skipif(which("gzip") is None, reason="no program gzip")
def test_parts_of_what_the_gzip_program_writes():
    files = photographs(30)
    made = run(["gzip", "-c", "-n"], input=tar(files), check=True, capture_output=True)
    assert in_pieces(made.stdout, 40_000) == [one for one in files if one[0].endswith(".jpg")]


@pytest.mark.parametrize("level", [1, 6])
def test_parts_with_stored_blocks_come_back(level: int):
    """Which begin at whole bytes, wherever a part begins."""
    chance = random.Random(7)
    files: list[tuple[str, bytes]] = []
    for name, data in photographs(40):
        files += [(name, data), (f"{name}.bin", chance.randbytes(chance.randrange(3000)))]
    images = [one for one in files if one[0].endswith(".jpg")]
    coder = zlib.compressobj(level, zlib.DEFLATED, 31, 4)
    data = coder.compress(tar(files)) + coder.flush()
    assert in_pieces(data, 15_000) == images


def test_a_plain_reader_puts_parts_together():
    data = gzip.compress(tar(photographs(9))) + b"something behind"
    ranges, ends = Held(data), [0]
    while ends[-1] < len(data):
        ends.append(cut(ranges, ends[-1] + 5000))
    assert len(ends) > 2
    for start, end in pairwise(ends):
        piece = data[start:end]
        for span in find(piece, start, ranges):
            if span.packing == "gzip-part" and span.content is not None:
                assert gzip_part(span.content, span.recipe, plain_deflate.rebuild) == piece


def test_parts_of_an_array():
    stack = np.stack([textured(96, 128, i)[..., 0].astype(np.uint16) * 9 for i in range(40)])
    sink = io.BytesIO()
    np.save(sink, stack)
    data = gzip.compress(sink.getvalue(), 4)
    images = in_pieces(data, 100_000)
    numbers = sum(
        raster.samples.size for _, image in images for raster in read_image(image).rasters
    )
    assert len(images) > 2
    assert numbers > 0.9 * stack.size


def test_a_part_is_the_same_whoever_looks_and_wherever_he_begins():
    data = gzip.compress(tar(photographs(40)))
    ranges = Held(data)
    places = {cut(ranges, position) for position in range(0, len(data), 7001)}
    assert all(cut(ranges, place) == place for place in places)
    in_order = sorted(places)
    known = Remembered(data)
    for position in random.Random(1).sample(range(len(data)), 30):
        assert cut(known, position) == cut(ranges, position)
    assert [cut(ranges, place - 1) for place in in_order[1:-1]] == in_order[1:-1]


def test_damaged_parts_stay_as_they_are():
    data = gzip.compress(tar(photographs(40)))
    chance = random.Random(2)
    for _ in range(12):
        bad = bytearray(data)
        for at in chance.sample(range(len(bad)), chance.choice((1, 5))):
            bad[at] ^= 1 << chance.randrange(8)
        in_pieces(bytes(bad[: chance.choice((len(bad), len(bad) // 2))]), 60_000)


def test_a_stream_that_grows_too_much_has_no_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gzip_stream, "_CONTENT_BYTES", 1 << 18)
    data = gzip.compress(tar([*photographs(5), ("zeros", bytes(1 << 25))]))
    assert in_pieces(data, 10_000) == []


def test_a_stream_without_recipe_is_left_alone():
    coder = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_FIXED)
    data = coder.compress(tar(pictures().items())) + coder.flush()
    spans = find(data, 0, Held(data))
    assert assembled(data, spans) == data
