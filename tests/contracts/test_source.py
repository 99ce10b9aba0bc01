"""What is listed of a source, and how it is read."""

import os
import pickle
import socket
import uuid
import zipfile
from pathlib import Path

import fsspec
import pytest

from seec.pipeline.archive import Archive
from seec.pipeline.storage import Source, Store, Target
from seec.schemas.errors import SourceChanged, StorageError
from seec.schemas.kinds import DIRECTORY, FILE, LINK
from seec.schemas.names import unescape
from tests.sources import ODD_NAMES
from tests.trees import unprivileged


def listed(root: Path) -> dict[bytes, str | None]:
    return {unescape(file.path): file.problem for file in Source(str(root)).files()}


def test_every_name_is_listed_and_read(source: Path):
    files = {unescape(file.path): file for file in Source(str(source)).files()}
    for name in ODD_NAMES:
        assert Source(str(source)).read(files[name]).startswith(b"\x89PNG")


def test_the_listing_is_sorted_and_the_same_every_time(source: Path):
    files = Source(str(source)).files()
    assert files == sorted(files, key=lambda file: file.path) == Source(str(source)).files()


def test_links_are_links_wherever_they_lead(tmp_path: Path):
    targets = ("plain", "nowhere", "/etc/passwd", "..", "sub", "loop", os.fsdecode(b"\xff\n"))
    (tmp_path / "plain").write_bytes(b"data")
    (tmp_path / "sub").mkdir()
    for index, target in enumerate(targets):
        (tmp_path / f"link{index}").symlink_to(target)
    source = Source(str(tmp_path))
    links = [file for file in source.files() if file.kind == LINK]
    assert [source.read(link) for link in links] == [os.fsencode(target) for target in targets]
    assert {file.path: file.kind for file in source.files() if file not in links} == {
        "plain": FILE,
        "sub": DIRECTORY,
    }


