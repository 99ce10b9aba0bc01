"""Shared payloads while others repair, collect, lie and take names again: nothing is lost."""

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seec
from seec.jobs import archive as archive_job
from seec.jobs import compact, copy, gc
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive, compaction
from seec.pipeline.archive.known_files import known_files
from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.shard import payloads
from seec.pipeline.routes.reading import check
from seec.pipeline.stages.deduplication import Deduplication
from seec.pipeline.stages.local import local_executor
from seec.pipeline.stages.repairing import Repair
from seec.pipeline.stages.verifying import Scope, verify_shards
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import ArchiveLocked, DigestMismatch
from seec.schemas.plan import Plan, PlanSettings, SourceFile
from seec.schemas.report import CHECKSUM
from seec.schemas.routes import SEEC
from tests.archives.life import findings, opened
from tests.archives.sharing import (
    FILES,
    LARGE,
    PIECE_BYTES,
    TINY,
    blobs,
    comes_back,
    rename,
    rows,
    run,
    shards,
)
from tests.archives.sharing.test_referenced_blobs import FIRST, four_runs
from tests.archives.test_repair import mend, spoil
from tests.archives.test_stacks import write
from tests.in_process import InProcess
from tests.pictures import gray, textured
from tests.sources import files_below, image_bytes, same_image
from tests.unit.test_pictures import png_chunk


def collect(root: Path, **options: Any) -> None:
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, **options))


@pytest.mark.parametrize("processes", [0, 2])
def test_a_repair_beside_a_run_takes_no_blob_that_the_run_has_chosen(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch, processes: int
):
    (first, _) = shards(root)
    shutil.copyfile(source / "photos" / "words.txt", source / "words.txt")
    for number in range(5):
        write(source, {f"z{number}.txt": bytes([number]) * 999})
    add, repaired = archive_job.add_shard, list[str]()

    def later(archive: Archive, shard: ShardRecord, *rest: Any) -> None:
        if not repaired:
            assert shard.referenced or processes
            spoil(root, first, "photos/drawing.bmp")
            repaired.extend(mend(root, source).shards)
            collect(root)
            assert not (root / first.blob.name).exists()
        add(archive, shard, *rest)

    monkeypatch.setattr(archive_job, "add_shard", later)
    if processes:
        monkeypatch.setattr(archive_job, "execution", lambda *_, **__: local_executor(processes))
        folders, bytes_ = (str(source), str(root)), PIECE_BYTES
        settings = archive_job.Settings(
            *folders, moved=True, shard_files=1, piece_size_bytes=bytes_
        )
        archive_job.run(settings)
    else:
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


def test_verify_finds_records_that_do_not_fit_the_blobs_they_name(source: Path, root: Path):
    shutil.copyfile(source / "photos" / "drawing.bmp", source / "copied.bmp")
    run(source, root)
    (shard,) = shards(root)
    (blob,) = shard.referenced
    row = rows(root)["copied.bmp"]
    for lie in (replace(blob, size_bytes=row.end - 1), replace(blob, sha256="0" * 64)):
        archived = opened(root)
        others = list(archived.state.shards.values())
        told = [replace(shard, referenced=(lie,)) if one == shard else one for one in others]
        found = verify_shards(archived.store, told, Scope(CHECKSUM), frozenset(), InProcess(), told)
        assert [one for item in found for one in item.findings]


def picture_of_a_piece() -> bytes:
    """A PNG file of which our encoder makes another one, as long as a piece."""
    noise = np.random.default_rng(1).integers(0, 4, (220, 220, 3), dtype=np.uint8)
    plain = image_bytes(textured(220, 220) ^ noise, "PNG")
    text = random.Random(1).randbytes(PIECE_BYTES).hex().encode()[: PIECE_BYTES - len(plain) - 20]
    return plain[:33] + png_chunk(b"tEXt", b"Comment\0" + text) + plain[33:]


