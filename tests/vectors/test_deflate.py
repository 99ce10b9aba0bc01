"""Golden recipes, and a reader written from FORMAT-DEFLATE.md alone."""

import random
import zlib

import pytest

from seec.pipeline.deflate import _deflate, analyse, rebuild
from seec.schemas.errors import SectionCorrupt
from tests.deflated import odd_stream
from tests.hostile.fuzz.deflate import LIMIT, seeds
from tests.hostile.fuzz.mutation import mutated
from tests.vectors import plain_deflate
from tests.vectors.make_deflate import FOLDER

NAMES = sorted(path.stem for path in FOLDER.glob("*.recipe"))


@pytest.mark.parametrize("name", NAMES)
def test_golden_recipes_give_their_streams(name: str):
    stream = (FOLDER / f"{name}.deflate").read_bytes()
    recipe = (FOLDER / f"{name}.recipe").read_bytes()
    content = zlib.decompress(stream, -15)
    assert rebuild(content, recipe) == stream
    assert plain_deflate.rebuild(content, recipe) == stream
    assert analyse(stream, LIMIT) == (content, recipe, len(stream))


def test_there_are_golden_recipes():
    assert len(NAMES) > 10


@pytest.mark.parametrize("part", range(4))
def test_the_plain_reader_rebuilds_streams_of_all_kinds(part: int):
    for stream in (*seeds()[part::4], *(odd_stream(100 + 4 * i + part)[0] for i in range(6))):
        found = _deflate.analyse(stream, LIMIT, LIMIT)
        assert not isinstance(found, str)
        content, recipe, used = found
        assert plain_deflate.rebuild(content, recipe) == stream[:used]


def test_the_plain_reader_agrees_on_damaged_recipes():
    recipe = (FOLDER / "libdeflate-6.recipe").read_bytes()
    content = zlib.decompress((FOLDER / "libdeflate-6.deflate").read_bytes(), -15)
    read = 0
    for seed in range(60):
        damaged = mutated(recipe, random.Random(seed))
        try:
            stream = rebuild(content, damaged)
        except SectionCorrupt:
            with pytest.raises((AssertionError, IndexError, KeyError, ValueError)):
                plain_deflate.rebuild(content, damaged)
            continue
        assert plain_deflate.rebuild(content, damaged) == stream
        read += 1
    assert read > 2
