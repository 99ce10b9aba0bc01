"""A file that its decoder does not survive costs that file, and soon."""

import hashlib
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from seec.jobs import archive, ls, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.routes.writing import draft
from seec.pipeline.stages import archiving, tasks
from seec.pipeline.stages.apart import candidate_of, draft_apart, hurried
from seec.pipeline.stages.pieces import InSource, place_of, read_piece
from seec.pipeline.storage import Limits, Source
from seec.schemas.plan import MAX_SECONDS, PlanSettings, SourceFile
from seec.schemas.routes import JPEGXL_JPEG, STORE
from tests.faults.poisoned import CRASH, HANG, RAISE, poisoned
from tests.jpegs import detailed, jpeg
from tests.pictures import textured
from tests.sources import image_bytes, write_tiny_source

REASONS = {
    CRASH: "looking into it crashes",
    HANG: "looking into it takes longer than the limit of 3 seconds",
    RAISE: "looking into it fails with ArithmeticError",
}


@pytest.mark.parametrize("seconds", [MAX_SECONDS, 10**20])
def test_a_limit_that_no_timer_counts_lets_files_be_looked_into(seconds: int):
    with hurried(seconds):
        pass


def test_a_limit_that_no_timer_counts_is_wrong_use(tmp_path: Path):
    (tmp_path / "source").mkdir()
    typed = [str(tmp_path / "source"), str(tmp_path / "archive"), "--max-seconds", str(10**20)]
    result = CliRunner().invoke(archive.main, typed)
    assert result.exit_code == ExitCode.USAGE
    assert f"1<=x<={MAX_SECONDS}" in result.stderr


@pytest.mark.parametrize("max_seconds", [600, 10**20])
def test_a_look_apart_finds_what_any_look_finds(max_seconds: int):
    settings = PlanSettings("", max_seconds=max_seconds)
    for data in (jpeg(detailed(1)), image_bytes(textured(20, 30), "PNG"), b"text"):
        file = SourceFile("a", len(data), 0)
        made, expected = (
            draft_apart(file, data, settings),
            draft(candidate_of(file, data, settings)),
        )
        assert (made.row, made.payload) == (expected.row, expected.payload)
        assert (made.coded is None) == (expected.coded is None)
        for one, other in zip(made.pictures, expected.pictures, strict=True):
            assert (one == other).all()


def test_a_piece_that_is_looked_into_apart_has_the_index_of_its_file(tmp_path: Path):
    plane = np.tile(textured(64, 128)[:, :, 0], (16, 1))
    (tmp_path / "plane.tif").write_bytes(image_bytes(plane, "TIFF"))
    source = Source(str(tmp_path), limits=Limits(bytes_per_s=1e9))
    status = (tmp_path / "plane.tif").stat()
    file = SourceFile("plane.tif", status.st_size, status.st_mtime_ns, piece=1)
    start, data = read_piece(source, file, place_of(source, file, 1 << 16))
    ranges, settings = InSource(source, file), PlanSettings("")
    made = draft_apart(file, data, settings, start, ranges)
    expected = draft(candidate_of(file, data, settings, start, ranges))
    assert start > 0
    assert (made.row, made.payload) == (expected.row, expected.payload)
    assert made.coded is not None
    assert expected.coded is not None
    assert [one.row for one in made.coded.members] == [one.row for one in expected.coded.members]
    assert made.coded.members


@pytest.mark.parametrize("how", REASONS)
def test_a_file_that_its_decoder_does_not_survive_is_stored(how: str):
    data = jpeg(detailed(2))
    settings, file = PlanSettings("", max_seconds=3), SourceFile("a", len(data), 0)
    with poisoned(how, hashlib.sha256(data).hexdigest()):
        made = draft_apart(file, data, settings)
    assert made.coded is None
    assert (made.row.route, made.row.reason) == (STORE, REASONS[how])


def _hang() -> None:
    with hurried(0.2):
        time.sleep(60)


def test_a_process_in_a_hurry_ends_in_the_middle_of_what_it_does():
    with hurried(0.05):
        pass
    time.sleep(0.1)
    process = multiprocessing.get_context("spawn").Process(target=_hang)
    process.start()
    process.join(60)
    assert process.exitcode == 1


@pytest.mark.parametrize("how", [CRASH, pytest.param(HANG, marks=pytest.mark.slow)])
def test_the_run_goes_on_and_all_other_files_are_coded(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source, root = tmp_path / "source", tmp_path / "archive"
    write_tiny_source(source, 1)
    files = {f"{index}.jpg": jpeg(detailed(index)) for index in range(4)}
    for name, data in files.items():
        (source / name).write_bytes(data)
    digest = hashlib.sha256(files["2.jpg"]).hexdigest()
    task = tasks.READ

    def read(*arguments: Any) -> Any:
        with poisoned(how, digest):
            return task.function(*arguments)

    monkeypatch.setattr(archiving, "READ", replace(task, function=read))
    summary = archive.run(archive.Settings(str(source), str(root), max_seconds=3))
    assert (summary.exit_code, summary.files_added) == (ExitCode.OK, 5)
    rows = {row.path: row for row in ls.run(ls.Settings(str(root))).rows}
    assert (rows["2.jpg"].route, rows["2.jpg"].reason) == (STORE, REASONS[how])
    assert [rows[name].route for name in files if name != "2.jpg"] == [JPEGXL_JPEG] * 3
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK
