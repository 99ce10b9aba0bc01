"""An archive with parity mends itself, without a copy and without its source."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seec.jobs import compact, copy, gc, parity, repair, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Store
from seec.schemas.archive import SPARE, is_duplicated, parse_name, spare_name, spared
from seec.schemas.commit import ShardRecord
from tests.archives import life, plain_reader
from tests.archives.life import findings, held, opened, put_files
from tests.faults import points
from tests.faults.points import repair_in_process, verify_in_process
from tests.pictures import textured
from tests.sources import image_bytes

SHARE = 1000


def fill(source: Path) -> None:
    """Shards of several sizes, and one file that cannot be archived."""
    put_files(source, a="one", b="two", c="three")
    for number, size in enumerate((400_000, 90_000, 5_000)):
        (source / f"{number}.bin").write_bytes(random.Random(number).randbytes(size))
    (source / "x.png").write_bytes(image_bytes(textured(16, 20), "PNG"))
    (source / "huge.bin").write_bytes(bytes(1_000_000))


def archive(source: Path, root: Path, **options: Any) -> None:
    moved = {"moved": True} if (root / "commits").exists() else {}
    life.archive(source, root, max_file_size_bytes=500_000, **moved, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with parity, of two runs; the second removed a path."""
    folder = tmp_path_factory.mktemp("parity")
    fill(folder / "source")
    archive(folder / "source", folder / "archive", parity_share=SHARE)
    put_files(folder / "source", a="one, later")
    (folder / "source" / "b.txt").unlink()
    archive(folder / "source", folder / "archive", prune_missing=True)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))


def shards(root: Path) -> list[ShardRecord]:
    return list(opened(root).state.in_order())


def objects(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    found = {str(path.relative_to(root)): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if not name.startswith("reports/")}


def mend(root: Path, *copies: Path) -> repair.RepairSummary:
    return repair_in_process(repair.Settings(str(root), tuple(map(str, copies)), "/nowhere"))


def test_every_shard_has_parity_and_every_small_object_a_spare(root: Path):
    assert all(shard.parity and shard.parity.share == SHARE for shard in shards(root))
    names = set(objects(root))
    kinds = {(parse_name(name) or ("other",))[0] for name in names}
    assert kinds == {
        "blob",
        "manifest",
        "quarantine",
        "plan",
        "model",
        "removed",
        "parity",
        "other",
    }
    small = {
        name
        for name in names
        if not name.startswith(f"{SPARE}/")
        and (parse_name(name) or ("plan",))[0] in ("plan", "model", "removed")
    }
    assert {spare_name(name) for name in small} == {n for n in names if n.startswith(f"{SPARE}/")}
    assert findings(root) == []
    assert verify_in_process(verify.Settings(str(root))).findings == ()


def test_a_plain_reader_mends_objects_by_the_description(root: Path):
    shard = min(shards(root), key=lambda s: s.blob.size_bytes or 1 << 30)
    assert shard.parity is not None
    found = [(root / record.name).read_bytes() for record in shard.covered]
    broken = bytearray(found[0])
    broken[5:9] = bytes(4)
    data = (root / shard.parity.name).read_bytes()
    assert plain_reader.mended(data, [bytes(broken), *found[1:]]) == found
    plan = next(name for name in objects(root) if name.startswith("plans/"))
    spare = (root / spare_name(plan)).read_bytes()
    whole = (root / plan).read_bytes()
    assert plain_reader.mended(spare, [b"!" + whole[1:]]) == [whole]


def rotten(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 + rng.randrange(255)]) + data[place + 1 :]


