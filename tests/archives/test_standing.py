"""How an archive stands: sizes, growth, how old checks are, and what is found and not mended."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seec.jobs import clock, repair, report, verify
from seec.jobs.svg import growth_chart, heat_strip
from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import sorted_rows
from seec.pipeline.standing.checks import Standing, standing
from seec.pipeline.standing.growth import Point, growth, thinned
from seec.pipeline.standing.sizes import TOP, Size, sizes_of
from seec.pipeline.storage import Store
from seec.schemas.rows import Row
from tests.archives.life import archive, put_files
from tests.faults.points import verify_in_process

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
_checks: list[str] = []  # of a test so far


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six shards in two runs, never verified."""
    folder = tmp_path_factory.mktemp("standing")
    put_files(folder / "source", **{f"f{index}": f"text {index}" for index in range(8)})
    archive(folder / "source", folder / "archive")
    put_files(folder / "source", g0="more", g1="and", g2="more")
    archive(folder / "source", folder / "archive")
    return folder / "archive"


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "archive"))


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each verification is a day after the one before."""
    _checks.clear()
    monkeypatch.setattr(clock, "now", lambda: BEGIN + timedelta(days=len(_checks) - 1))


def check(root: Path, mode: str = "decode", **options: object) -> verify.VerifySummary:
    _checks.append(mode)
    return verify_in_process(replace(verify.Settings(str(root), mode), **options))


def stands(root: Path) -> Standing:
    opened = Archive.open(Store(str(root)))
    return standing(opened.store, opened.state.in_order())


def damage(root: Path) -> Path:
    blob = min((root / "blobs").rglob("*.blob"))
    blob.chmod(0o600)
    data = blob.read_bytes()
    blob.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    return blob


def test_ages_are_those_of_the_last_check_of_each_shard(root: Path, days: None) -> None:
    before = stands(root)
    assert before.never_read == len(before.read) > 4
    check(root, "checksum")
    check(root, shards=0.5, seed=1)
    known = stands(root)
    assert known.never_read == 0
    second = BEGIN + timedelta(days=1)
    newer = {shard for shard, moment in known.decoded.items() if moment == second}
    assert 0 < len(newer) < len(known.read)
    assert all(known.read[shard] == (second if shard in newer else BEGIN) for shard in known.read)
    assert known.oldest_age_s(BEGIN + timedelta(days=10)) == 10 * 86_400
    check(root)
    assert stands(root).oldest_age_s(BEGIN + timedelta(days=10)) == 8 * 86_400


def test_a_finding_stands_until_a_check_as_good_finds_nothing(root: Path, days: None) -> None:
    blob = damage(root)
    assert check(root, "checksum").findings
    sound = stands(root)
    assert [(f.kind, f.object) for f in sound.findings] == [
        ("blob-damaged", str(blob.relative_to(root)))
    ]
    assert "seec repair" in sound.findings[0].next_command
    check(root, since=2)  # looks at other shards
    assert stands(root).findings
    damage(root)  # flips the bit back
    check(root, "checksum")
    assert stands(root).findings == ()


def test_what_was_repaired_stands_until_it_is_verified(root: Path, whole: Path, days: None) -> None:
    damage(root)
    check(root, "checksum")
    repair.run(repair.Settings(str(root), copies=(str(whole),)))
    assert stands(root).findings
    check(root, "checksum")
    assert stands(root).findings == ()


def test_parts_that_do_not_count_any_more_are_no_finding(root: Path, days: None) -> None:
    damage(root)
    check(root, "checksum")
    shards = list(Archive.open(Store(str(root))).state.in_order())
    assert standing(Store(str(root)), shards[1:]).findings == ()


def test_records_are_as_the_newest_report_says(root: Path, days: None) -> None:
    (root / "FORMAT.md.gz").chmod(0o600)
    text = (root / "FORMAT.md.gz").read_bytes()
    (root / "FORMAT.md.gz").unlink()
    check(root, "checksum", subset=(1, 100))
    assert [f.kind for f in stands(root).findings] == ["format-md-missing"]
    (root / "FORMAT.md.gz").write_bytes(text)
    check(root, "checksum", subset=(1, 100))
    assert stands(root).findings == ()


def test_sizes_are_by_route_and_folder_and_each_byte_counts_once() -> None:
    def row(path: str, route: str, offset: int, length: int) -> Row:
        return Row(path, 10, None, b"", route, "0001-x/000000", offset, length)

    rows = [
        row("a", "store", 0, 4),
        row("b/c", "store", 0, 4),  # shares its bytes
        row("b/d/e", "seec", 4, 2),
        row("f/g", "lost", 0, 0),
    ]
    found = sizes_of(rows)
    assert found.total == Size(4, 40, 6)
    assert found.by_route["store"] == Size(2, 20, 4)
    assert found.by_folder == {TOP: Size(1, 10, 4), "b": Size(2, 20, 2), "f": Size(1, 10, 0)}
    assert found.lost == 1
    largest, rest = found.largest_folders(1)
    assert (largest, rest) == ([("b", Size(2, 20, 2))], Size(2, 20, 4))


def test_growth_ends_with_what_counts(root: Path) -> None:
    opened = Archive.open(Store(str(root)))
    points = growth(opened)
    shards = list(opened.state.in_order())
    assert [point.sequence for point in points] == list(range(1, opened.state.sequence + 1))
    assert points[-1].source_bytes == sum(shard.source_size_bytes for shard in shards)
    assert points[-1].stored_bytes == sum(shard.blob.size_bytes for shard in shards)
    assert all(point.moment_s for point in points)
    total = sizes_of(sorted_rows(opened)).total
    assert total.stored_bytes <= points[-1].stored_bytes


def test_pictures_are_bounded_and_within_their_frame() -> None:
    points = [Point(n + 1, None, 3 * n * 10**9, n * 10**9) for n in range(5000)]
    assert len(thinned(points, 240)) == 240
    assert thinned(points, 240)[0] == points[0]
    assert thinned(points, 240)[-1] == points[-1]
    chart = growth_chart(points)
    assert chart is not None
    pairs = [tuple(map(float, pair.split(","))) for pair in chart.source.split()]
    assert len(pairs) == 240
    assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y in pairs)
    assert 4 <= len(chart.ticks) <= 11
    assert growth_chart([]) is None
    one = growth_chart(points[:1])
    assert one is not None
    assert len(one.stored.split()) == 2

    now = BEGIN + timedelta(days=400)
    moments = [None, now, now - timedelta(days=20), now - timedelta(days=80), BEGIN]
    strip = heat_strip(moments, now)
    assert [count for _, _, count in strip.counts] == [1] * 5
    assert [cell[2] for cell in strip.cells] == ["a4", "a0", "a1", "a2", "a3"]
    many = heat_strip([now] * 9_999 + [None], now)
    assert len(many.cells) == 180
    assert [cell[2] for cell in many.cells[-2:]] == ["a0", "a4"]
    assert heat_strip([], now).cells == []


def test_a_report_is_replaced_and_nothing_else_is(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    settings = report.Settings(str(root), str(target))
    first = report.run(settings)
    assert report.run(settings).digest == first.digest
    assert first.files == 11
    target.write_text("<!doctype html>My notes")
    with pytest.raises(Exception, match="--force replaces it"):
        report.run(settings)
    assert report.run(replace(settings, force=True)).page_size_bytes > 1000


def test_a_report_of_a_damaged_archive_shows_the_rest(root: Path, tmp_path: Path) -> None:
    manifest = min((root / "manifest").rglob("*.parquet"))
    manifest.unlink()
    target = tmp_path / "out.html"
    summary = report.run(report.Settings(str(root), str(target)))
    assert 0 < summary.files < 11
    assert "cannot be read" in target.read_text()
    last = max((root / "commits").iterdir())
    last.chmod(0o600)
    last.write_bytes(b"{}")
    report.run(report.Settings(str(root), str(target)))
    assert "commit-damaged" in target.read_text()


def test_the_page_is_small_whatever_the_number_of_files(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Row("", 10, None, b"", "store", "0001-x/000000", 0, 4)

    def many(*_: object, **__: object) -> Iterator[Row]:
        return (replace(one, path=f"folder {n % 5000:04d}/{n:07d}.png") for n in range(200_000))

    monkeypatch.setattr(report, "sorted_rows", many)
    summary = report.run(report.Settings(str(root), str(tmp_path / "out.html")))
    assert summary.files == 200_000
    assert summary.page_size_bytes < 40_000
    assert "4980 other folders" in (tmp_path / "out.html").read_text()
