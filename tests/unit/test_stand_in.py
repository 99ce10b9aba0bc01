"""What stands in for an agent of Ray tells ports as an agent does, and ends with its parent."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
from ray import _raylet as raylet  # pyright: ignore[reportAttributeAccessIssue]

from seec.pipeline.stages import lean, stand_in


def test_it_writes_the_files_that_the_agent_writes_and_ends_with_what_started_it(tmp_path: Path):
    names = lean._PORTS
    assert set(names) <= {
        getattr(raylet, name) for name in dir(raylet) if name.endswith("_PORT_NAME")
    }
    arguments = [
        ",".join(names),
        "agent.py",
        f"--session-dir={tmp_path}",
        "--node-id=abc",
        "--head",
    ]
    command = [sys.executable, "-S", "-E", str(stand_in.__file__), *arguments]
    code = f"import subprocess; print(subprocess.Popen({command!r}).pid, flush=True); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    process = psutil.Process(int(parent.stdout.readline()))
    end = time.monotonic() + 60
    while len(list(tmp_path.glob("*_abc"))) < len(names):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        f"{name}_abc": "-1" for name in names
    }
    assert process.is_running()
    parent.kill()
    parent.communicate()
    process.wait(60)
