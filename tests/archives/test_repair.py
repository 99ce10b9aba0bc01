"""What is damaged comes back from a copy or the source; what is found nowhere is listed as lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from seec.jobs import gc, repair, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Store
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import Lost, ObjectMissing, SectionCorrupt, StorageError
from seec.schemas.routes import LOST
from tests.archives import plain_reader
from tests.archives.life import archive, findings, held, opened, put_files, texts
from tests.archives.plain_reader import State, digest, restored
from tests.faults.points import repair_in_process, verify_in_process
from tests.pictures import textured
from tests.sources import image_bytes

FILES = {"a": "one", "b": "two", "c": "three", "d": "four"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source and its archive: two shards, and a later one with another `a`."""
    folder = tmp_path_factory.mktemp("repair")
    put_files(folder / "source", **FILES)
    archive(folder / "source", folder / "archive")
    put_files(folder / "source", a="one, later")
    archive(folder / "source", folder / "archive")
    gc.run(gc.Settings(str(folder / "archive"), delete=True, older_than_s=0))
    return folder


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "source", tmp_path / "source"))


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))


def no_images(*_: bytes) -> Any:
    raise AssertionError


def mend(
    root: Path, source: Path | None = None, *copies: Path, report: str | None = None
) -> repair.RepairSummary:
    other = "/nowhere" if source is None else str(source)
    names = tuple(map(str, copies))
    return repair_in_process(repair.Settings(str(root), names, other, report))


def shards(root: Path) -> list[ShardRecord]:
    return list(opened(root).state.in_order())


def spoil(root: Path, shard: ShardRecord, path: str) -> None:
    """Flip a bit of one file's bytes."""
    row = next(row for row in opened(root).rows(shard) if row.path == path)
    blob = root / shard.blob.name
    data = bytearray(blob.read_bytes())
    data[row.offset] ^= 1
    blob.write_bytes(data)


def objects(root: Path) -> dict[str, bytes]:
    names = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in names}


def test_there_is_nothing_to_repair_in_a_sound_archive(root: Path, source: Path):
    before = objects(root)
    summary = mend(root, source)
    assert (summary.exit_code, next(iter(summary.lines()))) == (ExitCode.OK, "nothing to repair")
    assert objects(root) == before


def test_a_copy_gives_back_every_object_byte_for_byte(made: Path, root: Path):
    before = objects(root)
    for name in before:
        if name.startswith("reports/") or name == max(n for n in before if "commits/" in n):
            continue
        for damaged in (b"not what it was", None):
            (root / name).unlink()
            if damaged is not None:
                (root / name).write_bytes(damaged)
            summary = mend(root, None, made / "archive")
            assert (summary.objects, summary.exit_code) == ((name,), ExitCode.OK), name
            assert objects(root) == before, name


def test_the_source_gives_back_files_that_it_still_has(root: Path, source: Path):
    first = shards(root)[0]
    spoil(root, first, "b.txt")
    before = objects(root)
    summary = mend(root, source)
    assert (summary.exit_code, summary.files_mended, summary.lost) == (ExitCode.OK, 1, ())
    assert findings(root) == []
    assert texts(root) == FILES | {"a": "one, later"}
    after = objects(root)
    assert {name: after[name] for name in before} == before  # nothing is rewritten
    record = shards(root)[0]
    assert record.blob.sha256 == first.blob.sha256  # the same bytes, under another name


def test_a_repaired_shard_can_be_damaged_and_repaired_again(root: Path, source: Path):
    for _ in range(3):
        spoil(root, shards(root)[0], "b.txt")
        assert mend(root, source).files_mended == 1
        assert findings(root) == []
        assert texts(root) == FILES | {"a": "one, later"}