def test_a_source_may_be_named_by_a_link(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("real")
    source = Source(str(tmp_path / "link"))
    (file,) = source.files()
    assert source.read(file) == b"data"


def test_directories_and_permissions_are_listed(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_bytes(b"data")
    (tmp_path / "a" / "file").chmod(0o4751)
    (tmp_path / "a" / "b").chmod(0o1700)
    source = Source(str(tmp_path))
    listing = {file.path: (file.kind, file.permissions, file.size_bytes) for file in source.files()}
    assert listing["a/file"] == (FILE, 0o4751, 4)
    assert listing["a/b"] == (DIRECTORY, 0o1700, 0)
    assert listing.keys() == {"a", "a/b", "a/file"}


def test_names_of_one_file_name_the_first(tmp_path: Path):
    (tmp_path / "m").write_bytes(b"data")
    for name in ("z", "b"):
        os.link(tmp_path / "m", tmp_path / name)
    (tmp_path / "link").symlink_to("m")
    same = {file.path: file.same_file for file in Source(str(tmp_path)).files()}
    assert same == {"b": None, "link": None, "m": "b", "z": "b"}
    os.link(tmp_path / "m", tmp_path.parent / f"{tmp_path.name} outside")
    (tmp_path / "b").unlink()
    (tmp_path / "z").unlink()
    assert [file.same_file for file in Source(str(tmp_path)).files()] == [None, None]


def test_special_files_are_named_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert listed(tmp_path) == {
            b"pipe": "a named pipe, neither file nor directory nor link",
            b"socket": "a socket, neither file nor directory nor link",
        }


def test_a_tree_deeper_than_any_path_is_listed_and_read(tmp_path: Path):
    names = ["d" * 255] * 20
    folder = os.open(tmp_path, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    with os.fdopen(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder), "wb") as handle:
        handle.write(b"data")
    os.close(folder)
    source = Source(str(tmp_path))
    files = {file.path: file for file in source.files()}
    assert source.read(files["/".join([*names, "file"])]) == b"data"


def test_a_directory_that_cannot_be_listed_is_a_problem(tmp_path: Path):
    (tmp_path / "closed" / "inner").mkdir(parents=True)
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").chmod(0)
    with unprivileged(tmp_path):
        problems = listed(tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert problems == {
        b"open": None,
        b"closed": "a directory that cannot be listed, Permission denied",
    }


def test_a_file_that_becomes_unreadable_is_an_error_that_says_why(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"data")
    source = Source(str(tmp_path))
    (file,) = source.files()
    (tmp_path / "a").chmod(0)
    with unprivileged(tmp_path), pytest.raises(StorageError, match="read a: Permission denied"):
        source.read(file)


def test_a_source_that_cannot_be_reached_is_an_error(tmp_path: Path):
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0)
    with unprivileged(tmp_path), pytest.raises(StorageError, match="Permission denied"):
        Source(str(inner))
    inner.parent.chmod(0o700)


@pytest.mark.parametrize("other", ["link", "pipe", "folder", "parent"])
def test_a_replacement_of_a_listed_file_is_not_read(tmp_path: Path, other: str):
    outside, root = tmp_path / "outside", tmp_path / "source"
    for folder in (outside, root / "sub"):
        folder.mkdir(parents=True)
        (folder / "a").write_bytes(b"data")
        os.utime(folder / "a", ns=(0, 0))
    source = Source(str(root))
    file = source.files()[1]
    path = root / "sub" / "a"
    path.unlink()
    if other == "link":
        path.symlink_to(outside / "a")
    elif other == "pipe":
        os.mkfifo(path)
    elif other == "folder":
        path.mkdir()
    else:
        path.parent.rmdir()
        path.parent.symlink_to(outside)
    with pytest.raises(SourceChanged):
        source.read(file)


def test_a_file_that_grows_while_it_is_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "log"
    path.write_bytes(b"one line\n")
    source = Source(str(tmp_path))
    (file,) = source.files()
    fstat = os.fstat

    def grows(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        with path.open("ab") as handle:
            handle.write(b"another\n")
        return status

    monkeypatch.setattr(os, "fstat", grows)
    with pytest.raises(SourceChanged):
        source.read(file)


@pytest.mark.parametrize("change", ["retarget", "file", "vanish"])
def test_a_link_that_changed_since_the_listing_is_not_taken(tmp_path: Path, change: str):
    path = tmp_path / "link"
    path.symlink_to("one")
    source = Source(str(tmp_path))
    (link,) = source.files()
    path.unlink()
    if change == "retarget":
        path.symlink_to("two")
    elif change == "file":
        path.write_bytes(b"one")
        os.utime(path, ns=(0, link.mtime_ns or 0))
    with pytest.raises(SourceChanged):
        source.read(link)


@pytest.mark.parametrize("change", ["grow", "shrink", "touch", "vanish"])
def test_a_file_that_changed_since_the_listing_is_not_read(tmp_path: Path, change: str):
    path = tmp_path / "a"
    path.write_bytes(b"data")
    (file,) = Source(str(tmp_path)).files()
    if change == "vanish":
        path.unlink()
        with pytest.raises(SourceChanged, match="gone"):
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


@pytest.mark.parametrize("url", ["https://example.org/photos", "data://x", "http://h/a/b"])
def test_what_cannot_be_listed_is_refused(url: str):
    for make in (Source, lambda url: Archive.open(Store(url))):
        with pytest.raises(StorageError, match="no folders that can be listed"):
            make(url)


def test_a_remote_folder_that_is_not_there_is_an_error(s3_url: str):
    for url in (f"{s3_url}/none", f"memory://{uuid.uuid4()}"):
        with pytest.raises(StorageError, match="nothing is there; check the URL"):
            Source(url).files()


def test_a_whole_zip_file_is_a_source_that_its_path_tells_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("one", "two"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as packed:
            packed.writestr("alpha/a.png", f"{name}, below")
            packed.writestr("beta.png", name)
    monkeypatch.chdir(tmp_path)
    urls = ["zip://::one.zip", "zip:///::file://one.zip", f"zip://::file://{tmp_path}/one.zip"]
    sources = [Source(url) for url in urls]
    monkeypatch.chdir("/")
    for source in map(pickle.loads, map(pickle.dumps, sources)):
        assert source.url == f"zip://::file://{tmp_path}/one.zip"
        files = source.files()
        assert [file.path for file in files] == ["alpha/a.png", "beta.png"]
        assert [source.read(file) for file in files] == [b"one, below", b"one"]
        assert source.read_range(files[1], 1, 1) == b"n"
        assert source.store.top_level() == ["alpha", "beta.png"]
    other = Source(f"zip://::{tmp_path}/two.zip")
    assert other.record() != sources[0].record()
    assert not other.store.overlaps(sources[0].store)
    assert sources[0].store.overlaps(Store(f"zip://alpha::{tmp_path}/one.zip"))


def test_a_store_that_cannot_remove_is_refused_for_writing(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        packed.writestr("holiday/a.png", b"data")
    url = f"zip://holiday::file://{tmp_path}/photos.zip"
    assert [file.path for file in Source(url).files()] == ["a.png"]
    with pytest.raises(StorageError, match="removes no files"), Archive.writing(Store(url), b""):
        pass
    with pytest.raises(StorageError, match="removes no files"):
        Target(url)
