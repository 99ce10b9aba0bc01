"""A payload that files of several runs share stays, and is mended, while any of them counts."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from seec.jobs import compact, copy, gc
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.archive.gc import survey
from seec.pipeline.stages.repairing import Repair
from seec.pipeline.storage import Store
from seec.schemas.commit import ShardRecord
from tests.archives.life import findings, opened
from tests.archives.sharing import blobs, comes_back, rename, rows, run, shards
from tests.archives.test_repair import mend, spoil
from tests.archives.test_stacks import write


def test_gc_keeps_what_files_share_after_the_first_path_is_gone(source: Path, root: Path):
    rename(source)
    run(source, root, prune_missing=True)
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=1))
    assert survey(Store(str(root)), 0).garbage == []
    comes_back(root, source)


FIRST, SECOND = b"first " * 99, b"second " * 99


def four_runs(source: Path, root: Path) -> None:
    """In each but the first, a copy of a file of the first run, and a new file."""
    write(source, {"a.txt": FIRST, "b.txt": SECOND})
    run(source, root)
    for name in ("c", "d", "e"):
        write(source, {f"{name}.txt": FIRST, f"new {name}.txt": name.encode() * 99})
        run(source, root)


def compacted(root: Path, **bounds: Any) -> int:
    """How many new shards there are. Nothing is left of the old ones."""
    made = compact.run(compact.Settings(str(root), **bounds)).shards
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=1))
    return made


def test_compaction_of_all_shards_keeps_shared_payloads_once(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    four_runs(source, root)
    assert compacted(root) == 1
    (shard,) = opened(root).state.in_order()
    assert shard.referenced == ()
    found = {row.path: row for row in opened(root).rows(shard)}
    assert len({found[f"{name}.txt"].offset for name in "acde"}) == 1
    assert len(blobs(root)) == 1
    comes_back(root, source)


def test_a_shard_stays_if_another_one_that_stays_needs_its_blob(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    four_runs(source, root)
    first = next(opened(root).state.in_order())
    write(source, {"f.txt": FIRST} | {f"more/{n}.txt": bytes([n]) * 9 for n in range(20)})
    run(source, root)  # more than half of what compaction fills a shard with
    assert compacted(root, shard_files=20) == 1
    kept, large, new = opened(root).state.in_order()
    assert (kept, large.referenced, new.referenced) == (first, (first.blob,), (first.blob,))
    shared = {row.path for row in opened(root).rows(new) if row.blob is not None}
    assert shared == {"c.txt", "d.txt", "e.txt"}
    comes_back(root, source)


def test_killed_between_two_new_shards_a_compaction_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, root = tmp_path / "source", tmp_path / "archive"
    four_runs(source, root)
    other = Path(shutil.copytree(root, tmp_path / "undisturbed"))
    assert compacted(other, shard_files=4) == 2
    commit = Archive.commit

    def one(self: Archive, **what: Any) -> None:
        commit(self, **what)
        if what.get("dropped"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "commit", one)
        with pytest.raises(KeyboardInterrupt):
            compact.run(compact.Settings(str(root), shard_files=4))
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    comes_back(root, source)
    assert compacted(root, shard_files=4) == 1
    assert opened(root).digest() == opened(other).digest()
    assert all(shard.referenced == () for shard in opened(root).state.in_order())
    comes_back(root, source)


def test_a_file_disappears_from_a_shard_that_others_needed(tmp_path: Path):
    """As `Forget a file` of the page on retention says."""
    source, root = tmp_path / "source", tmp_path / "archive"
    four_runs(source, root)
    (source / "b.txt").unlink()
    run(source, root, prune_missing=True)
    assert compacted(root) == 1
    assert all(SECOND[:50] not in data for data in blobs(root).values())
    comes_back(root, source)


def spoiled(source: Path, root: Path) -> ShardRecord:
    """The first shard, one of whose shared payloads is damaged; all paths are new by now."""
    (first, _) = shards(root)
    rename(source)
    run(source, root, prune_missing=True)
    spoil(root, first, "photos/drawing.bmp")
    damaged = {finding.object: set(finding.paths) for finding in findings(root)}
    assert damaged.keys() == {first.blob.name}
    found = {path for finding in findings(root) for path in finding.paths}
    assert found == {"photos/drawing.bmp", "renamed/drawing.bmp"}
    return first


def test_a_copy_mends_what_is_shared(source: Path, root: Path, tmp_path: Path):
    (first, _) = shards(root)
    rename(source)
    run(source, root, prune_missing=True)
    copied = tmp_path / "copied"
    copy.run(copy.Settings(str(root), str(copied)))
    comes_back(copied, source)
    spoil(root, first, "photos/drawing.bmp")
    assert mend(root, None, copied).objects == (first.blob.name,)
    comes_back(root, source)


def test_parity_mends_what_is_shared(source: Path, tmp_path: Path):
    root = tmp_path / "archive"
    run(source, root, parity_share=2000)
    first = spoiled(source, root)
    assert mend(root).objects == (first.blob.name,)
    comes_back(root, source)


def test_the_source_mends_what_is_shared_and_each_shard_has_its_own_then(source: Path, root: Path):
    spoiled(source, root)
    assert mend(root, source).lost == ()  # where the file was before, too
    second, _ = shards(root)
    assert (second.referenced, second.blob.size_bytes > 0) == ((), True)
    assert not any(row.lost for row in rows(root).values())
    comes_back(root, source)
    copied = root.with_name("copied")
    assert copy.run(copy.Settings(str(root), str(copied))).exit_code == ExitCode.OK


def test_what_is_found_nowhere_is_lost_at_each_path(source: Path, root: Path):
    spoiled(source, root)
    shutil.rmtree(source)
    summary = mend(root)
    assert summary.lost == ("photos/drawing.bmp", "renamed/drawing.bmp")
    assert findings(root) == []


def test_killed_between_the_two_shards_a_repair_goes_on(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """A shard that shares only what is sound must not name a blob that is damaged for good."""
    (first, _) = shards(root)
    shutil.copyfile(source / "photos" / "words.txt", source / "words.txt")
    run(source, root)
    spoil(root, first, "photos/drawing.bmp")
    commit = Repair._commit

    def one(self: Repair, *what: Any) -> None:
        commit(self, *what)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Repair, "_commit", one)
        with pytest.raises(KeyboardInterrupt):
            mend(root, source)
    mend(root, source)
    assert shards(root)[0].referenced == ()
    comes_back(root, source)
    copied = root.with_name("copied")
    assert copy.run(copy.Settings(str(root), str(copied))).exit_code == ExitCode.OK
