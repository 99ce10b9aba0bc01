"""A folder into an archive and back, on Ray."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from click.testing import CliRunner
from psutil import process_iter

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.stages.archiving import ArchivingRun
from seec.pipeline.storage import Store
from seec.schemas.kinds import FILE
from seec.schemas.names import escape
from tests.pictures import textured
from tests.sources import (
    ODD_NAMES,
    coded_files,
    files_below,
    image_bytes,
    jpeg_files,
    plane_files,
    same_image,
    stored_files,
    write_tiny_source,
)
from tests.trees import nodes

pytestmark = pytest.mark.usefixtures("ray_cluster")


def archive_of(source: Path, root: Path, **options: Any) -> archive.ArchiveSummary:
    return archive.run(archive.Settings(str(source), str(root), **options))


def test_every_file_has_one_row_and_comes_back(source: Path, archived: Path, tmp_path: Path):
    rows = ls.run(ls.Settings(str(archived))).rows
    before = files_below(source)
    assert [row.path for row in rows if row.kind == FILE] == sorted(map(escape, before))
    assert [row.path for row in rows] == sorted(map(escape, nodes(source)))
    out = tmp_path / "out"
    summary = restore.run(restore.Settings(str(archived), str(out)))
    assert (summary.restored, summary.failed) == (len(before), [])
    after = files_below(out)
    assert before.keys() == after.keys()
    coded = {name.encode() for name in coded_files() | plane_files()} | set(ODD_NAMES)
    for name, data in before.items():
        same = same_image(data, after[name]) if name in coded else data == after[name]
        assert same, name
        times = {(root / os.fsdecode(name)).stat().st_mtime_ns for root in (source, out)}
        assert len(times) == 1, name


def test_jpeg_goes_through_jpeg_xl_and_the_listing_counts_it(archived: Path):
    result = CliRunner().invoke(ls.main, [str(archived), "--include", "*.jpg"])
    lines = {line.split()[-1]: line.split()[0] for line in result.stdout.splitlines()}
    names = [name for name in jpeg_files() if name.endswith(".jpg")]
    assert {name: lines[name] for name in names} == dict.fromkeys(names, "jpegxl-jpeg")
    stored = [name for name in stored_files() if name.endswith(".jpg")]
    assert {name: lines[name] for name in stored} == dict.fromkeys(stored, "store")
    counts = f"({len(names)} jpegxl-jpeg, {len(stored)} store)"
    assert counts in result.stdout


def test_the_archive_verifies_in_every_mode(source: Path, archive_copy: Path):
    total = len(nodes(source))
    for mode in ("checksum", "sample", "decode"):
        summary = verify.run(verify.Settings(str(archive_copy), mode))
        assert summary.exit_code == ExitCode.OK
        assert summary.images == total
        assert summary.images_decoded == total or mode != "decode"
        assert (archive_copy / (summary.report or "")).is_file()


def test_run_again_it_does_and_writes_nothing(source: Path, archive_copy: Path):
    before = {path: path.stat() for path in archive_copy.rglob("*")}
    summary = archive_of(source, archive_copy)
    assert (summary.exit_code, summary.runs) == (ExitCode.OK, [])
    assert {path: path.stat() for path in archive_copy.rglob("*")}.keys() == before.keys()


def test_batches_workers_and_commits_leave_no_trace(
    source: Path, archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("seec.pipeline.stages.batch.MAX_FILES", 3)
    summary = archive_of(source, tmp_path / "a", shard_files=12)
    assert summary.digest == Archive.open(Store(str(archived))).digest()


def test_new_and_changed_files_go_into_a_new_run(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    write_tiny_source(source, 3)
    first = archive_of(source, root)
    (source / "001.png").write_bytes(image_bytes(textured(20, 20, 9), "PNG"))
    (source / "new.png").write_bytes(image_bytes(textured(20, 20, 10), "PNG"))
    (source / "002.png").unlink()
    second = archive_of(source, root)
    assert (second.files_added, len(second.runs)) == (2, 1)
    assert second.digest != first.digest
    listing = ls.run(ls.Settings(str(root)))
    assert [row.path for row in listing.rows] == ["000.png", "001.png", "002.png", "new.png"]
    restore.run(restore.Settings(str(root), str(tmp_path / "out"), include=("001*",)))
    restored = files_below(tmp_path / "out")
    assert restored.keys() == {b"001.png"}
    assert same_image(restored[b"001.png"], (source / "001.png").read_bytes())
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK


def test_a_file_that_cannot_be_read_is_quarantined_and_the_run_goes_on(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    write_tiny_source(source, 3)
    os.mkfifo(source / "pipe.png")
    (source / "huge.bin").write_bytes(bytes(5000))
    summary = archive_of(source, root, max_file_size_bytes=4000)
    assert summary.exit_code == ExitCode.INCOMPLETE
    assert (summary.files_added, summary.quarantined_now) == (3, 2)
    failed = ls.run(ls.Settings(str(root), quarantine=True)).failed
    assert [(row.path, row.error) for row in failed] == [
        ("huge.bin", "LimitExceeded"),
        ("pipe.png", "SourceError"),
    ]
    again = archive_of(source, root)
    assert (again.exit_code, again.runs) == (ExitCode.INCOMPLETE, [])
    (source / "pipe.png").unlink()
    (source / "pipe.png").write_bytes(image_bytes(textured(20, 20, 9), "PNG"))
    healed = archive_of(source, root, retry_quarantine=True)
    assert (healed.exit_code, healed.files_added) == (ExitCode.OK, 2)
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK


def test_large_images_travel_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("seec.pipeline.stages.batch.MAX_PIXELS", 700)
    monkeypatch.setattr("seec.pipeline.stages.archiving.BUDGET_BYTES", 4000)
    source = tmp_path / "source"
    write_tiny_source(source, 5)
    (source / "big.png").write_bytes(image_bytes(textured(60, 60), "PNG"))
    summary = archive_of(source, tmp_path / "archive", shard_files=3)
    assert summary.files_added == 6
    assert verify.run(verify.Settings(str(tmp_path / "archive"))).exit_code == ExitCode.OK


def test_restore_keeps_what_is_there_unless_told_otherwise(archived: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "text.png").write_bytes(b"mine")
    settings = restore.Settings(str(archived), str(out), include=("te*", "empty*"))
    summary = restore.run(settings)
    assert (summary.restored, summary.kept) == (1, 1)
    assert (out / "text.png").read_bytes() == b"mine"
    summary = restore.run(restore.Settings(str(archived), str(out), ("te*",), overwrite=True))
    assert (out / "text.png").read_bytes() == stored_files()["text.png"]


def test_restore_does_not_follow_links_out_of_its_target(archived: Path, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    out = tmp_path / "out"
    out.mkdir()
    (out / "deep").symlink_to(outside)
    (out / "text.png").symlink_to(outside / "text.png")
    settings = restore.Settings(str(archived), str(out), ("deep/*", "text.png"), overwrite=True)
    summary = restore.run(settings)
    failed = sorted(item.path for item in summary.failed)
    assert failed == ["deep/er", "deep/er/still", "deep/er/still/a.png"]
    assert list(outside.iterdir()) == []
    assert not (out / "text.png").is_symlink()


def test_an_archive_inside_its_source_is_refused(tmp_path: Path):
    write_tiny_source(tmp_path, 1)
    result = CliRunner().invoke(archive.main, [str(tmp_path), str(tmp_path / "archive")])
    assert result.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("command", [verify.main, ls.main, restore.main])
def test_a_folder_without_an_archive_is_exit_code_10(command, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    arguments = [str(tmp_path / "folder")]
    if command is restore.main:
        arguments.append(str(tmp_path / "out"))
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == ExitCode.NOT_AN_ARCHIVE
    assert "archive" in result.stderr
    assert "Traceback" not in result.stderr


def test_json_is_json_for_every_command(archive_copy: Path, source: Path, tmp_path: Path):
    for command, arguments in (
        (archive.main, [str(source), str(archive_copy)]),
        (ls.main, [str(archive_copy)]),
        (ls.main, [str(archive_copy), "--quarantine"]),
        (verify.main, [str(archive_copy), "--mode", "checksum"]),
        (restore.main, [str(archive_copy), str(tmp_path / "out"), "--include", "te*"]),
    ):
        result = CliRunner().invoke(command, [*arguments, "--json"])
        assert result.exit_code == ExitCode.OK, result.output
        assert isinstance(json.loads(result.stdout), dict)


@pytest.mark.parametrize("command", [archive.main, verify.main, restore.main, ls.main])
def test_help_shows_an_example(command):
    text = CliRunner().invoke(command, ["--help"]).output
    assert f"seec {command.name} " in text
    assert "130" in text


def test_encoders_end_with_their_run_whoever_still_refers_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They hold processors, without which nothing else on the cluster would ever start."""
    kept: list[ArchivingRun] = []

    def keeping(*arguments: Any, **options: Any) -> ArchivingRun:
        kept.append(ArchivingRun(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(archive, "ArchivingRun", keeping)
    write_tiny_source(tmp_path / "source", 1)
    wait_until_idle("an earlier test")
    archive.run(archive.Settings(str(tmp_path / "source"), str(tmp_path / "archive")))
    assert kept
    wait_until_idle("the run")


def wait_until_idle(whose: str) -> None:
    """Until all processors of the cluster are free."""
    end = time.monotonic() + 90
    while (free := ray.available_resources()).get("CPU") != ray.cluster_resources()["CPU"]:
        titles = [" ".join(process.info["cmdline"] or ()) for process in process_iter(["cmdline"])]
        held = [one for one in titles if one.startswith("ray::")]
        assert time.monotonic() < end, f"{whose} still holds processors: {free}, {held}"
        time.sleep(0.2)
