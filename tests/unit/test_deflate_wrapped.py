"""Deflate streams within zlib and gzip, and in zip archives."""

import gzip
import io
import struct
import zipfile
import zlib

import pytest

from seec.pipeline.containers import PACKINGS, Held, find
from seec.pipeline.deflate import Alike
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.deflated import contents, zlib_stream, zopfli
from tests.pictures import textured
from tests.sources import image_bytes

WORDS = contents()["words"][:20000]
LIMIT = 1 << 20
TRAILER = struct.pack("<II", zlib.crc32(WORDS), len(WORDS))
GZIP = {
    "of Python": gzip.compress(WORDS, 6, mtime=77),
    "with a name": b"\x1f\x8b\x08\x08\0\0\0\0\0\3name\0" + zlib_stream(WORDS) + TRAILER,
    "with all": b"\x1f\x8b\x08\x1e\0\0\0\0\0\3\2\0xxname\0words\0cc" + zopfli(WORDS) + TRAILER,
}


@pytest.mark.parametrize("kind", GZIP)
def test_members_of_gzip_come_back(kind: str):
    content, recipe = PACKINGS["gzip"].unpack(GZIP[kind], LIMIT)
    assert content == WORDS
    assert PACKINGS["gzip"].pack(content, recipe) == GZIP[kind]
    assert len(recipe) < 80 + len(GZIP[kind]) // 8


@pytest.mark.parametrize("level", range(10))
def test_streams_of_zlib_come_back(level: int):
    data = zlib.compress(WORDS, level)
    content, recipe = PACKINGS["zlib"].unpack(data, LIMIT)
    assert content == WORDS
    assert PACKINGS["zlib"].pack(content, recipe) == data
    assert len(recipe) < 50


def test_streams_of_one_writer_share_recipes():
    streams, recipes = Alike(), set[bytes]()
    for i in range(12):
        plain = WORDS[900 * i :][:1000]
        data = zlib.compress(plain, (6, 9)[i % 2])
        content, recipe = streams.unpack(data, LIMIT)
        assert content == plain
        assert PACKINGS["zlib"].pack(content, recipe) == data
        recipes.add(recipe)
    assert len(recipes) < 5
    data = zlib.compress(WORDS)
    for wrong in (b"", data[:9], data[:-1], data + b"\0", data[:-1] + bytes([data[-1] ^ 1])):
        with pytest.raises(UnreadableImage):
            streams.unpack(wrong, LIMIT)
    with pytest.raises(UnreadableImage, match="limit"):
        streams.unpack(data, len(WORDS) - 1)
    assert streams.unpack(data, len(WORDS))[0] == WORDS


def test_other_bytes_are_refused():
    sound = {
        "deflate": zlib_stream(WORDS),
        "zlib": zlib.compress(WORDS),
        "gzip": GZIP["with all"],
    }
    for name, data in sound.items():
        packing = PACKINGS[name]
        cut = [data[:i] for i in (0, 1, 5, 12, 30, len(data) - 1)]
        for wrong in (*cut, data + b"\0", data[:-1] + bytes([data[-1] ^ 1])):
            if name == "deflate" and len(wrong) == len(data):
                continue  # no checksum
            with pytest.raises(UnreadableImage):
                packing.unpack(wrong, LIMIT)
        with pytest.raises(UnreadableImage, match="limit"):
            packing.unpack(data, len(WORDS) - 1)
        recipe = packing.unpack(data, LIMIT)[1]
        for wrong in (b"", recipe[:3], b"\xff" * 30):
            with pytest.raises(SectionCorrupt):
                packing.pack(WORDS, wrong)


def test_images_within_deflated_members_of_zip_archives_are_found():
    picture = image_bytes(textured(60, 80), "BMP")
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", picture)
    data = sink.getvalue()
    [span] = find(data, 0, Held(data))
    assert (span.packing, span.content) == ("deflate", picture)
    packed = PACKINGS["deflate"].pack(picture, span.recipe)
    assert packed == data[span.start : span.start + span.length]
