"""Jobs killed at their write points, one after the other; `sweep` says what must hold."""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.faults.sweep import Undisturbed, sweep, undisturbed
from tests.faults.swept import JOBS

SAMPLES = {"archive": 8, "share": 4, "compact": 5, "repair": 5, "repair shared": 4, "gc": 4}
SEED = 1

Expect = Callable[[str], Undisturbed]


@pytest.fixture(scope="module")
def expect(folder: Path) -> Expect:
    """Does a job the first time that it is asked for."""

    @cache
    def done(name: str) -> Undisturbed:
        (folder / name).mkdir()
        return undisturbed(JOBS[name](folder / name), folder / name)

    return done


def test_points_lie_around_every_step_of_a_write(expect: Expect):
    written = [label for label in expect("archive").labels if "blobs/" in label]
    assert [label.rpartition(" ")[0] for label in written[-13:]] == [
        *("before open", "after open"),
        *("before write", "half of write", "after write"),
        *("before fsync", "after fsync"),
        *("before link", "after link"),
        *("before unlink", "after unlink"),
        *("before fsync", "after fsync"),
    ]


@pytest.mark.parametrize("name", JOBS)
def test_an_undisturbed_job_reaches_the_same_points_every_time(
    name: str, expect: Expect, folder: Path
):
    expected = expect(name)
    root = folder / f"{name} again"
    expected.job.begin(root)
    code, labels = expected.job.run(root, None)
    assert code in expected.job.codes
    assert labels == expected.labels


@pytest.mark.parametrize("name", JOBS)
def test_a_job_killed_at_some_write_points_ends_as_if_undisturbed(
    name: str, expect: Expect, folder: Path
):
    expected = expect(name)
    chosen = random.Random(SEED).sample(range(len(expected.labels)), SAMPLES[name])
    assert sweep(expected, chosen, folder) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", JOBS)
def test_a_job_killed_at_any_write_point_ends_as_if_undisturbed(
    name: str, expect: Expect, folder: Path
):
    expected = expect(name)
    assert sweep(expected, range(len(expected.labels)), folder) == []
