"""What archives ask of their stores: requests, and bytes of large objects."""

import fnmatch
import re
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np

from seec.jobs import archive as archive_job
from seec.jobs import ls
from seec.jobs import restore as restore_job
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from seec.schemas.archive import plan_name
from seec.schemas.commit import ObjectRecord, RunRecord, SourceRecord
from tests.faults import filesystem, points
from tests.faults.fault_sweep import restore_in_process
from tests.faults.filesystem import LIST, READ, Plan

FORMAT = b"how to read this"


def run(number: int) -> RunRecord:
    name = f"{number:04d}-{'0' * 16}"
    plan = ObjectRecord(plan_name(name), 1, "0" * 64)
    return RunRecord(name, plan, SourceRecord("source"), 1, 1, "0" * 64)


def test_to_open_an_archive_takes_few_requests_and_its_commits_few_bytes(tmp_path: Path):
    with patch("seec.pipeline.archive.archive.RECAP_EVERY", 3):
        archive = Archive.open_or_create(Store(str(tmp_path / "archive")), FORMAT)
    for number in range(1, 3**4):
        archive.commit(runs=(run(number),))
        if number > 9 and number % 9 not in (0, 8):
            continue
        with filesystem.plan(Plan()) as plan:
            opened = Archive.open(Store(f"faulty://{tmp_path}/archive"))
        assert opened.state == archive.state
        assert len(opened.state.runs) == number
        # archive.json, and for each power of three as many commits as its digit says.
        digits = [number // 3**power % 3 for power in range(4)]
        asked = Counter(request.verb for request in plan.requests)
        assert asked == {READ: 1 + sum(digits), LIST: 1}
    text = b"".join(path.read_bytes() for path in (tmp_path / "archive" / "commits").iterdir())
    named = Counter(re.findall(rb'"run_id":"(\d+)', text))
    assert max(named.values()) == 4


def test_to_list_a_folder_reads_only_what_may_hold_it(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    for folder in "abcd":
        (source / folder).mkdir(parents=True)
        for index in range(8):
            (source / folder / f"{index}.txt").write_text(folder)
    options = archive_job.Settings(str(source), str(root), model=points.MODEL, shard_files=2)
    points.archive_in_process(options)
    for include, parts in {"b/*": 5, "b/3.txt": 1, "e*": 0, "[b]/*": 20}.items():
        with filesystem.plan(Plan()) as plan:
            listing = ls.run(ls.Settings(f"faulty://{tmp_path}/archive", (include,)))
        expected = [row.path for row in ls.run(ls.Settings(str(root))).rows]
        assert [row.path for row in listing.rows] == fnmatch.filter(expected, include)
        read = [request.path for request in plan.requests if "/manifest/" in request.path]
        assert len(read) <= parts, (include, read)


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
