"""A cluster whose object store is smaller than files and images: slower, and all are there."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ray.cluster_utils import Cluster

from seec.jobs.exit_codes import ExitCode
from tests.faults.points import MODEL
from tests.pictures import textured
from tests.sources import files_below, image_bytes, same_image

ROOT = Path(__file__).parents[2]
STORE_SIZE_BYTES = 80 << 20  # Ray takes no less than 75 MiB


def run(job: str, *arguments: object) -> int:
    command = [sys.executable, "-m", f"seec.jobs.{job}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_files_and_images_larger_than_the_object_store_are_archived_and_restored(tmp_path: Path):
    source, root, out = (tmp_path / name for name in ("source", "archive", "out"))
    source.mkdir()
    noise = random.Random(1).randbytes(STORE_SIZE_BYTES + 1)
    (source / "large.bin").write_bytes(noise)
    rows = STORE_SIZE_BYTES // (3 * 4096) + 1
    (source / "large.png").write_bytes(image_bytes(np.zeros((rows, 4096, 3), np.uint8), "PNG"))
    for index in range(4):
        (source / f"{index}.png").write_bytes(image_bytes(textured(64, 64, index), "PNG"))
    machine = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "object_store_memory": STORE_SIZE_BYTES},
    )
    try:
        where = ("--ray-address", machine.address)
        assert run("archive", source, root, "--model", MODEL, *where) == ExitCode.OK
        assert run("verify", root, *where) == ExitCode.OK
        assert run("restore", root, out, *where) == ExitCode.OK
    finally:
        machine.shutdown()
    before, after = files_below(source), files_below(out)
    assert before.keys() == after.keys()
    assert all(same_image(after[name], data) for name, data in before.items())
