"""A tar that is archived in pieces from a bucket, by a job that is killed twice."""

import sys
from pathlib import Path

import pytest

from tests.torture import large_tar


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@pytest.mark.slow
def test_a_tar_in_a_bucket_comes_back_whatever_kills_the_job(tmp_path: Path):
    assert large_tar.main(tmp_path, 150_000_000, tell) == []
