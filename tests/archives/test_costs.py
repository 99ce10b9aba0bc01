"""What archives ask of their stores: requests, and bytes of large objects."""

from collections import Counter
from pathlib import Path

import numpy as np

from jobs import archive as archive_job
from jobs import restore as restore_job
from pipeline.archive import Archive
from pipeline.archive.archive import CHECKPOINT_EVERY
from pipeline.storage import Store
from schemas.archive import model_name, plan_name
from schemas.commit import ObjectRecord, RunRecord
from tests.faults import filesystem, points
from tests.faults.fault_sweep import restore_in_process
from tests.faults.filesystem import LIST, READ, Plan

FORMAT = b"how to read this"


def run(number: int) -> RunRecord:
    name = f"{number:04d}-{'0' * 16}"
    plan, model = (ObjectRecord(n, 1, "0" * 64) for n in (plan_name(name), model_name("0" * 64)))
    return RunRecord(name, plan, "source", 1, 1, model)


def test_to_open_an_archive_takes_a_bounded_number_of_requests(tmp_path: Path):
    archive = Archive.open_or_create(Store(str(tmp_path / "archive")), FORMAT)
    counts: list[int] = []
    for number in range(1, 3 * CHECKPOINT_EVERY):
        archive.commit(runs=(run(number),))
        with filesystem.plan(Plan()) as plan:
            opened = Archive.open(Store(f"faulty://{tmp_path}/archive"))
        assert len(opened.state.runs) == number
        asked = Counter(request.verb for request in plan.requests)
        assert asked == {READ: asked[READ], LIST: 1}
        counts.append(asked[READ])
    # archive.json, and one to as many commits as there are from one checkpoint to the next.
    assert max(counts) == 1 + CHECKPOINT_EVERY
    assert counts[CHECKPOINT_EVERY - 1 :: CHECKPOINT_EVERY] == [2, 2]


def test_to_restore_one_file_reads_its_part_of_the_blob(tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    noise = np.random.default_rng(1)
    for index in range(20):
        (source / f"{index:02d}.bin").write_bytes(noise.bytes(100_000))
    settings = archive_job.Settings(str(source), str(tmp_path / "archive"), model=points.MODEL)
    points.archive_in_process(settings)
    with filesystem.plan(Plan()) as plan:
        wanted = restore_job.Settings(
            f"faulty://{tmp_path}/archive", str(tmp_path / "out"), include=("07.bin",)
        )
        assert restore_in_process(wanted).restored == 1
    (read,) = (request for request in plan.requests if "/blobs/" in request.path)
    assert (read.verb, read.start, read.end) == (READ, 700_000, 800_000)
    assert (tmp_path / "out" / "07.bin").read_bytes() == (source / "07.bin").read_bytes()
