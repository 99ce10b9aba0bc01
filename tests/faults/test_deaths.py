"""Parts of a cluster that die while jobs are at work; `deaths` says what must hold."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.deaths import CASES

ROOT = Path(__file__).parents[2]


def deaths(*arguments: str) -> str:
    """The last line that `deaths` prints; in a process of its own, for it has a Ray of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.deaths", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()[-1].partition(", in")[0]


@pytest.mark.timeout(600)
def test_a_machine_that_dies_in_the_middle_of_encoding_costs_a_retry_and_nothing_else():
    assert deaths("encoding", "--victim", "machine") == "1 deaths, 0 failures"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_any_death_at_any_stage_costs_a_retry_and_nothing_else():
    assert deaths() == f"{len(CASES)} deaths, 0 failures"
