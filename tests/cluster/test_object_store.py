"""The whole way on a real S3 server: from one bucket to another, and back into a third."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from seec.pipeline.images.files import read_pixels
from seec.pipeline.storage import Store
from tests.sources import write_tiny_source


def run_job(name: str, *arguments: str) -> dict[str, Any]:
    """What a job prints; it starts a Ray of its own, whose workers inherit the environment."""
    done = subprocess.run(
        [sys.executable, "-m", f"seec.jobs.{name}", *arguments, "--json"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_archive_verify_and_restore_from_bucket_to_bucket(tmp_path: Path, s3_url: str):
    write_tiny_source(tmp_path / "source", 6)
    archive = f"{s3_url}/{uuid.uuid4()}/archive"
    source, restored = (f"s3://{name}-{uuid.uuid4()}" for name in ("photos", "restored"))
    fs = fsspec.filesystem("s3")
    for bucket in (source, restored):
        fs.mkdir(bucket)
    fs.put(str(tmp_path / "source") + "/", source, recursive=True)

    limits = ("--store-concurrency", "2", "--bandwidth", "50MB/s")
    first = run_job("archive", source, archive, *limits)
    assert first["files_added"] == 6
    again = run_job("archive", source, archive)
    assert (again["files_added"], again["digest"]) == (0, first["digest"])
    run_job("verify", archive, *limits)
    run_job("restore", archive, restored)

    back = Store(restored)
    for path in sorted((tmp_path / "source").iterdir()):
        assert np.array_equal(_pixels(back.get(path.name)), _pixels(path.read_bytes()))
    # Nothing was written to where the files came from.
    assert sorted(Store(source).names()) == sorted(p.name for p in (tmp_path / "source").iterdir())


def _pixels(data: bytes) -> np.ndarray:
    return read_pixels(data)
