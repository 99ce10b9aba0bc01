"""Readers beside compaction and gc: what a commit dropped may vanish, and is no damage."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import seec
from seec.jobs import compact, gc, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.archive.gc import survey
from seec.pipeline.storage import Store
from seec.schemas.errors import UnknownCommit
from tests.archives.life import archive, opened, put_files
from tests.faults.fault_sweep import restore_in_process
from tests.faults.points import verify_in_process
from tests.in_process import execution

TEXTS = {"a": "one", "b": "two", "c": "three", "d": "four", "e": "five"}
DAY_S = gc.DAY_S


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three shards, of which compaction makes one."""
    put_files(tmp_path / "source", **TEXTS)
    archive(tmp_path / "source", tmp_path / "archive")
    return tmp_path / "archive"


def replace_all(root: Path) -> None:
    """Compact, and remove the shards that were compacted at once."""
    old = opened(root).state.shards
    assert compact.run(compact.Settings(str(root))).replaced
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=1))
    assert not any((root / s.blob.name).exists() for s in old.values())


def once_then(function: Callable[..., Any], action: Callable[[], None]) -> Callable[..., Any]:
    """The function; the first time the action follows before the caller has the result."""
    waiting = [action]

    def wrapped(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        while waiting:
            waiting.pop()()
        return result

    return wrapped


def assert_all_there(folder: Path) -> None:
    found = {path.stem: path.read_text() for path in folder.iterdir()}
    assert found == TEXTS


def test_grace_counts_from_the_commit_that_dropped_an_object(root: Path):
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))  # the model, which no row needs
    before = {path for path in root.rglob("*") if path.is_file()}
    old = time.time() - 2 * DAY_S
    for path in before:
        os.utime(path, (old, old))
    compact.run(compact.Settings(str(root)))
    dropped = {s.name for item in opened(root, 1).commits(1, 4) for s in _objects(item[0])}
    keep = opened(root).state.sequence
    found = survey(Store(str(root)), DAY_S, oldest=keep)
    assert found.garbage == []
    assert {item.name for item in found.young} == dropped
    assert max(item.age_s or 0 for item in found.young) < DAY_S
    for path in (root / "commits").iterdir():
        os.utime(path, (old, old))
    found = survey(Store(str(root)), DAY_S, oldest=keep)
    assert {item.name for item in found.garbage} == dropped


def _objects(commit: Any) -> Iterator[Any]:
    return (record for shard in commit.changes.shards for record in shard.objects)


def test_a_restore_finds_what_was_moved_before_it_read_a_row(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Archive, "open", once_then(Archive.open, lambda: replace_all(root)))
    done = restore_in_process(restore.Settings(str(root), str(tmp_path / "out")))
    assert (done.exit_code, done.failed, done.restored) == (ExitCode.OK, [], 5)
    assert_all_there(tmp_path / "out")


def test_a_restore_finds_what_was_moved_while_it_ran(root: Path, tmp_path: Path):
    waiting = [root]

    @contextmanager
    def slow(*_: Any, **__: Any) -> Iterator[Any]:
        while waiting:
            replace_all(waiting.pop())
        with execution() as executor:
            yield executor

    settings = restore.Settings(str(root), str(tmp_path / "out"), include=("[a-d]*",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, "execution", slow)
        done = restore.run(settings)
    assert (done.exit_code, done.failed, done.restored, done.kept) == (ExitCode.OK, [], 4, 0)


def test_what_is_gone_and_counts_is_still_damage(root: Path, tmp_path: Path):
    shard = next(opened(root).state.in_order())
    (root / shard.blob.name).unlink()
    put_files(tmp_path / "source", f="six")
    done = restore_in_process(restore.Settings(str(root), str(tmp_path / "out")))
    assert (done.exit_code, len(done.failed)) == (ExitCode.DAMAGE, 2)
    (root / shard.manifest.name).unlink()
    listing = ls.run(ls.Settings(str(root)))
    assert {row.shard for row in listing.rows}.isdisjoint({shard.shard})
    assert listing.exit_code == ExitCode.DAMAGE


def test_a_state_that_was_given_up_meanwhile_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Archive, "at", once_then(Archive.at, lambda: replace_all(root)))
    with pytest.raises(UnknownCommit):
        restore_in_process(restore.Settings(str(root), str(tmp_path / "out"), at=3))


@pytest.mark.parametrize("mode", ["checksum", "decode"])
def test_a_verification_checks_what_took_the_place_of_what_is_gone(
    root: Path, mode: str, monkeypatch: pytest.MonkeyPatch
):
    slow = once_then(verify.check_records, lambda: replace_all(root))
    monkeypatch.setattr(verify, "check_records", slow)
    done = verify_in_process(verify.Settings(str(root), mode))
    assert (done.exit_code, done.findings, done.images) == (ExitCode.OK, (), 5)
    assert (done.shards, done.shards_left) == (1, 0)
    assert done.digest == opened(root).digest()


def test_a_listing_goes_on_with_what_counts_by_then(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Archive, "open", once_then(Archive.open, lambda: replace_all(root)))
    rows = ls.run(ls.Settings(str(root))).rows
    assert [row.path for row in rows] == [f"{name}.txt" for name in TEXTS]


def test_an_archive_that_a_program_opened_goes_on(root: Path):
    archived = seec.open(str(root))
    assert archived.read("a.txt") == b"one"
    replace_all(root)
    assert archived.read("d.txt") == b"four"
    assert archived.info("e.txt").size_bytes == 4
    assert list(archived.paths()) == [f"{name}.txt" for name in TEXTS]
    assert list(archived.verify()) == []
    shutil.rmtree(root / "blobs")
    with pytest.raises(seec.StorageError):
        archived.read("b.txt")