@pytest.mark.parametrize("held_before", [False, True])
def test_a_piece_that_is_a_picture_comes_back_byte_for_byte(tmp_path: Path, held_before: bool):
    source, root = tmp_path / "source", tmp_path / "archive"
    picture, other = picture_of_a_piece(), bytes(range(256)) * (PIECE_BYTES // 256)
    if held_before:
        write(source, {"a.png": picture})
        run(source, root)
        assert rows(root)["a.png"].samples is not None
        assert seec.open(str(root)).read("a.png") != picture
    write(source, {"large.bin": other + picture + other})
    run(source, root)
    assert rows(root)["large.bin, piece 1"].blob is None
    assert seec.open(str(root)).read("large.bin") == other + picture + other
    assert list(seec.open(str(root)).verify()) == []


def test_a_piece_that_comes_back_with_other_bytes_is_found(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    write(source, {"a.png": picture_of_a_piece()})
    run(source, root)
    (shard,) = shards(root)
    store, row = opened(root).store, rows(root)["a.png"]
    ((_, payload),) = payloads(store, shard.blob.name, [row])
    models = archived_models(store, [row])
    check(row, payload, models)
    with pytest.raises(DigestMismatch, match=r"a.png, piece 0: comes back as other bytes"):
        check(replace(row, piece=0, start=0), payload, models)


def test_of_a_piece_that_is_a_picture_no_background_is_lost(tmp_path: Path):
    source, root, masks = (tmp_path / name for name in ("source", "archive", "masks"))
    data = bytes(PIECE_BYTES) + picture_of_a_piece() + b"end"
    write(source, {"large.png": data})
    mask = gray(220, 220) * 0
    mask[:16, :16] = 1
    write(masks, {"large.png": image_bytes(mask, "PNG")})
    lossy = {"roi": f"masks:{masks}", "background_error": 9, "allow_lossy_background": True}
    run(source, root, **lossy, model=None)
    assert rows(root)["large.png, piece 1"].route == SEEC
    assert seec.open(str(root)).read("large.png") == data


def test_after_a_repair_from_another_archive_every_byte_still_comes_back(
    source: Path, root: Path, tmp_path: Path
):
    other = tmp_path / "exact"
    run(source, other, keep="file")
    (first, *_) = opened(other).state.in_order()
    for path in ("photos/drawing.bmp", "photos/tiny/0.png"):
        spoil(other, first, path)
    lost = mend(other, None, root).lost
    assert lost == tuple(sorted(f"photos/{path}" for path in TINY))  # their stack is damaged
    reader = seec.open(str(other))
    assert reader.read("photos/drawing.bmp") == FILES["drawing.bmp"]
    rename(source)
    run(source, other, keep="file")
    reader = seec.open(str(other))
    for name, data in files_below(source).items():
        assert reader.read(name.decode()) == data, name


def test_rows_that_lead_out_of_their_blob_are_not_shared(source: Path, root: Path):
    shutil.copyfile(source / "photos" / "drawing.bmp", source / "copied.bmp")
    (first, _) = shards(root)
    (found,) = [row for row in opened(root).rows(first) if row.path == "photos/drawing.bmp"]
    short = replace(first, blob=replace(first.blob, size_bytes=found.end - 1))
    archived = opened(root)
    archived.state.shards[first.shard] = short
    data = FILES["drawing.bmp"]
    file = SourceFile("copied.bmp", len(data), 0)
    plan = Plan.of(PlanSettings(""), {0: [file]})
    known = known_files(archived, "", plan, [0])
    assert known is not None
    assert Deduplication(archived.store, known).draft(file, 0, data) is None


def test_what_moved_in_its_source_is_mended_at_both_paths(source: Path, root: Path):
    (first, _) = shards(root)
    rename(source)
    run(source, root)
    (root / first.blob.name).unlink()
    assert mend(root, source).lost == ()
    assert findings(root) == []
    assert not any(row.lost for row in opened(root).rows(next(opened(root).state.in_order())))
    comes_back(root, source)
    reader = seec.open(str(root))
    for name in FILES:
        data = reader.read(f"photos/{name}")
        assert data == FILES[name] or same_image(data, FILES[name]), name


def test_no_payload_is_left_where_no_parity_covers_it(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    write(source / "photos", {path: data for path, data in FILES.items() if data != LARGE})
    run(source, root, parity_share=2000)
    (first,) = shards(root)
    rename(source)
    run(source, root)
    assert first.parity is not None
    (root / first.parity.name).unlink()
    (root / first.manifest.name).unlink()
    mend(root, source)
    collect(root, keep_commits=1)
    covered = {one.blob.name for one in opened(root).state.in_order() if one.parity is not None}
    assert {path.removeprefix(f"{root}/") for path in blobs(root)} == covered
    comes_back(root, source)


def test_equal_files_of_a_shard_whose_rows_are_gone_all_come_back(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    write(source, {f"{name}.txt": b"the same bytes " * 9 for name in "abc"} | FILES)
    run(source, root)
    for shard in shards(root):
        (root / shard.manifest.name).unlink()
    assert mend(root, source).lost == ()
    comes_back(root, source)
