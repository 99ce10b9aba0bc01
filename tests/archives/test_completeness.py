"""verify and restore say what an archive does not hold; only a comparison says what may go."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seec.jobs import restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from tests.archives.life import archive, opened, put_files
from tests.faults.fault_sweep import restore_in_process
from tests.faults.points import repair_in_process, repair_job, verify_in_process

SAFE = "safe to delete"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    put_files(tmp_path / "source", a="one", b="two", c="three", d="four", e="five")
    return tmp_path / "source"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def checked(root: Path, **options: Any) -> verify.VerifySummary:
    summary = verify_in_process(verify.Settings(str(root), **options))
    assert (SAFE in text(summary)) == (
        summary.against is not None and summary.against.safe_to_delete
    )
    return summary


def restored(root: Path, **options: Any) -> restore.RestoreSummary:
    target = root.with_name("restored")
    shutil.rmtree(target, ignore_errors=True)
    return restore_in_process(restore.Settings(str(root), str(target), **options))


def text(summary: verify.VerifySummary | restore.RestoreSummary) -> str:
    return "\n".join(summary.lines())


def interrupted(source: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archive two of five files: the run and its first shard count, then the driver dies."""
    commit = Archive.commit

    def dying(archive: Archive, **changes: Any) -> None:
        if archive.state.sequence == 2:
            raise KeyboardInterrupt
        commit(archive, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "commit", dying)
        with pytest.raises(KeyboardInterrupt):
            archive(source, root)


def assert_incomplete(root: Path, says: str) -> None:
    for done in (checked(root), restored(root)):
        assert done.exit_code == ExitCode.INCOMPLETE
        assert f"not in the archive: {says}" in text(done)
    for done in (checked(root, allow_unfinished=True), restored(root, allow_unfinished=True)):
        assert done.exit_code == ExitCode.OK
        assert f"not in the archive: {says}" in text(done)


def assert_complete(root: Path) -> None:
    for done in (checked(root), restored(root)):
        assert done.exit_code == ExitCode.OK
        assert "not in the archive" not in text(done)


def test_a_run_that_is_not_finished(source: Path, root: Path, monkeypatch: pytest.MonkeyPatch):
    interrupted(source, root, monkeypatch)
    assert_incomplete(root, "3 files of run 0001-")
    assert restored(root, include=("a.txt", "b.txt")).exit_code == ExitCode.OK
    assert restored(root, include=("*.txt",)).absent.unfinished == 3
    assert restored(root, include=("b.txt", "c.txt")).absent.unfinished == 1
    summary = checked(root, against=str(source), allow_unfinished=True)
    assert summary.exit_code == ExitCode.INCOMPLETE
    assert summary.against is not None
    assert summary.against.missing == dict.fromkeys(("c.txt", "d.txt", "e.txt"), "not archived")
    archive(source, root)
    assert_complete(root)


def test_files_in_quarantine(source: Path, root: Path):
    os.mkfifo(source / "pipe")
    archive(source, root)
    assert_incomplete(root, "1 files in quarantine")
    assert restored(root, include=("*.txt",)).exit_code == ExitCode.OK
    summary = checked(root, against=str(source))
    assert summary.against is not None
    assert summary.against.missing == {"pipe": "a named pipe, neither file nor directory nor link"}
    (source / "pipe").unlink()
    archive(source, root)
    assert_complete(root)


def test_files_that_are_lost(source: Path, root: Path, tmp_path: Path):
    archive(source, root)
    shard = next(opened(root).state.in_order())
    (root / shard.blob.name).write_bytes(b"\0" * shard.blob.size_bytes)
    (source / "a.txt").rename(tmp_path / "a.txt")
    repair_in_process(repair_job.Settings(str(root), source=str(source)))
    assert_incomplete(root, "1 files that are lost")
    done = restored(root)
    assert [item.path for item in done.lost] == ["a.txt"]
    assert (done.failed, done.restored) == ([], 4)
    assert restored(root, include=("b.txt",)).exit_code == ExitCode.OK
    (tmp_path / "a.txt").rename(source / "a.txt")
    assert checked(root, against=str(source)).exit_code == ExitCode.INCOMPLETE
    # The row that says so stays in its shard, and does not count any more.
    archive(source, root)
    assert_complete(root)
    assert checked(root, against=str(source)).exit_code == ExitCode.OK


