"""`seec archive` as a process of its own, to be killed."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARD_FILES = 3


def start_driver(source: Path, root: Path, address: str) -> "subprocess.Popen[bytes]":
    """Start it in a process group of its own, on the cluster at `address`."""
    command = [sys.executable, "-m", "seec.jobs.archive", str(source), str(root)]
    options = ["--ray-address", address, "--shard-files", str(SHARD_FILES)]
    return subprocess.Popen([*command, *options], cwd=ROOT, start_new_session=True)


def wait_for(root: Path, process: "subprocess.Popen[bytes]", pattern: str, count: int) -> None:
    """Wait until `count` objects of an archive match, or the process ends."""
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if len(list(root.glob(pattern))) >= count:
            return
        time.sleep(0.005)
