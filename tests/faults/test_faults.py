"""Stores that fail: what passes does not show, what stays is named, nothing is lost."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Retry, Source, Store
from seec.schemas.errors import (
    ObjectMissing,
    SourceChanged,
    StorageError,
    StoreUnavailable,
    TransientStorageError,
)
from tests.faults import fault_sweep, filesystem
from tests.faults.filesystem import (
    DENIED,
    DOWN,
    FULL,
    LASTING,
    LIST,
    LOOK,
    POSSIBLE,
    QUOTA,
    READ,
    REMOVE,
    TRANSIENT,
    WRITE,
    Plan,
)

ROOT = Path(__file__).parents[2]
QUICK = Retry(attempts=3, first_pause_s=0.001, longest_pause_s=0.002)
SAMPLE = 24
SEED = 2


@pytest.fixture(scope="module")
def jobs(folder: Path) -> list[fault_sweep.Job]:
    return fault_sweep.jobs(fault_sweep.undisturbed(folder), folder / "undisturbed")


def test_every_job_asks_its_store_for_all_that_can_fail(jobs: list[fault_sweep.Job]):
    asked = {job.name: {request.verb for request in job.requests} for job in jobs}
    assert asked["archive to it"] == {READ, LOOK, LIST, WRITE, REMOVE}
    assert asked["archive from it"] == {READ, LOOK, LIST}
    assert asked["restore to it"] == {LOOK, WRITE}
    tried = {case.fault for job in jobs for case in job.cases()}
    assert tried == {fault for faults in POSSIBLE.values() for fault in faults}


def test_jobs_bear_some_faults_of_their_stores(jobs: list[fault_sweep.Job], folder: Path):
    cases = [case for job in jobs for case in job.cases()]
    chosen = random.Random(SEED).sample(cases, SAMPLE)
    assert [str(failure) for failure in fault_sweep.sweep(chosen, folder)] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_jobs_bear_any_fault_of_their_stores(jobs: list[fault_sweep.Job], folder: Path):
    cases = [case for job in jobs for case in job.cases()]
    assert [str(failure) for failure in fault_sweep.sweep(cases, folder)] == []


def filled(tmp_path: Path) -> Store:
    store = Store(f"faulty://{tmp_path}/place", QUICK)
    store.put_new("a/b", bytes(range(100)))
    return store


ACTIONS: dict[str, tuple[str, Callable[[Store], Any], Any]] = {
    "put_new": (WRITE, lambda store: store.put_new("a/c", b"1234"), None),
    "put": (WRITE, lambda store: store.put("a/b", b"1234"), None),
    "get": (READ, lambda store: store.get("a/b"), bytes(range(100))),
    "get_range": (READ, lambda store: store.get_range("a/b", 10, 3), b"\x0a\x0b\x0c"),
    "size": (LOOK, lambda store: store.size("a/b"), 100),
    "names": (LIST, lambda store: list(store.names()), ["a/b"]),
    "remove": (REMOVE, lambda store: store.remove("a/b"), None),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_fault_that_passes_does_not_show(action: str, fault: str, tmp_path: Path):
    verb, act, expected = ACTIONS[action]
    if fault not in POSSIBLE[verb]:
        return
    store = filled(tmp_path)
    with filesystem.plan(Plan(fault, verb=verb)) as plan:
        assert act(store) == expected
    assert plan.struck
    if action.startswith("put"):
        assert store.get("a/c" if action == "put_new" else "a/b") == b"1234"


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_stays_is_named(action: str, fault: str, tmp_path: Path):
    verb, act, _ = ACTIONS[action]
    if fault not in POSSIBLE[verb]:
        return
    store = filled(tmp_path)
    with filesystem.plan(Plan(fault, verb=verb)) as plan, pytest.raises(StorageError) as raised:
        act(store)
    kind = {DOWN: TransientStorageError, FULL: StoreUnavailable, QUOTA: StoreUnavailable}
    if verb == READ or action == "size":
        kind[DENIED] = StoreUnavailable  # nothing else of it can be had, either
    assert type(raised.value) is kind.get(fault, StorageError)
    assert str(tmp_path) in str(raised.value)
    befallen = [request for request in plan.requests if request.verb == verb]
    assert len(befallen) == (QUICK.attempts if fault == DOWN else 1)


def test_a_lost_answer_is_not_taken_for_another_writer(tmp_path: Path):
    store = filled(tmp_path)
    with filesystem.plan(Plan(filesystem.LOST, verb=WRITE)):
        store.put_new("commits/1", b"mine")
    assert store.get("commits/1") == b"mine"


def test_a_write_that_was_cut_off_is_mended_and_no_other_object_replaced(tmp_path: Path):
    store = filled(tmp_path)
    with filesystem.plan(Plan(filesystem.CUT, verb=WRITE)):
        store.put_new("a/c", b"12345678")
    assert store.get("a/c") == b"12345678"
    assert store.put_same("a/b", bytes(range(100)))
    assert not store.put_same("a/b", bytes(range(101)))
    assert store.size("a/b") == 100


def test_a_source_that_is_gone_ends_the_run_and_a_file_that_is_gone_does_not(tmp_path: Path):
    root = tmp_path / "source"
    for scheme in ("", "faulty://"):
        root.mkdir()
        for name in ("a", "b"):
            (root / name).write_bytes(b"data")
        source = Source(f"{scheme}{root}")
        source.store.retry = QUICK
        files = source.files()
        (root / "a").unlink()
        with pytest.raises(ObjectMissing if scheme else SourceChanged):
            source.read(files[0])
        with (
            filesystem.plan(Plan(DENIED, verb=READ, part="b")),
            pytest.raises(StoreUnavailable) if scheme else pytest.raises(SourceChanged),
        ):
            os.utime(root / "b", (1, 1))
            source.read(files[1])
        shutil.rmtree(root)
    local = Source(str(tmp_path))
    local.store.retry = QUICK
    (tmp_path / "c").write_bytes(b"data")
    (file,) = (item for item in local.files() if item.path == "c")
    tmp_path.rename(tmp_path.with_name("unplugged"))
    with pytest.raises(StoreUnavailable, match="the source is gone"):
        local.read(file)


def test_a_full_disk_stops_a_job_and_the_rerun_finishes_it(tmp_path: Path):
    alone = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("cannot mount a file system of its own here")
    done = subprocess.run(
        [*alone, sys.executable, "-m", "tests.faults.full_disk", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    result = json.loads(done.stdout)
    assert result["same digest"]
    for failures in (result["archive failures"], result["restore failures"]):
        assert failures
        for text in failures:
            assert re.fullmatch("write .*/.*: No space left on device; make room, .*", text), text
    assert result["verify"] == [ExitCode.INCOMPLETE, None]
    assert result["restore"] == [ExitCode.INCOMPLETE, result["files"]]
