"""Archives as programs read them."""

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seec
from seec.schemas.errors import DigestMismatch, NotAnArchive, UnknownCommit, UnknownPath
from tests.archives import life
from tests.pictures import textured


@pytest.fixture
def archived(tmp_path: Path) -> seec.Archive:
    """Two texts and a picture after one run, then another text, a new first one, one gone."""
    source = tmp_path / "source"
    life.put_files(source, first="one", second="two")
    Image.fromarray(textured(20, 30)).save(source / "picture.png")
    life.archive(source, tmp_path / "archive")
    life.put_files(source, first="once more", third="three")
    (source / "second.txt").unlink()
    life.archive(source, tmp_path / "archive", prune_missing=True)
    return seec.open(str(tmp_path / "archive"))


def test_paths_are_those_that_count(archived: seec.Archive) -> None:
    assert list(archived.paths()) == ["first.txt", "picture.png", "third.txt"]
    assert list(archived.paths(["*.txt"])) == ["first.txt", "third.txt"]
    assert "first.txt" in archived
    assert "second.txt" not in archived


def test_a_file_is_that_of_the_latest_run(archived: seec.Archive) -> None:
    assert archived.read("first.txt") == b"once more"
    assert archived.read("third.txt") == b"three"
    with pytest.raises(UnknownPath, match=r"second\.txt: not in"):
        archived.read("second.txt")


def test_an_earlier_commit_shows_what_was_there(archived: seec.Archive) -> None:
    first_run = [
        number for number in range(1, 20) if _texts_at(archived.url, number) == {"one", "two"}
    ]
    assert first_run
    with pytest.raises(UnknownCommit):
        seec.open(archived.url, at=1000)


def _texts_at(url: str, number: int) -> set[str]:
    try:
        archive = seec.open(url, at=number)
    except UnknownCommit:
        return set()
    return {archive.read(path).decode() for path in archive.paths(["*.txt"])}


def test_pixels_and_facts_of_an_image(archived: seec.Archive) -> None:
    assert np.array_equal(archived.pixels("picture.png"), textured(20, 30))
    info = archived.info("picture.png")
    assert (info.width, info.height, info.lossless) == (30, 20, True)
    with Image.open(io.BytesIO(archived.read("picture.png"))) as image:
        assert image.size == (30, 20)
    with pytest.raises(seec.SourceError, match=r"first\.txt"):
        archived.pixels("first.txt")


def test_threads_and_pickles_read_the_same(archived: seec.Archive) -> None:
    again = pickle.loads(pickle.dumps(archived))  # noqa: S301
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(archived.read, ["first.txt", "third.txt"] * 10))
    assert read == [again.read("first.txt"), again.read("third.txt")] * 10


def test_verify_finds_a_flipped_bit_and_nothing_else(archived: seec.Archive) -> None:
    assert list(archived.verify()) == []
    blob = max(Path(archived.url).glob("blobs/*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    kinds = {finding.kind for finding in archived.verify(decode=False)}
    assert kinds
    assert all("blob" in kind or "payload" in kind or "image" in kind for kind in kinds)
    with pytest.raises(DigestMismatch):
        [archived.read(path) for path in archived.paths()]


def test_a_folder_without_archive_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotAnArchive):
        seec.open(str(tmp_path))
