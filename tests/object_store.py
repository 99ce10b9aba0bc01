"""A real S3 server for tests: SeaweedFS, from its wheel, on the loopback interface."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUCKET = "archive"
_START_TIMEOUT_S, _STARTS = 60.0, 3


@contextmanager
def s3_server(folder: Path, user: str = "test") -> Iterator[dict[str, str]]:
    """A server with one empty bucket while the block runs; yields the environment of its clients.

    folder: where it keeps its data. user: whom alone it serves.
    """
    log = folder / "weed.log"
    process, clients = _started(folder, user, log)
    try:
        yield clients
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _started(folder: Path, user: str, log: Path) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """A server that answers. Another program may take one of its ports first: then once more."""
    for _ in range(_STARTS):
        port = _free_port()
        clients = {
            "AWS_ACCESS_KEY_ID": f"{user}-key",
            "AWS_SECRET_ACCESS_KEY": f"{user}-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }
        command = [
            _program(),
            "mini",
            f"-dir={folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.port={port}",
            f"-bucket={BUCKET}",
            "-admin.ui=false",
            "-s3.iam.readOnly=false",
        ]
        with log.open("wb") as sink:
            process = subprocess.Popen(command, env=os.environ | clients, stdout=sink, stderr=sink)
        if _answers(process, clients):
            return process, clients
        process.kill()
        process.wait()
    raise RuntimeError(f"the S3 server did not come up: {log.read_text()[-2000:]}")


def _program() -> str:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed") or "weed"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(process: subprocess.Popen[bytes], clients: dict[str, str]) -> bool:
    """Wait until the bucket answers a listing, through the client that the code uses."""
    import s3fs
    from botocore.exceptions import BotoCoreError

    end = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < end and process.poll() is None:
        fs = s3fs.S3FileSystem(
            key=clients["AWS_ACCESS_KEY_ID"],
            secret=clients["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=clients["AWS_ENDPOINT_URL"],
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        try:
            fs.ls(BUCKET)
        except (OSError, BotoCoreError):
            time.sleep(0.3)
        else:
            return True
    return False
