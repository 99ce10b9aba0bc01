"""A run killed at its write points, one after the other; `sweep` says what must hold."""

import random
import shutil
import signal
from pathlib import Path

import pytest

from jobs.interface import ExitCode
from pipeline.archive import Archive
from pipeline.storage import Store
from tests.faults import points
from tests.faults.sweep import (
    Undisturbed,
    findings,
    objects,
    sweep,
    undisturbed,
    write_source,
)

SAMPLE = 8
SEED = 1


@pytest.fixture(scope="module")
def expected(folder: Path) -> Undisturbed:
    return undisturbed(folder)


def test_points_lie_around_every_step_of_a_write(expected: Undisturbed):
    written = [label for label in expected.labels if "blobs/" in label]
    assert [label.rpartition(" ")[0] for label in written[-13:]] == [
        *("before open", "after open"),
        *("before write", "half of write", "after write"),
        *("before fsync", "after fsync"),
        *("before link", "after link"),
        *("before unlink", "after unlink"),
        *("before fsync", "after fsync"),
    ]


def test_an_undisturbed_run_reaches_the_same_points_every_time(expected: Undisturbed, folder: Path):
    code, labels = points.archive(expected.source, folder / "again")
    assert (code, labels) == (ExitCode.QUARANTINE, expected.labels)


def test_a_run_killed_at_some_write_points_ends_as_if_undisturbed(
    expected: Undisturbed, folder: Path
):
    chosen = random.Random(SEED).sample(range(len(expected.labels)), SAMPLE)
    assert sweep(expected, chosen, folder) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_at_any_write_point_ends_as_if_undisturbed(
    expected: Undisturbed, folder: Path
):
    assert sweep(expected, range(len(expected.labels)), folder) == []


@pytest.fixture
def littered(expected: Undisturbed, folder: Path) -> Path:
    """An archive with what a killed run left, that was given up, and one that never began."""
    root = folder / "littered"
    wanted = [i for i, label in enumerate(expected.labels) if "000003.parquet" in label]
    code, _ = points.archive(expected.source, root, wanted[-1])
    assert code == -signal.SIGKILL
    # Of another source: finishing it would end in another archive.
    other = folder / "other"
    write_source(other)
    (other / "8.bmp").unlink()
    code, _ = points.archive(other, root, new_plan=True)
    assert code == ExitCode.QUARANTINE
    store = Store(str(root))
    store.put_new("plans/0003-0123456789abcdef.parquet", b"plan")
    store.put_new(f"models/{'0' * 64}.safetensors", b"model")
    return root


def test_gc_killed_at_any_point_has_removed_garbage_only_and_finishes_later(
    littered: Path, folder: Path
):
    digest = Archive.open(Store(str(littered))).digest()
    whole = folder / "whole"
    shutil.copytree(littered, whole)
    code, labels = points.gc(whole)
    assert code == ExitCode.OK
    expected = objects(whole)
    assert len(labels) == 2 * len(set(objects(littered)) - set(expected)) > 8
    for point in range(len(labels)):
        root = folder / f"gc-{point}"
        shutil.copytree(littered, root)
        assert points.gc(root, point) == (-signal.SIGKILL, [])
        assert findings(root) == []
        assert points.gc(root)[0] == ExitCode.OK
        assert objects(root) == expected
        assert Archive.open(Store(str(root))).digest() == digest
        shutil.rmtree(root)
