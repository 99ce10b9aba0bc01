"""Shared payloads while others repair, collect, lie and take names again: nothing is lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from seec.jobs import archive as archive_job
from seec.jobs import compact, copy, gc
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive, compaction
from seec.pipeline.stages.repairing import Repair
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import ArchiveLocked
from tests.archives.life import findings, opened
from tests.archives.sharing import comes_back, rename, rows, run, shards
from tests.archives.sharing.test_referenced_blobs import FIRST, four_runs
from tests.archives.test_repair import mend, spoil
from tests.archives.test_stacks import write


def collect(root: Path, **options: Any) -> None:
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, **options))


def test_a_repair_beside_a_run_takes_no_blob_that_the_run_has_chosen(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    (first, _) = shards(root)
    shutil.copyfile(source / "photos" / "words.txt", source / "words.txt")
    add, repaired = archive_job.add_shard, list[str]()

    def later(archive: Archive, shard: ShardRecord, *rest: Any) -> None:
        if not repaired:
            assert shard.referenced
            spoil(root, first, "photos/drawing.bmp")
            repaired.extend(mend(root, source).shards)
            collect(root)
            assert not (root / first.blob.name).exists()
        add(archive, shard, *rest)

    monkeypatch.setattr(archive_job, "add_shard", later)
    run(source, root)
    assert repaired == [first.shard]
    comes_back(root, source)
    assert rows(root)["words.txt"].blob == next(opened(root).state.in_order()).blob.name


def test_a_repaired_shard_takes_no_name_that_another_one_still_refers_to(
    source: Path, root: Path, tmp_path: Path
):
    (first, _) = shards(root)
    rename(source)
    run(source, root, prune_missing=True)
    whole = shutil.copytree(root, tmp_path / "whole")
    (root / first.blob.name).unlink()
    (source / "renamed" / "words.txt").unlink()
    mend(root, source)
    assert findings(root) == []
    now = next(opened(root).state.in_order())
    assert now.blob != first.blob
    assert now.blob.name != first.blob.name
    assert copy.run(copy.Settings(str(root), str(tmp_path / "copied"))).exit_code == ExitCode.OK
    assert findings(tmp_path / "copied") == []
    mend(root, None, whole)
    assert findings(root) == []


def test_a_repair_beside_a_compaction_is_not_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, root = tmp_path / "source", tmp_path / "archive"
    four_runs(source, root)
    first = next(opened(root).state.in_order())
    write(source, {"f.txt": FIRST} | {f"more/{n}.txt": bytes([n]) * 9 for n in range(20)})
    run(source, root)  # needs the first shard, and is too large for a compaction
    write_shard = compaction.write_shard

    def mend_all_but_the_last(self: Repair, record: ShardRecord, *what: Any) -> None:
        if record.run_id == last.run_id:
            raise KeyboardInterrupt
        commit(self, record, *what)

    def later(*what: Any) -> ShardRecord:
        record = write_shard(*what)
        assert record.referenced == (first.blob,)
        spoil(root, first, "a.txt")
        with pytest.raises(KeyboardInterrupt):
            mend(root, source)
        (kept,) = {one.referenced for one in opened(root).state.in_order()} - {()}
        assert kept == (first.blob,)
        return record

    commit, (*_, last) = Repair._commit, opened(root).state.in_order()
    monkeypatch.setattr(Repair, "_commit", mend_all_but_the_last)
    monkeypatch.setattr(compaction, "write_shard", later)
    with pytest.raises(ArchiveLocked):
        compact.run(compact.Settings(str(root), shard_files=20))
    monkeypatch.undo()
    collect(root)
    mend(root, source)
    comes_back(root, source)
    compact.run(compact.Settings(str(root), shard_files=20))
    comes_back(root, source)
