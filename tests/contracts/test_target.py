"""What is written below a target, and that nothing is written outside of it."""

import errno
import os
import uuid
from pathlib import Path

import pytest

from seec.pipeline.storage import Target, tree_writer
from seec.schemas.errors import ObjectExists, SourceError, StorageError, TargetError
from seec.schemas.names import escape
from tests.trees import no_hard_links, unprivileged

NAMES = (
    b"plain",
    b"new\nline",
    b"-rf",
    b"not utf-8 \xff\xfe",
    b"back\\slash",
    b"CON",
    b"nul.txt",
    b"trailing dot.",
    b"trailing space ",
    b"a:b",
    b"*?<>|\"'`$(x)",
    b"~",
    b".partial-of something",
    b"x" * 255,
    b"/".join([b"d" * 255] * 20 + [b"deeper than any path"]),
    "composed \N{LATIN SMALL LETTER E WITH ACUTE}".encode(),
    "composed e\N{COMBINING ACUTE ACCENT}".encode(),
    b"case",
    b"CASE",
)


def write(target: Target, path: str, data: bytes = b"data", overwrite: bool = False) -> None:
    target.write_file(path, data, permissions=None, mtime_ns=None, overwrite=overwrite)


def link(target: Target, path: str, points_to: bytes, overwrite: bool = False) -> None:
    target.write_link(path, points_to, mtime_ns=5, overwrite=overwrite)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(str(tmp_path / "out"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_any_name_can_be_written(target: Target, out: Path):
    for index, name in enumerate(NAMES):
        write(target, escape(name), bytes([index]))
    assert all(target.exists(escape(name)) for name in NAMES)
    for index, name in enumerate(NAMES):
        if len(name) < 1000:
            assert (out / os.fsdecode(name)).read_bytes() == bytes([index])


def test_permissions_and_times_are_exact_whatever_the_umask(target: Target, out: Path):
    before = os.umask(0o077)
    try:
        for mode in (0o000, 0o444, 0o600, 0o644, 0o777):
            name = f"{mode:o}"
            target.write_file(name, b"", permissions=mode, mtime_ns=1234567890, overwrite=False)
            status = (out / name).stat()
            assert (status.st_mode & 0o7777, status.st_mtime_ns) == (mode, 1234567890)
    finally:
        os.umask(before)


def test_no_file_runs_with_the_rights_of_who_restored_it(target: Target, out: Path):
    target.write_file("a", b"", permissions=0o6755, mtime_ns=None, overwrite=False)
    target.make_folder("b", 0o7755, None)
    assert (out / "a").stat().st_mode & 0o7777 == 0o755
    assert (out / "b").stat().st_mode & 0o7777 == 0o1755


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", ".", "", "a/.", "a\0b"])
def test_paths_that_lead_elsewhere_are_refused(target: Target, tmp_path: Path, path: str):
    with pytest.raises(SourceError):
        write(target, path)
    with pytest.raises(SourceError):
        link(target, path, b"x")
    with pytest.raises(SourceError):
        target.make_folder(path, 0o755, None)
    write(target, "a/b")
    with pytest.raises(SourceError):
        target.write_hard_link(path, "a/b", overwrite=True)
    with pytest.raises(SourceError):
        target.write_hard_link("c", path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_link_in_the_target_is_followed(
    target: Target, out: Path, tmp_path: Path, overwrite: bool
):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b").write_bytes(b"theirs")
    (outside / "b").chmod(0o640)
    write(target, "file")
    link(target, "a", os.fsencode(outside))
    link(target, "inside", b".")
    for path in ("a/b", "a/c", "inside/c", "file/c"):
        with pytest.raises(StorageError, match="where a folder should be"):
            write(target, path, overwrite=overwrite)
        with pytest.raises(StorageError):
            link(target, path, b"x", overwrite)
        with pytest.raises(StorageError):
            target.write_hard_link(path, "file", overwrite=overwrite)
        with pytest.raises(StorageError):
            target.make_folder(path, 0o777, 1)
        with pytest.raises(StorageError):
            target.exists(path)
    with pytest.raises(StorageError):
        target.make_folder("a", 0o777, 1)
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"b": b"theirs"}
    assert (outside / "b").stat().st_mode & 0o777 == 0o640
    assert not (out / "c").exists()


def test_a_link_is_replaced_and_not_written_through(target: Target, out: Path, tmp_path: Path):
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    link(target, "a", os.fsencode(theirs))
    with pytest.raises(ObjectExists):
        write(target, "a")
    write(target, "a", overwrite=True)
    assert (theirs.read_bytes(), (out / "a").read_bytes()) == (b"theirs", b"data")
    assert not (out / "a").is_symlink()


def test_existing_files_stay_unless_overwrite_is_given(target: Target, out: Path):
    write(target, "a", b"mine")
    write(target, "first", b"file")
    for replace in (
        lambda overwrite: write(target, "a", b"new", overwrite),
        lambda overwrite: link(target, "a", b"x", overwrite),
        lambda overwrite: target.write_hard_link("a", "first", overwrite=overwrite),
    ):
        before = (out / "a").lstat()
        with pytest.raises(ObjectExists):
            replace(False)
        assert (out / "a").lstat() == before
        replace(True)
        assert (out / "a").lstat() != before
    assert (out / "a").samefile(out / "first")
    assert sorted(entry.name for entry in out.iterdir()) == ["a", "first"]


def test_a_folder_is_not_replaced_by_a_file(target: Target, out: Path):
    write(target, "a/b")
    for attempt in (
        lambda: write(target, "a", overwrite=True),
        lambda: link(target, "a", b"x", True),
    ):
        with pytest.raises(StorageError):
            attempt()
    assert (out / "a" / "b").read_bytes() == b"data"
    assert [entry.name for entry in out.iterdir()] == ["a"]


def test_links_keep_any_target_and_their_time(target: Target, out: Path):
    for index, points_to in enumerate((b"x", b"/etc/passwd", b"../..", b"\xff\n", b"y/" * 2000)):
        link(target, str(index), points_to)
        path = out / str(index)
        assert os.fsencode(path.readlink()) == points_to.rstrip(b"/") or len(points_to) > 255
        assert path.lstat().st_mtime_ns == 5
    with pytest.raises(StorageError, match="long"):
        link(target, "too long", b"z" * 5000)


@pytest.mark.parametrize("exclusive_renames", [True, False])
def test_where_there_are_no_hard_links_files_are_written_and_kept_all_the_same(
    target: Target, out: Path, monkeypatch: pytest.MonkeyPatch, exclusive_renames: bool
):
    with no_hard_links(monkeypatch, exclusive_renames=exclusive_renames):
        write(target, "a", b"mine")
        with pytest.raises(ObjectExists):
            write(target, "a", b"new")
        assert target.write_hard_link("b", "a", overwrite=False) is False
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"a": b"mine"}


def test_a_target_that_cannot_be_written_says_so(target: Target, out: Path, tmp_path: Path):
    out.mkdir()
    (out / "closed").mkdir(mode=0o555)
    with unprivileged(tmp_path), pytest.raises(StorageError, match=r"closed/a.*Permission denied"):
        write(target, "closed/a")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL])
