"""Images in gzip files: of one image, and of what holds images."""

import gzip
import io
import random
import tarfile
import zlib
from shutil import which
from subprocess import run

import pytest

from seec.pipeline import deflate
from seec.pipeline.containers import Held, find, gzips, is_container, look_into
from seec.pipeline.images.ranges import Parts
from tests.containers import assembled, found, pictures, tar, zipped
from tests.jpegs import jpeg

pytestmark = pytest.mark.skipif(not deflate.is_available(), reason="no C compiler")
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


def test_a_piece_of_one_is_not_opened_and_says_what_to_do():
    data = gzip.compress(tar([(f"{i}.txt", NOISE) for i in range(9)]))
    head = data[:8192]
    seen = look_into(head, 0, Parts(len(data), ((0, head),)))
    assert seen.spans == ()
    assert seen.reason is not None
    assert "unpack it" in seen.reason


def test_a_stream_without_recipe_is_left_alone():
    coder = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_FIXED)
    data = coder.compress(tar(pictures().items())) + coder.flush()
    spans = find(data, 0, Held(data))
    assert assembled(data, spans) == data