def test_an_object_made_anew_to_the_same_bytes_is_a_repair_that_needs_no_commit(
    root: Path, source: Path
):
    put_files(source, a="one")
    before = objects(root)
    (root / shards(root)[0].blob.name).unlink()
    summary = mend(root, source)
    assert (summary.files_mended, len(summary.shards), summary.lost) == (2, 1, ())
    # A model that encoded images stays until gc removes it.
    after = {name: data for name, data in objects(root).items() if not name.startswith("models/")}
    assert after == before


def test_a_repair_serves_earlier_commits_too(root: Path, source: Path):
    first = shards(root)[0]
    spoil(root, first, "a.txt")
    spoil(root, first, "b.txt")
    summary = mend(root, source)
    assert summary.lost == ("a.txt",)  # the source has a later one
    assert texts(root) == FILES | {"a": "one, later"}
    archived = opened(root, 2)
    rows = {row.path: row for shard in archived.state.in_order() for row in archived.rows(shard)}
    assert (rows["a.txt"].route, rows["b.txt"].route) == (LOST, "store")
    assert State(root, 2).shards[first.shard] == State(root).shards[first.shard]
    assert digest(root) == opened(root).digest()


def test_a_file_found_nowhere_is_lost_and_the_archive_sound(root: Path, source: Path):
    spoil(root, shards(root)[1], "c.txt")
    (source / "c.txt").write_text("thr3e")
    summary = mend(root, source)
    assert (summary.exit_code, summary.lost) == (ExitCode.INCOMPLETE, ("c.txt",))
    assert summary.files_lost == 1
    assert any("1 files that are lost" in line for line in summary.lines())
    checked = verify_in_process(verify.Settings(str(root)))
    assert (checked.exit_code, checked.files_lost) == (ExitCode.INCOMPLETE, 1)
    assert any("1 files that are lost" in line for line in checked.lines())
    with pytest.raises(Lost, match=r"c\.txt"):
        held(root)
    assert dict(restored(root, no_images))[b"c.txt"] == plain_reader.LOST
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    before = objects(root)
    again = mend(root, source)
    assert (again.exit_code, again.shards, again.lost) == (ExitCode.INCOMPLETE, (), ())
    assert mend(root).exit_code == ExitCode.INCOMPLETE
    after = objects(root)
    assert {name: after[name] for name in after if not name.startswith("models/")} == before
    (source / "c.txt").write_text("three")
    found = mend(root, source)
    assert (found.exit_code, found.files_mended) == (ExitCode.OK, 1)
    assert texts(root) == FILES | {"a": "one, later"}


def test_a_lost_file_that_the_source_has_is_archived_again(root: Path, source: Path):
    spoil(root, shards(root)[1], "c.txt")
    mend(root)
    assert archive(source, root, moved=True).files_added == 1
    assert texts(root) == FILES | {"a": "one, later"}


def test_another_archive_of_the_same_files_helps(root: Path, source: Path, tmp_path: Path):
    put_files(source, other="unrelated")
    archive(source, tmp_path / "other", shard_files=5)
    spoil(root, shards(root)[1], "c.txt")
    (root / shards(root)[0].blob.name).unlink()
    summary = mend(root, None, tmp_path / "other")
    assert (summary.lost, summary.files_mended) == (("a.txt",), 2)
    assert summary.exit_code == ExitCode.OK  # a has a later version, which the archive holds
    assert texts(root) == FILES | {"a": "one, later"}
    assert findings(root) == []


def test_a_file_damaged_in_one_copy_comes_from_the_next(
    made: Path, root: Path, source: Path, tmp_path: Path
):
    copies = [Path(shutil.copytree(made / "archive", tmp_path / name)) for name in "12"]
    shard = shards(root)[1]
    for folder, paths in ((root, "cd"), (copies[0], "cd"), (copies[1], "d")):
        for path in paths:
            spoil(folder, shard, f"{path}.txt")
    (source / "c.txt").unlink()
    assert mend(root, source, *copies).lost == ()
    assert texts(root) == FILES | {"a": "one, later"}