def wiped(data: bytes, rng: random.Random) -> bytes:
    length = max(1, len(data) * SHARE // 10_000)
    start = rng.randrange(len(data) - length + 1)
    return data[:start] + rng.randbytes(length) + data[start + length :]


def cut_short(data: bytes, rng: random.Random) -> bytes:
    return data[: len(data) - max(1, len(data) * SHARE // 10_000)]


def too_long(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 9000))


def gone(data: bytes, rng: random.Random) -> None:
    return None


KINDS = [rotten, wiped, cut_short, too_long, gone]


def damage(path: Path, broken: bytes | None) -> None:
    """Let an object be these bytes, or be gone."""
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken)


def comes_back_when_gone(root: Path, name: str) -> bool:
    """Whether an object is small beside what its parity covers, or made from others."""
    kind, _ = parse_name(name) or ("", None)
    if kind in ("plan", "removed", "blob", "model") or name == "FORMAT.md.gz":
        return False
    if kind in ("manifest", "quarantine"):
        shard = next(s for s in shards(root) if name in [r.name for r in s.covered])
        blob, part = shard.blob.size_bytes, (root / name).stat().st_size
        return part < 0.05 * blob
    return True


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_damage_of_each_object_up_to_the_promise_mends(
    root: Path, kind: Callable[[bytes, random.Random], bytes | None]
):
    whole, rng = objects(root), random.Random(9)
    tried = 0
    for name, data in sorted(whole.items()):
        if not data or (kind is gone and not comes_back_when_gone(root, name)):
            continue
        damage(root / name, kind(data, rng))
        summary = mend(root)
        assert (summary.exit_code, summary.objects, summary.shards) == (
            ExitCode.OK,
            () if kind is gone and spared(name) else (name,),
            (),
        ), name
        assert objects(root) == whole, name
        tried += 1
    assert tried > 15


@pytest.mark.slow
def test_damage_of_all_objects_at_once_mends(root: Path):
    """A rotten byte in each object that has parity or a spare, and the last commit gone."""
    whole = objects(root)
    for seed in range(6):
        rng = random.Random(seed)
        for name, data in whole.items():
            if data and not name.startswith((f"{SPARE}/", "parity/", "quarantine/")):
                (root / name).write_bytes(rotten(data, rng))
        (root / max(name for name in whole if name.startswith("commits/"))).unlink()
        assert mend(root).exit_code == ExitCode.OK
        assert objects(root) == whole


def test_more_damage_than_promised_is_told_and_loses_nothing_else(root: Path):
    shard = max(shards(root), key=lambda s: s.blob.size_bytes)
    before = held(root)
    large = max(opened(root).rows(shard), key=lambda row: row.length)
    data = bytearray((root / shard.blob.name).read_bytes())
    start = large.offset
    data[start : start + len(data) // 5] = bytes(len(data) // 5)
    (root / shard.blob.name).write_bytes(bytes(data))
    summary = mend(root)
    assert (summary.exit_code, summary.lost) == (ExitCode.INCOMPLETE, (large.path,))
    (why,) = summary.beyond_parity
    assert why.startswith(f"parity of shard {shard.shard} is not enough: ")
    assert why in list(summary.lines())
    assert findings(root) == []
    archived = opened(root)
    kept = {r.path for s in archived.state.in_order() for r in archived.rows(s) if not r.lost}
    assert kept == before.keys() - {large.path} | {"b.txt"}
    new = archived.state.shards[shard.shard]
    assert new.parity is not None  # of what is there now
    assert new.parity.name != shard.parity.name if shard.parity else False
    (root / new.blob.name).write_bytes(
        rotten((root / new.blob.name).read_bytes(), random.Random(1))
    )
    assert mend(root).objects == (new.blob.name,)


def test_a_copy_helps_where_parity_is_not_enough(root: Path, made: Path):
    whole = objects(root)
    blob = shards(root)[0].blob.name
    (root / blob).unlink()
    assert mend(root, made / "archive").exit_code == ExitCode.OK
    assert objects(root) == whole


def test_parity_is_found_damaged_and_made_again(root: Path):
    whole = objects(root)
    records = [shard.parity for shard in shards(root) if shard.parity]
    (root / records[0].name).unlink()
    (root / records[1].name).write_bytes(b"rot")
    spares = sorted(name for name in whole if name.startswith(f"{SPARE}/"))
    for name in spares[:-1]:
        (root / name).write_bytes(rotten(whole[name], random.Random(3)))
    (root / spares[-1]).write_bytes(b"")
    found = {(one.kind, one.object) for one in findings(root)}
    assert found == {
        ("parity-missing", records[0].name),
        ("parity-damaged", records[1].name),
        *(("spare-damaged", name) for name in spares),
    }
    summary = mend(root)
    assert summary.exit_code == ExitCode.OK
    assert set(summary.objects) == {name for _, name in found}
    assert objects(root) == whole


def test_a_commit_that_is_gone_at_the_end_is_found_by_its_spare(root: Path):
    whole = objects(root)
    last = max(name for name in whole if name.startswith("commits/"))
    (root / last).unlink()
    (found,) = [one for one in findings(root) if one.kind == "commit-missing"]
    assert found.object == last
    assert mend(root).objects == (last,)
    assert objects(root) == whole


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """An archive without parity, and its source beside it."""
    fill(tmp_path / "source")
    archive(tmp_path / "source", tmp_path / "plain")
    return tmp_path / "plain"


def added(root: Path, share: int | None, **options: Any) -> parity.ParitySummary:
    return parity.run(parity.Settings(str(root), share, **options))


def test_it_is_added_later_and_runs_go_on_with_it(plain: Path):
    before = objects(plain)
    told = added(plain, SHARE, dry_run=True)
    assert (told.with_parity, told.changed) == (0, told.shards)
    assert objects(plain) == before
    made = added(plain, SHARE)
    assert (made.changed, made.with_parity) == (told.shards, told.shards)
    assert made.parity_size_bytes == told.would_add_bytes
    assert made.data_size_bytes == told.would_read_bytes
    assert before.items() <= objects(plain).items()
    assert findings(plain) == []
    assert added(plain, SHARE).changed == 0
    put_files(plain.parent / "source", later="after that")
    archive(plain.parent / "source", plain)
    assert all(shard.parity for shard in shards(plain))
    put_files(plain.parent / "source", last="without")
    archive(plain.parent / "source", plain, parity_share=0)
    assert [bool(shard.parity) for shard in shards(plain)][-2:] == [True, False]
    assert added(plain, 0).with_parity == 0
    gc.run(gc.Settings(str(plain), delete=True, older_than_s=0))
    assert not any(name.startswith("parity/") for name in objects(plain))
    assert findings(plain) == []


def test_a_damaged_shard_gets_none_and_is_named(plain: Path):
    shard = shards(plain)[0]
    blob = plain / shard.blob.name
    blob.write_bytes(rotten(blob.read_bytes(), random.Random(2)))
    summary = added(plain, SHARE)
    assert (summary.exit_code, list(summary.damaged)) == (ExitCode.DAMAGE, [shard.shard])
    assert summary.with_parity == summary.shards - 1


@pytest.mark.slow
def test_killed_at_each_point_it_goes_on(plain: Path, tmp_path: Path):
    start = Path(shutil.copytree(plain, tmp_path / "start"))
    code, labels = points.parity(plain, SHARE)
    assert code == ExitCode.OK
    whole = {name for name in objects(plain) if not name.startswith(("commits/", SPARE))}
    for kill_at in range(0, len(labels), max(1, len(labels) // 25)):
        shutil.rmtree(plain)
        shutil.copytree(start, plain)
        assert points.parity(plain, SHARE, kill_at)[0] < 0
        assert findings(plain) == []
        gc.run(gc.Settings(str(plain), delete=True, older_than_s=0))
        assert added(plain, SHARE).exit_code == ExitCode.OK
        assert whole <= objects(plain).keys()
        assert findings(plain) == []


def test_compaction_copies_and_gc_know_it(root: Path, tmp_path: Path):
    compact.run(compact.Settings(str(root), shard_files=12))
    assert all(shard.parity and shard.parity.share == SHARE for shard in shards(root))
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=1))
    named = {record.name for shard in shards(root) for record in shard.objects}
    assert {name for name in objects(root) if name.startswith("parity/")} <= named
    assert findings(root) == []
    copy.run(copy.Settings(str(root), str(tmp_path / "second")))
    first, second = objects(root), objects(tmp_path / "second")
    assert second.items() <= first.items()
    assert {n for n in first if n.startswith("parity/")} <= second.keys()
    assert {n for n in first if n.startswith(f"{SPARE}/commits")} <= second.keys()
    assert findings(tmp_path / "second") == []
    assert added(tmp_path / "second", None).with_parity == len(shards(root))


def test_restoring_reads_no_parity(root: Path, tmp_path: Path):
    for name in objects(root):
        if name.startswith(("parity/", f"{SPARE}/")):
            (root / name).unlink()
    summary = restore.run(
        restore.Settings(str(root), str(tmp_path / "back"), allow_unfinished=True)
    )
    assert summary.exit_code == ExitCode.OK


def test_the_command_states_the_cost(plain: Path):
    def asked(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(parity.main, [str(plain), *arguments, "--json"])
        assert result.exit_code == ExitCode.OK, result.output
        return json.loads(result.stdout)

    told = asked("5%", "--dry-run")
    assert told["would_compute_s"] > 0
    assert 0.05 < told["would_add_bytes"] / told["would_read_bytes"] < 0.08
    done = asked("5%")
    assert done["parity_size_bytes"] == told["would_add_bytes"]
    text = CliRunner().invoke(parity.main, [str(plain)]).stdout
    assert f"{done['with_parity']} of {done['shards']} shards have parity" in text
    for wrong in (["--dry-run"], ["101%"], ["5"], ["0.001%"], ["-5%"]):
        assert CliRunner().invoke(parity.main, [str(plain), *wrong]).exit_code == ExitCode.USAGE


def test_spares_are_told_from_other_names():
    for name in ("archive.json", "commits/0000000001.json", "FORMAT.md.gz"):
        assert spared(spare_name(name)) == name
        assert is_duplicated(name) == (name != "FORMAT.md.gz")
    for name in (
        "spare/x",
        "spare/archive.json.parity",
        "spare/blobs/0001-0123456789abcdef/000000.blob",
    ):
        assert spared(name) is None


def test_names_of_spares_are_no_strangers_to_gc(root: Path):
    assert gc.run(gc.Settings(str(root))).strangers == ()
    (root / SPARE / "mine").write_text("?")
    assert gc.run(gc.Settings(str(root))).strangers == (f"{SPARE}/mine",)
    assert Store(str(root)).exists(f"{SPARE}/mine")
