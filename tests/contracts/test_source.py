"""What is listed of a source, and how it is read."""

import os
import socket
import uuid
from pathlib import Path

import fsspec
import pytest

from pipeline.storage import Source
from schemas.errors import ObjectMissing, SourceChanged, StorageError
from schemas.names import unescape
from tests.sources import ODD_NAMES


def listed(root: Path) -> dict[bytes, str | None]:
    return {unescape(file.path): file.problem for file in Source(str(root)).files()}


def test_every_name_is_listed_and_read(source: Path):
    files = {unescape(file.path): file for file in Source(str(source)).files()}
    for name in ODD_NAMES:
        assert Source(str(source)).read(files[name]).startswith(b"\x89PNG")


def test_the_listing_is_sorted_and_the_same_every_time(source: Path):
    files = Source(str(source)).files()
    assert files == sorted(files, key=lambda file: file.path) == Source(str(source)).files()


def test_links_are_followed_inside_the_source_only(tmp_path: Path):
    (tmp_path / "outside").write_bytes(b"secret")
    root = tmp_path / "source"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_bytes(b"data")
    (root / "in").symlink_to(root / "file")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "dangling").symlink_to("nothing")
    (root / "sub" / "loop").symlink_to(root)
    problems = listed(root)
    assert problems[b"file"] is None
    assert problems[b"in"] is None
    assert "out of the source" in (problems[b"out"] or "")
    assert "nothing" in (problems[b"dangling"] or "")
    assert problems[b"sub/loop"] is not None
    assert len(problems) == 5


def test_what_is_no_file_is_named_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert listed(tmp_path) == dict.fromkeys(
            [b"pipe", b"socket"], "neither a file nor a directory"
        )


@pytest.mark.parametrize("change", ["grow", "shrink", "touch", "vanish"])
def test_a_file_that_changed_since_the_listing_is_not_read(tmp_path: Path, change: str):
    path = tmp_path / "a"
    path.write_bytes(b"data")
    (file,) = Source(str(tmp_path)).files()
    if change == "vanish":
        path.unlink()
        with pytest.raises(ObjectMissing):
            Source(str(tmp_path)).read(file)
        return
    path.write_bytes({"grow": b"more data", "shrink": b"d", "touch": b"data"}[change])
    os.utime(path, ns=(0, 12345))
    with pytest.raises(SourceChanged):
        Source(str(tmp_path)).read(file)


def test_a_source_that_is_not_a_directory_is_an_error(tmp_path: Path):
    with pytest.raises(StorageError, match="not a directory"):
        Source(str(tmp_path / "missing"))


def test_sources_that_are_not_local():
    root = f"memory://{uuid.uuid4()}"
    fs = fsspec.filesystem("memory")
    fs.pipe({f"{root}/b/c.png": b"data", f"{root}/a.png": b""})
    source = Source(root)
    files = source.files()
    assert [file.path for file in files] == ["a.png", "b/c.png"]
    assert [source.read(file) for file in files] == [b"", b"data"]
    assert source.files() == files
    fs.pipe_file(f"{root}/a.png", b"new")
    with pytest.raises(SourceChanged):
        source.read(files[0])