def test_a_source_that_is_wholly_in_the_archive_is_safe_to_delete(source: Path, root: Path):
    (source / "folder").mkdir()
    (source / "link").symlink_to("a.txt")
    os.link(source / "a.txt", source / "folder" / "name")
    archive(source, root)
    summary = checked(root, against=str(source))
    assert (summary.exit_code, SAFE in text(summary)) == (ExitCode.OK, True)
    assert f"all 8 paths of {source} are in the archive, by size and time" in text(summary)
    assert SAFE in text(checked(root, against=str(source), check_content=True))
    # Less than a decoding of everything proves less.
    for options in ({"mode": "checksum"}, {"shards": 0.1}, {"since": 2}, {"mode": "sample"}):
        summary = checked(root, against=str(source), **options)
        assert (summary.exit_code, SAFE in text(summary)) == (ExitCode.OK, False)
    assert SAFE not in text(checked(root))


def test_what_is_not_as_it_was_archived_is_named(source: Path, root: Path):
    archive(source, root)
    put_files(source, a="other", new="here")
    os.utime(source / "b.txt", ns=(7, 7))
    status = (source / "c.txt").stat()
    (source / "c.txt").write_text("eerht")
    os.utime(source / "c.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    (source / "d.txt").unlink()
    (source / "d.txt").symlink_to("a.txt")
    summary = checked(root, against=str(source))
    assert summary.exit_code == ExitCode.INCOMPLETE
    assert summary.against is not None
    changed = dict.fromkeys(("a.txt", "b.txt"), "changed since it was archived")
    none = dict.fromkeys(("d.txt", "new.txt"), "not archived")
    assert summary.against.missing == changed | none
    other = dict.fromkeys(("a.txt", "c.txt"), "has other content than the archive")
    summary = checked(root, against=str(source), check_content=True)
    assert summary.against is not None
    assert summary.against.missing == other | none


def test_size_and_time_of_another_source_prove_nothing(source: Path, root: Path, tmp_path: Path):
    archive(source, root)
    shutil.copytree(source, tmp_path / "copy")
    summary = checked(root, against=str(tmp_path / "copy"))
    assert (summary.exit_code, SAFE in text(summary)) == (ExitCode.INCOMPLETE, False)
    assert "size and time prove nothing" in text(summary)
    assert SAFE in text(checked(root, against=str(tmp_path / "copy"), check_content=True))


def test_a_source_with_a_name_is_compared_below_the_name(source: Path, root: Path, tmp_path: Path):
    archive(source, root)
    put_files(tmp_path / "card", a="another")
    archive(tmp_path / "card", root, name="card")
    assert SAFE in text(checked(root, against=str(source)))
    assert SAFE in text(checked(root, against=str(tmp_path / "card"), name="card"))
    for options in ({"name": "other"}, {}):
        summary = checked(root, against=str(tmp_path / "card"), **options)
        assert (summary.exit_code, SAFE in text(summary)) == (ExitCode.INCOMPLETE, False)


def test_an_empty_source_and_a_damaged_archive_are_not_safe(
    source: Path, root: Path, tmp_path: Path
):
    archive(source, root)
    (tmp_path / "empty").mkdir()
    summary = checked(root, against=str(tmp_path / "empty"))
    assert (summary.exit_code, SAFE in text(summary)) == (ExitCode.INCOMPLETE, False)
    shard = next(opened(root).state.in_order())
    (root / shard.manifest.name).unlink()
    summary = checked(root, against=str(source))
    assert (summary.exit_code, summary.against) == (ExitCode.DAMAGE, None)


def test_contents_are_compared_with_a_source_only(root: Path):
    result = CliRunner().invoke(verify.main, [str(root), "--check-content"])
    assert result.exit_code == ExitCode.USAGE
