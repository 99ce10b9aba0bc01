"""Compilers that may compute inexactly change no bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_CODER = "seec/pipeline/dct"
_GOLDEN = "tests/vectors/test_dct.py", "-k", "golden_files_are_written_and_read"


@pytest.mark.slow
def test_approximate_arithmetic_cannot_be_asked_for(tmp_path):
    built, tried = tmp_path / "built", tmp_path / "tried"
    subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "build_ext"),
            *("--build-lib", built, "--build-temp", tmp_path / "objects"),
        ],
        cwd=_ROOT,
        env=os.environ | {"CFLAGS": "-Ofast"},
        check=True,
        capture_output=True,
    )
    (extension,) = (built / _CODER).glob("_dct.*")
    (tried / _CODER).mkdir(parents=True)
    extension.rename(tried / _CODER / extension.name)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.sanitised", *_GOLDEN],
        cwd=_ROOT,
        env=os.environ | {"SEEC_TEST_EXTENSIONS": str(tried)},
        check=True,
    )
