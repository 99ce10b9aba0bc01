"""A verification in parts covers everything, goes on where it stopped, and reports what it saw."""

import hashlib
import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from seec.jobs import verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Store
from seec.pipeline.verify.choose import share, subset
from seec.pipeline.verify.reports import last_verified
from seec.schemas.commit import ObjectRecord, ShardRecord
from seec.schemas.report import (
    About,
    Checked,
    Finding,
    parse_about,
    parse_findings,
    serialise_findings,
)
from tests.archives.life import archive, opened, put_files
from tests.faults.points import verify_in_process

RECORD = ObjectRecord("name", 0, "")
ONE = ShardRecord("", 1, 0, 1, RECORD, RECORD, None, ("a", "a"), ())
SHARDS = [replace(ONE, shard=f"0001-x/{i:06d}") for i in range(1000)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six shards in two runs, never verified."""
    folder = tmp_path_factory.mktemp("verify")
    put_files(folder / "source", **{f"f{index}": f"text {index}" for index in range(8)})
    archive(folder / "source", folder / "archive")
    put_files(folder / "source", g0="more", g1="and", g2="more")
    archive(folder / "source", folder / "archive")
    return folder / "archive"


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "archive"))


def check(root: Path, **options: object) -> verify.VerifySummary:
    return verify_in_process(replace(verify.Settings(str(root), "checksum"), **options))


def looked_at(root: Path, summary: verify.VerifySummary) -> set[str]:
    """Blobs, by the report."""
    assert summary.report is not None
    report = parse_findings(summary.report, (root / summary.report).read_bytes())
    return {item.object for item in report if item.object.startswith("blobs/")}


def test_parts_of_a_subset_cover_everything_once():
    parts = [subset(SHARDS, part, 7) for part in range(1, 8)]
    assert sorted(s.shard for s in itertools.chain(*parts)) == [s.shard for s in SHARDS]
    assert all(100 < len(part) < 190 for part in parts)
    assert subset(SHARDS[:500], 3, 7) == [s for s in parts[2] if s in SHARDS[:500]]


def test_a_sample_follows_from_its_seed():
    one = share(SHARDS, 0.01, 5)
    assert len(one) == 10
    assert one == share(SHARDS, 0.01, 5) != share(SHARDS, 0.01, 6)
    assert len(share(SHARDS[:3], 0.01, 5)) == 1


def test_subsets_of_an_archive_are_all_of_it(root: Path):
    seen = [looked_at(root, check(root, subset=(part, 3))) for part in (1, 2, 3)]
    blobs = {shard.blob.name for shard in opened(root).state.in_order()}
    assert set.union(*seen) == blobs
    assert sum(map(len, seen)) == len(blobs) == 6


def test_only_what_came_after_a_commit(root: Path):
    first = 5  # opens the first run, and its four shards
    summary = check(root, since=first)
    new = [s.blob.name for s in opened(root).state.in_order() if s.shard.startswith("0002")]
    assert looked_at(root, summary) == set(new)
    assert check(root, since=opened(root).state.sequence).shards == 0


def test_the_shards_verified_longest_ago_come_first(root: Path, monkeypatch: pytest.MonkeyPatch):
    clock = itertools.count()
    monkeypatch.setattr(verify, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    seen: list[set[str]] = []
    for _ in range(6):
        # The clock ticks once at the start, and once before each shard but the first.
        summary = check(root, max_duration_s=2)
        assert (summary.shards, summary.shards_left) == (6, 4)
        assert "4 of 6 shards are left" in "\n".join(summary.lines())
        seen.append(looked_at(root, summary))
    assert set.union(*seen[:3]) == {s.blob.name for s in opened(root).state.in_order()}
    assert seen[3:] == seen[:3]


def test_bytes_that_were_compared_are_not_pixels_that_were_decoded(root: Path):
    shards = list(opened(root).state.in_order())
    part = next(part for part in (1, 2, 3) if subset(shards, part, 3))  # some may be empty
    check(root, subset=(part, 3))
    blobs = {shard.blob.name for shard in shards}
    store = Store(str(root))
    assert last_verified(store, ("checksum",), blobs).keys()
    assert last_verified(store, ("decode",), blobs) == {}
    check(root, mode="decode")
    assert last_verified(store, ("checksum", "decode"), blobs).keys() == blobs


def test_without_a_place_for_a_report_all_is_checked_and_a_warning_says_so(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.rmtree(root / "reports")
    (root / "reports").write_bytes(b"a file in the way")
    summary = check(root)
    assert (summary.exit_code, summary.shards, summary.report) == (ExitCode.OK, 6, None)
    assert "no report: " in capsys.readouterr().err
    assert "no report: it could not be written" in list(summary.lines())


def test_reports_of_others_are_passed_over(root: Path):
    reports = root / "reports"
    reports.mkdir(exist_ok=True)
    (reports / "verify-20260101T000000.000000Z-checksum.parquet").write_bytes(b"PAR1")
    (reports / "notes.txt").write_bytes(b"mine")
    blobs = [shard.blob.name for shard in opened(root).state.in_order()]
    assert last_verified(Store(str(root)), ("checksum",), blobs) == {}


def test_a_report_says_what_was_found():
    found = Finding("blob-damaged", "blobs/x", "a bit", "seec repair", ("a", "b"))
    checked = [Checked("commits/1"), Checked("blobs/x", 7, 5, (found, found), 2)]
    assert parse_findings("report", serialise_findings(checked)) == checked


@pytest.mark.parametrize(
    "wrong",
    [
        ["--subset", "0/7"],
        ["--subset", "8/7"],
        ["--subset", "3"],
        ["--subset", "a/b"],
        ["--shards", "0%"],
        ["--shards", "101%"],
        ["--shards", "5"],
        ["--max-duration", "long"],
        ["--since", "0"],
    ],
)
def test_options_that_make_no_sense_are_wrong_use(root: Path, wrong: list[str]):
    result = CliRunner().invoke(verify.main, [str(root), *wrong])
    assert result.exit_code == ExitCode.USAGE


def test_reports_say_what_was_checked_and_name_the_one_before(root: Path):
    def verified() -> verify.VerifySummary:
        settings = verify.Settings(str(root), mode="checksum", shards=0.5, seed=7)
        return verify_in_process(settings)

    def about(summary: verify.VerifySummary) -> About:
        assert summary.report is not None
        found = parse_about("report", (root / summary.report).read_bytes())
        assert found is not None
        return found

    first, second, third = verified(), verified(), verified()
    told = about(third)
    assert told.software.startswith("seec-archive ")
    assert (told.digest, told.commits) == (third.digest, opened(root).state.sequence)
    assert told.begun < told.ended
    assert told.checked["mode"] == "checksum"
    assert told.checked["seed"] == 7
    assert told.checked["shards_checked"] < told.checked["shards_of"]
    assert about(first).previous is None
    for one, next_one in ((first, second), (second, third)):
        previous = about(next_one).previous
        assert previous is not None
        assert previous.name == one.report
        data = (root / previous.name).read_bytes()
        assert previous.sha256 == hashlib.sha256(data).hexdigest()


def test_a_report_that_was_changed_is_a_finding_and_one_that_is_gone_is_none(root: Path):
    settings = verify.Settings(str(root), mode="checksum")
    names = [verify_in_process(settings).report or "" for _ in range(3)]
    changed = root / names[1]
    whole = changed.read_bytes()
    changed.write_bytes(serialise_findings([]))
    (found,) = verify_in_process(settings).findings
    assert (found.kind, found.object) == ("report-damaged", names[1])
    changed.write_bytes(whole)
    for name in names:
        (root / name).unlink()
    assert verify_in_process(settings).findings == ()
