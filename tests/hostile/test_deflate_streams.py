"""Deflate streams and recipes that ask for too much, or are damaged."""

import zlib

import pytest

from seec.pipeline.deflate import analyse, rebuild
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.deflated import Writer, zlib_stream


def test_a_bomb_stops_at_its_limit():
    bomb = zlib_stream(bytes(20 << 20), 9)
    with pytest.raises(UnreadableImage, match="limit"):
        analyse(bomb, 1 << 20)
    assert analyse(bomb, 20 << 20)[0] == bytes(20 << 20)


def test_blocks_without_content_are_bounded():
    w = Writer()
    for _ in range(100_000):
        w.number(2, 10)
    w.number(3, 10)
    w.bits += [0] * (-len(w.bits) % 8)
    bits = "".join(map(str, reversed(w.bits)))
    stream = int(bits, 2).to_bytes(len(bits) // 8, "little")
    assert zlib.decompress(stream, -15) == b""
    with pytest.raises(UnreadableImage):
        analyse(stream, 1 << 30)


@pytest.mark.parametrize("cut", [0, 1, 5, 100, -1])
def test_streams_that_are_cut_short_are_refused(cut: int):
    stream = zlib_stream(bytes(range(256)) * 9)
    with pytest.raises(UnreadableImage, match="damaged"):
        analyse(stream[:cut], 1 << 20)


def test_a_recipe_cannot_ask_for_more_than_its_content_needs():
    content, recipe, _ = analyse(zlib_stream(b"some words, some words" * 50), 1 << 20)
    for settings in (b"", bytes(13), b"\xff" * 80, recipe[:5], b"\3" + bytes(12) + recipe[13:]):
        with pytest.raises(SectionCorrupt):
            rebuild(content, settings)
    for tail in (b"", b"\xff" * 1000, bytes(1000), b"\x55" * 1000, b"\xaa" * 1000):
        try:
            stream = rebuild(content, recipe[:-3] + tail)
        except SectionCorrupt:
            continue
        assert len(stream) <= 2 * len(content) + (1 << 17)