def test_without_a_manifest_part_nothing_tells_what_files_were(root: Path):
    (root / shards(root)[1].manifest.name).unlink()
    assert mend(root).lost == ("c.txt", "d.txt")
    assert findings(root) == []


def test_a_shard_without_its_manifest_part_is_made_by_its_plan(root: Path, source: Path):
    shard = shards(root)[1]
    (root / shard.manifest.name).write_bytes(b"PAR1")
    summary = mend(root, source)
    assert (summary.lost, summary.files_mended) == ((), 2)
    assert texts(root) == FILES | {"a": "one, later"}
    assert findings(root) == []


def test_images_are_encoded_again_to_the_same_bytes(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    source.mkdir()
    (source / "x.png").write_bytes(image_bytes(textured(16, 20), "PNG"))
    (source / "y.txt").write_text("beside it")
    archive(source, root)
    (shard,) = shards(root)
    spoil(root, shard, "x.png")
    assert mend(root, source).files_mended == 1
    assert shards(root)[0].blob.sha256 == shard.blob.sha256
    assert findings(root) == []


def test_a_report_says_what_to_repair(root: Path, source: Path):
    spoil(root, shards(root)[0], "b.txt")
    spoil(root, shards(root)[1], "c.txt")
    name = shards(root)[0].shard
    checked = verify_in_process(verify.Settings(str(root)))
    assert checked.exit_code == ExitCode.DAMAGE
    assert {finding.next_command for finding in checked.findings} == {f"seec repair {root}"}
    assert len(mend(root, source, report=checked.report).shards) == 2
    assert name in {shard.shard for shard in shards(root)}
    assert findings(root) == []


def test_a_report_is_trusted_and_has_to_be_one(root: Path, source: Path):
    spoil(root, shards(root)[0], "b.txt")
    name = verify_in_process(verify.Settings(str(root))).report
    assert name is not None
    spoil(root, shards(root)[1], "c.txt")
    before = objects(root)
    for wrong in ("archive.json", "reports/../archive.json", "none"):
        with pytest.raises(StorageError, match="is no report of a verification"):
            mend(root, source, report=wrong)
    with pytest.raises(ObjectMissing, match="0000Z-decode"):
        mend(root, source, report="reports/verify-20200101T000000.000000Z-decode.parquet")
    broken = "reports/verify-20200101T000000.000000Z-checksum.parquet"
    (root / broken).write_bytes(b"PAR1")
    with pytest.raises(SectionCorrupt, match="checksum"):
        mend(root, source, report=broken)
    assert objects(root).items() >= before.items()
    assert len(mend(root, source, report=name).shards) == 1  # of the other the report says nothing
    assert [finding.kind for finding in findings(root)] == ["blob-damaged"]


def test_gc_takes_what_was_damaged_once_it_is_repaired(root: Path, source: Path):
    shard = shards(root)[0]
    spoil(root, shard, "b.txt")
    mend(root, source)
    removed = gc.run(gc.Settings(str(root), delete=True, older_than_s=0)).garbage
    assert shard.blob.name in {item.name for item in removed}
    assert findings(root) == []
    assert texts(root, 2) == {"b": "two", "a": "one"}


def test_commits_that_no_copy_has_are_named_and_nothing_is_changed(root: Path):
    (root / "commits" / f"{2:010d}.json").write_bytes(b"{}")
    before = objects(root)
    summary = mend(root)
    assert summary.exit_code == ExitCode.DAMAGE
    assert [finding.object for finding in summary.left] == [f"commits/{2:010d}.json"]
    assert objects(root) == before


def test_gc_that_is_faster_than_a_repair_is_noticed(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
):
    spoil(root, shards(root)[0], "b.txt")
    commit = repair.Archive.commit

    def racing(self: repair.Archive, **what: object) -> None:
        gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
        commit(self, **what)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(repair.Archive, "commit", racing)
    mend(root, source)
    assert findings(root) == []
    assert Store(str(root)).exists(shards(root)[0].blob.name)
