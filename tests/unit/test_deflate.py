"""Raw deflate streams come back bit for bit, and their recipes are small."""

import random
import zlib
from pathlib import Path

import pytest

from seec.pipeline.deflate import _deflate, analyse, is_available, rebuild, streams
from seec.pipeline.lab.deflate import main
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.deflated import FOREIGN, contents, flushed, odd_stream, zlib_stream
from tests.pictures import textured
from tests.sources import image_bytes

LIMIT = 1 << 24
CONTENTS = contents()


def recipe_of(stream: bytes, content: bytes) -> bytes:
    """The recipe of a stream that comes back."""
    found, recipe, used = analyse(stream + b"what follows", LIMIT)
    assert found == content
    assert used == len(stream)
    assert rebuild(content, recipe) == stream
    return recipe


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("level", range(10))
def test_streams_of_zlib_have_recipes_of_a_few_bytes(level: int, kind: str):
    recipe = recipe_of(zlib_stream(CONTENTS[kind], level), CONTENTS[kind])
    assert len(recipe) <= 40


@pytest.mark.parametrize("strategy", range(5))
@pytest.mark.parametrize("memory_level", range(1, 10))
def test_all_memory_levels_and_strategies_of_zlib_are_known(memory_level: int, strategy: int):
    content = CONTENTS["all"]
    for level in (1, 6):
        stream = zlib_stream(content, level, memory_level, strategy)
        blocks = len(content) >> memory_level + 6
        assert len(recipe_of(stream, content)) <= 40 + blocks // 4


@pytest.mark.parametrize("window_bits", range(9, 16))
def test_all_windows_of_zlib_are_known(window_bits: int):
    content = CONTENTS["a picture"] + CONTENTS["words"]
    for level in (1, 6, 9):
        assert len(recipe_of(zlib_stream(content, level, 8, 0, window_bits), content)) <= 40


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("program", FOREIGN)
def test_streams_of_other_programs_come_back(program: str, kind: str):
    content = CONTENTS[kind]
    stream = FOREIGN[program](content)
    recipe = recipe_of(stream, content)
    assert len(recipe) <= 48 + len(stream) // (
        7 if kind == "words" or program == "zlib-ng 1" else 20
    )


@pytest.mark.parametrize("mode", [zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH])
def test_flushed_streams_come_back(mode: int):
    content = CONTENTS["words"]
    stream = flushed(content, mode)
    assert len(recipe_of(stream, content)) < len(stream) // 20


def test_streams_that_no_program_writes_come_back():
    for seed in range(200):
        stream, content = odd_stream(seed)
        assert zlib.decompress(stream, -15) == content
        # Most of these need large recipes.
        found = _deflate.analyse(stream, LIMIT, LIMIT)
        assert not isinstance(found, str), seed
        assert found[0] == content
        assert found[2] == len(stream)
        assert rebuild(content, found[1]) == stream, seed


def test_a_recipe_above_a_quarter_of_the_stream_is_refused():
    kept = 0
    for seed in range(100):
        stream, _ = odd_stream(seed)
        parts = _deflate.analyse(stream, LIMIT, LIMIT)
        assert not isinstance(parts, str)
        _, recipe, used = parts
        if len(recipe) > 52 + max(128, used // 4):
            with pytest.raises(UnreadableImage, match="not reproduced"):
                analyse(stream, LIMIT)
        else:
            kept += 1
    assert 20 < kept < 80


def test_another_content_is_no_content_of_a_recipe():
    content = CONTENTS["words"]
    recipe = recipe_of(FOREIGN["zopfli"](content), content)
    other = bytearray(content)
    random.Random(0).shuffle(other)
    try:
        stream = rebuild(bytes(other), recipe)
    except SectionCorrupt:
        return
    assert zlib.decompress(stream, -15) != content


def test_without_the_extension_nothing_is_taken_apart(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "_deflate", None)
    assert not is_available()
    with pytest.raises(UnreadableImage, match="compiler"):
        analyse(zlib_stream(b"a"), LIMIT)
    with pytest.raises(UnreadableImage, match="compiler"):
        rebuild(b"a", b"")


def test_recipes_are_measured_by_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.png").write_bytes(image_bytes(textured(20, 30), "PNG"))
    (tmp_path / "b.txt").write_bytes(CONTENTS["words"][:3000])
    main([str(tmp_path / "a.png"), str(tmp_path / "b.txt")])
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split(" | ")[0][2:]: line.split(" | ")[1:3] for line in lines}
    assert cells["as it is"] == ["1", "0"]
    assert cells["zlib 6"] == cells["zopfli"] == ["2", "0"]
