"""What a path was at each commit is kept, also when it changed or vanished."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from seec.jobs import archive as archive_job
from seec.jobs import gc as gc_job
from seec.jobs import ls
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.archive.gc import survey
from seec.pipeline.archive.planning import Seen, displaced_files, vanished_files
from seec.pipeline.storage import Store
from seec.schemas.commit import Commit
from seec.schemas.errors import StorageError, UnknownCommit
from seec.schemas.plan import SourceFile
from tests.archives.life import archive, findings, opened, put_files, texts
from tests.archives.plain_reader import digest, restored
from tests.faults.points import RECAP_EVERY
from tests.trees import unprivileged

EVERY_FILE = "every file of the source is in the archive"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    put_files(tmp_path / "source", a="one", b="two", c="three")
    return tmp_path / "source"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def last(root: Path) -> int:
    return opened(root).state.sequence


def plain(root: Path) -> dict[str, str]:
    def no_images(*_: bytes) -> Any:
        raise AssertionError

    return {
        name.decode().removesuffix(".txt"): data.decode()
        for name, data in restored(root, no_images)
    }


def call(root: Path, *options: str) -> Result:
    return CliRunner().invoke(ls.main, [str(root), *options])


def test_each_commit_shows_what_was_archived_by_then(source: Path, root: Path):
    archive(source, root)
    first = last(root)
    put_files(source, b="two, later", d="four")
    archive(source, root)
    assert texts(root, first) == {"a": "one", "b": "two", "c": "three"}
    assert texts(root, 2) == {"a": "one", "b": "two"}
    assert texts(root, 1) == {}
    now = {"a": "one", "b": "two, later", "c": "three", "d": "four"}
    assert texts(root, last(root)) == texts(root) == plain(root) == now


def test_vanished_files_are_kept_unless_pruned(source: Path, root: Path):
    archive(source, root)
    (source / "a.txt").unlink()
    assert archive(source, root).files_removed == 0
    assert set(texts(root)) == set("abc")
    before = last(root)
    assert archive(source, root, prune_missing=True).files_removed == 1
    assert last(root) == before + 1
    assert texts(root) == plain(root) == {"b": "two", "c": "three"}
    assert set(texts(root, before)) == set("abc")
    assert archive(source, root, prune_missing=True).files_removed == 0
    assert last(root) == before + 1


def test_files_that_come_back_count_again_and_can_vanish_again(source: Path, root: Path):
    archive(source, root)
    path = source / "a.txt"
    status = path.stat()
    path.unlink()
    archive(source, root, prune_missing=True)
    path.write_text("one")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert archive(source, root).files_added == 1
    assert set(texts(root)) == set(plain(root)) == set("abc")
    path.unlink()
    archive(source, root, prune_missing=True)
    assert set(texts(root)) == set(plain(root)) == set("bc")
    assert findings(root) == []


def test_new_files_and_vanished_ones_are_one_commit(source: Path, root: Path):
    archive(source, root)
    before = last(root)
    (source / "a.txt").unlink()
    put_files(source, d="four")
    summary = archive(source, root, prune_missing=True)
    assert (summary.files_added, summary.files_removed) == (1, 1)
    assert last(root) == before + 2
    assert set(texts(root, before + 1)) == set("bc")
    assert set(texts(root)) == set(plain(root)) == set("bcd")


def test_a_recap_repeats_removals(source: Path, root: Path):
    archive(source, root)
    (source / "a.txt").unlink()
    archive(source, root, prune_missing=True)
    for index in range(2 * RECAP_EVERY):
        put_files(source, **{f"more{index}": "x"})
        archive(source, root)
        assert "a" not in texts(root)
    assert plain(root) == texts(root)
    assert digest(root) == opened(root).digest()
    assert findings(root) == []
    assert survey(Store(str(root)), 0).garbage == []


def test_paths_below_a_former_directory_stop_to_count_and_can_be_restored(source: Path, root: Path):
    put_files(source / "d", x="below", y="below")
    archive(source, root)
    before = last(root)
    shutil.rmtree(source / "d")
    (source / "d").write_text("a file")
    assert archive(source, root).files_removed == 2
    now = {"a": "one", "b": "two", "c": "three", "d": "a file"}
    assert texts(root) == plain(root) == now
    (source / "d").unlink()
    put_files(source / "d", x="below again")
    archive(source, root)
    # A directory has a row, which takes the place of the file's.
    assert texts(root) == {**now, "d": "", "d/x": "below again"}
    then = texts(root, before)
    assert (then["d/x"], then["d/y"]) == ("below", "below")
    shutil.rmtree(source / "d")
    (source / "d").symlink_to("a.txt")
    assert archive(source, root).files_removed == 1
    assert texts(root) == {**now, "d": "a.txt"}
    assert findings(root) == []


def test_files_below_an_unlisted_directory_have_not_vanished():
    seen = {path: Seen(1, 1, "") for path in ("d/x", "d/e/x", "dd", "e")}
    unlisted = SourceFile("d", 0, 0, "a directory that cannot be listed")
    assert vanished_files([unlisted], seen) == ["dd", "e"]
    assert displaced_files([unlisted], seen) == []
    assert vanished_files([replace(unlisted, path=".")], seen) == []


def test_only_what_came_from_this_source_can_vanish_from_it(
    source: Path, root: Path, tmp_path: Path
):
    archive(source, root)
    put_files(tmp_path / "other", z="last")
    summary = archive(tmp_path / "other", root, prune_missing=True, name="other")
    assert (summary.files_added, summary.files_removed) == (1, 0)
    assert set(texts(root)) == {"a", "b", "c", "other/z"}


def test_an_empty_source_removes_nothing(source: Path, root: Path):
    archive(source, root)
    for path in source.iterdir():
        path.unlink()
    with pytest.raises(StorageError, match="mounted"):
        archive(source, root, prune_missing=True)
    assert set(texts(root)) == set("abc")


def test_a_run_that_is_given_up_cannot_bring_back_what_vanished(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    archive(source, root)
    (source / "a.txt").unlink()
    put_files(source, d="four")
    with monkeypatch.context() as patch:
        patch.setattr(archive_job, "_carry_out", interrupt)
        with pytest.raises(KeyboardInterrupt):
            archive(source, root)
    given_up = opened(root).state.open_run
    (source / "d.txt").unlink()
    archive(source, root, prune_missing=True, new_plan=True)
    assert opened(root).state.last_run != given_up
    assert opened(root).state.open_run is None
    assert set(texts(root)) == set("bc")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_file_in_quarantine_that_vanished_is_not_in_quarantine(source: Path, root: Path):
    os.mkfifo(source / "broken.txt")
    assert archive(source, root).quarantined_now == 1
    assert EVERY_FILE not in "\n".join(archive(source, root).lines())
    (source / "broken.txt").unlink()
    summary = archive(source, root)
    assert (summary.exit_code, summary.runs, summary.files_removed) == (ExitCode.OK, [], 0)
    assert EVERY_FILE in "\n".join(summary.lines())
    assert "broken" not in call(root, "--quarantine").stdout
    assert "1 files that vanished left quarantine" in call(root, "--commits").stdout
    assert findings(root) == []


def test_a_version_that_was_archived_stays_when_a_later_failure_leaves_quarantine(
    source: Path, root: Path
):
    archive(source, root)
    (source / "a.txt").unlink()
    os.mkfifo(source / "a.txt")
    assert archive(source, root).quarantined_now == 1
    (source / "a.txt").unlink()
    assert archive(source, root).quarantined_now == 0
    assert texts(root) == plain(root) == {"a": "one", "b": "two", "c": "three"}
    # The archive still knows that it has this file, and from where.
    assert archive(source, root, prune_missing=True).files_removed == 1
    assert set(texts(root)) == set(plain(root)) == set("bc")


def test_of_an_empty_source_nothing_leaves_quarantine(source: Path, root: Path):
    os.mkfifo(source / "broken.txt")
    archive(source, root)
    for path in source.iterdir():
        path.unlink()
    assert archive(source, root).quarantined_now == 1


def test_what_could_not_be_read_once_is_tried_again_in_every_run(source: Path, root: Path):
    (source / "a.txt").chmod(0)
    with unprivileged(source.parent):
        assert archive(source, root).quarantined_now == 1
        sequence = last(root)
        # An attempt that fails again makes no run.
        assert archive(source, root).quarantined_now == 1
        assert last(root) == sequence
    (source / "a.txt").chmod(0o644)
    summary = archive(source, root)
    assert (summary.exit_code, summary.files_added) == (ExitCode.OK, 1)
    assert texts(root)["a"] == "one"


def test_what_vanished_before_an_interrupted_run_went_on_is_not_in_quarantine(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(archive_job, "_carry_out", interrupt)
        with pytest.raises(KeyboardInterrupt):
            archive(source, root)
    (source / "a.txt").unlink()
    summary = archive(source, root)
    assert (summary.files_quarantined, summary.quarantined_now) == (1, 0)
    assert summary.exit_code == ExitCode.OK


def test_a_file_that_was_read_in_the_end_is_not_listed_in_quarantine(source: Path, root: Path):
    os.mkfifo(source / "broken.txt")
    archive(source, root)
    assert "broken.txt" in call(root, "--quarantine").stdout
    (source / "broken.txt").unlink()
    put_files(source, broken="mended")
    archive(source, root)
    assert "broken.txt" not in call(root, "--quarantine").stdout


def test_contents_are_compared_where_asked_for(source: Path, root: Path):
    archive(source, root)
    status = (source / "a.txt").stat()
    (source / "a.txt").write_text("eno")
    os.utime(source / "a.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(source / "b.txt", ns=(0, 0))
    assert archive(source, root, check_content=True).files_added == 1
    assert texts(root)["a"] == "eno"
    assert archive(source, root, check_content=True).files_added == 0
    assert archive(source, root).files_added == 1  # the time of b is not what was archived


def test_commits_are_written_in_one_way(source: Path, root: Path):
    archive(source, root)
    (source / "a.txt").unlink()
    archive(source, root, prune_missing=True)
    archived = opened(root)
    assert archived.state.removals
    commits = list(archived.commits(1, last(root)))
    assert [commit.recap is not None for commit, _ in commits] == [False, False, False, True]
    assert len({tuple(json.loads(data)) for _, data in commits}) == 1
    for commit, data in commits:
        assert Commit.parse(commit.sequence, data).serialise() == data


@pytest.mark.parametrize("at", [0, 99])
def test_a_commit_that_is_none_is_wrong_use(source: Path, root: Path, at: int):
    archive(source, root)
    with pytest.raises(UnknownCommit, match=f"commit {at} "):
        opened(root).at(at)
    assert call(root, "--at", str(at)).exit_code == ExitCode.USAGE


def test_the_listing_of_commits_says_what_each_changed(source: Path, root: Path):
    archive(source, root)
    (source / "a.txt").unlink()
    archive(source, root, prune_missing=True)
    lines = call(root, "--commits").stdout.splitlines()
    assert len(lines) == last(root)
    assert "opened: 3 files of" in lines[0]
    assert "2 files in 1 shards" in lines[1]
    assert lines[-1].endswith("1 files removed")
    value = json.loads(call(root, "--commits", "--json").stdout)
    assert [item["removed"] for item in value["commits"]] == [0, 0, 0, 1]
    listed = json.loads(call(root, "--at", "2", "--json").stdout)
    assert [item["path"] for item in listed["files"]] == ["a.txt", "b.txt"]
    assert call(root, "--commits", "--at", "2").exit_code == ExitCode.USAGE


def test_gc_keeps_lists_of_removed_paths_and_takes_others(source: Path, root: Path):
    archive(source, root)
    (source / "a.txt").unlink()
    archive(source, root, prune_missing=True)
    litter = root / "removed" / f"{'0' * 64}.parquet"
    litter.write_bytes(b"left by a crash")
    gc_job.run(gc_job.Settings(str(root), delete=True, older_than_s=0))
    assert not litter.exists()
    assert set(texts(root)) == set("bc")
    assert Archive.open(Store(str(root))).state.removals
