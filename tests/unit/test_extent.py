"""Width and height from a file's first bytes: those that decoding finds."""

import random

import pytest

from seec.pipeline.images.files import read_extent, read_header
from tests.jpegs import detailed
from tests.pictures import textured
from tests.sources import coded_files, image_bytes, jpeg_files, plane_files

FILES = coded_files() | plane_files()


def extent(data: bytes) -> tuple[int, int] | None:
    return read_extent(lambda start, length: data[start : start + length])


def size(data: bytes) -> tuple[int, int]:
    first = read_header(data).shapes[0]
    return first.width, first.height


@pytest.mark.parametrize("name", FILES)
def test_the_extent_is_that_of_the_file(name: str):
    assert extent(FILES[name]) == size(FILES[name])


def test_a_tiff_directory_may_lie_behind_the_samples():
    data = image_bytes(detailed(), "TIFF", compression="tiff_lzw")
    assert int.from_bytes(data[4:8], "little") > 4096
    assert extent(data) == size(data)


def test_files_that_seec_does_not_code_have_no_extent():
    lossy = image_bytes(textured(20, 30), "WEBP", quality=80)
    assert [extent(data) for data in (b"", b"text", lossy)] == [None] * 3
    assert {extent(data) for data in jpeg_files().values()} == {None}


def test_damage_raises_nothing():
    rng = random.Random(0)
    for data in FILES.values():
        for end in (*range(0, 64, 3), len(data) // 2):
            extent(data[:end])
        for _ in range(40):
            damaged = bytearray(data)
            for _ in range(4):
                damaged[rng.randrange(min(len(data), 200))] = rng.randrange(256)
            found = extent(bytes(damaged))
            assert found is None or min(found) > 0
