"""Real archives with real damage: each is found, named, and ends with exit code 4."""

import random
from pathlib import Path

import pytest

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode, exit_code_of
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from seec.schemas.errors import SeecError
from seec.schemas.kinds import FILE
from seec.schemas.rows import Row
from tests.archives.life import findings
from tests.sources import files_below


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(bytes(data))


def objects(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_a_sound_archive_has_no_findings(archived: Path):
    assert findings(archived) == []


def test_a_flipped_bit_in_any_object_is_found_and_named(archive_copy: Path):
    rng = random.Random(1)
    for path in objects(archive_copy):
        name = str(path.relative_to(archive_copy))
        if name.startswith("reports/"):
            continue
        size = path.stat().st_size
        for position in sorted({0, size - 1, *(rng.randrange(size) for _ in range(6))}):
            bit = rng.randrange(8)
            flip(path, position, bit)
            found = findings(archive_copy)
            assert name in {finding.object for finding in found}, (name, position, bit)
            assert all(finding.next_command for finding in found)
            flip(path, position, bit)
    assert findings(archive_copy) == []


def test_a_missing_object_is_found_and_named(archive_copy: Path):
    for path in objects(archive_copy):
        name = str(path.relative_to(archive_copy))
        if name.startswith("reports/") or path == last_commit(archive_copy):
            continue
        data = path.read_bytes()
        path.unlink()
        assert name in {finding.object for finding in findings(archive_copy)}, name
        path.write_bytes(data)


def last_commit(root: Path) -> Path:
    """Nothing in an archive tells that there was a commit after the last one there is."""
    return max((root / "commits").iterdir())


def test_every_truncation_of_a_commit_is_found(archive_copy: Path):
    path = last_commit(archive_copy)
    data = path.read_bytes()
    for length in range(0, len(data), 5):
        path.write_bytes(data[:length])
        assert [f.object for f in findings(archive_copy)] == [f"commits/{path.name}"]


def sharing(rows: list[Row], row: Row) -> tuple[str, ...]:
    """The paths whose payload is that of a row."""
    return tuple(o.path for o in rows if o.length and o.offset == row.offset)


def test_a_damaged_blob_names_the_images_it_affects(archive_copy: Path):
    opened = Archive.open(Store(str(archive_copy)))
    shard = next(opened.state.in_order())
    row = opened.rows(shard)[3]
    flip(archive_copy / shard.blob.name, row.offset + row.length // 2)
    (found,) = findings(archive_copy)
    assert (found.kind, found.object, found.paths) == (
        "blob-damaged",
        shard.blob.name,
        sharing(opened.rows(shard), row),
    )
    assert found.next_command == f"seec repair {archive_copy}"


@pytest.mark.usefixtures("ray_cluster")
def test_damage_is_exit_code_4_and_all_else_is_restored(archive_copy: Path, tmp_path: Path):
    opened = Archive.open(Store(str(archive_copy)))
    first, second, *_ = opened.state.in_order()
    row = opened.rows(first)[2]
    flip(archive_copy / first.blob.name, row.offset)
    (archive_copy / second.blob.name).unlink()
    for mode in ("checksum", "decode"):
        summary = verify.run(verify.Settings(str(archive_copy), mode))
        assert summary.exit_code == ExitCode.DAMAGE
        assert {finding.kind for finding in summary.findings} == {"blob-damaged", "blob-missing"}
        assert summary.report is not None
    result = restore.run(restore.Settings(str(archive_copy), str(tmp_path / "out")))
    assert result.exit_code == ExitCode.DAMAGE
    # A directory has no bytes that could be lost.
    lost = {
        *sharing(opened.rows(first), row),
        *(row.path for row in opened.rows(second) if row.kind == FILE),
    }
    assert {item.path for item in result.failed} == lost
    assert len(files_below(tmp_path / "out")) == result.restored > 0


@pytest.mark.usefixtures("ray_cluster")
def test_a_damaged_manifest_part_costs_its_own_shard_only(archive_copy: Path, tmp_path: Path):
    opened = Archive.open(Store(str(archive_copy)))
    shard = next(opened.state.in_order())
    flip(archive_copy / shard.manifest.name, 100)
    assert verify.run(verify.Settings(str(archive_copy))).exit_code == ExitCode.DAMAGE
    result = restore.run(restore.Settings(str(archive_copy), str(tmp_path / "out")))
    assert result.exit_code == ExitCode.DAMAGE
    left = sum(s.files for s in opened.state.in_order()) - shard.files
    assert result.restored + result.directories == left
    listing = ls.run(ls.Settings(str(archive_copy)))
    assert len(listing.rows) == left
    assert (len(listing.unread), listing.exit_code) == (1, ExitCode.DAMAGE)


@pytest.mark.usefixtures("ray_cluster")
def test_a_damaged_model_is_found_before_anything_is_decoded_with_it(archive_copy: Path):
    (model,) = (archive_copy / "models").iterdir()
    flip(model, model.stat().st_size // 2)
    summary = verify.run(verify.Settings(str(archive_copy), "decode"))
    kinds = {finding.kind for finding in summary.findings}
    assert kinds == {"model-damaged", "image-undecodable"}


def test_nothing_is_added_to_a_damaged_archive(archive_copy: Path, source: Path):
    flip(last_commit(archive_copy), 50)
    before = objects(archive_copy)
    with pytest.raises(SeecError) as raised:
        archive.run(archive.Settings(str(source), str(archive_copy)))
    assert exit_code_of(raised.value) == ExitCode.DAMAGE
    assert objects(archive_copy) == before


def test_litter_that_no_commit_names_is_not_damage(archive_copy: Path):
    (archive_copy / "blobs" / "litter.blob").write_bytes(b"left by a crash")
    (archive_copy / "commits" / ".partial-1234").write_bytes(b"{")
    assert findings(archive_copy) == []