def test_what_a_file_system_does_not_keep_of_a_file_is_told_and_does_not_stop_it(
    target: Target, out: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    def write_all(name: str) -> list[bool]:
        kept = target.write_file(name, b"data", permissions=0o640, mtime_ns=5, overwrite=False)
        return [kept, target.make_folder(f"{name} folder", 0o750, 5)]

    assert write_all("before") == [True, True]
    for setter in ("fchmod", "utime"):
        with monkeypatch.context() as patch:
            patch.setattr(os, setter, refuse)
            assert write_all(setter) == [False, False]
            link(target, f"{setter} link", b"x")
            assert (out / setter).read_bytes() == b"data"


def test_what_concerns_one_path_is_told_from_a_fault_of_the_archive(target: Target, out: Path):
    write(target, "file")
    out.joinpath("folder").mkdir()
    for refused in (
        lambda: write(target, "x" * 256),
        lambda: link(target, "x" * 256, b"x"),
        lambda: target.make_folder("x" * 256, 0o755, 1),
        lambda: target.exists("x" * 256),
        lambda: write(target, "file/inside"),
        lambda: write(target, "folder", overwrite=True),
        lambda: Target(f"memory://{uuid.uuid4()}").exists(escape(b"\xff")),
    ):
        with pytest.raises(TargetError):
            refused()


def test_names_that_a_file_system_takes_for_one_are_told(
    target: Target, monkeypatch: pytest.MonkeyPatch
):
    assert target.folds_names() is False
    look_up = tree_writer._look_up

    def insensitive(folder: int, name: bytes) -> os.stat_result:
        with os.scandir(folder) as entries:
            spelled = {os.fsencode(e.name).lower(): os.fsencode(e.name) for e in entries}
        return look_up(folder, spelled.get(name.lower(), name))

    monkeypatch.setattr(tree_writer, "_look_up", insensitive)
    assert target.folds_names() is True
    write(target, "Folder/File")
    target.check_collision("Folder/File")
    target.check_collision("Folder/another")
    with pytest.raises(StorageError, match="does not tell them apart"):
        target.check_collision("Folder/FILE")


def test_object_stores_take_files_alone():
    target = Target(f"memory://{uuid.uuid4()}")
    target.write_file("a/b", b"1", permissions=0o600, mtime_ns=1, overwrite=False)
    with pytest.raises(ObjectExists):
        write(target, "a/b")
    assert target.exists("a/b")
    assert target.write_hard_link("c", "a/b", overwrite=False) is False
    assert target.folds_names() is False
    for path in ("../x", "/x"):
        with pytest.raises(SourceError):
            write(target, path)
    with pytest.raises(StorageError, match="UTF-8"):
        write(target, escape(b"\xff"))
