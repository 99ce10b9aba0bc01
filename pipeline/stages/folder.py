"""The folder of a cluster of one run."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seec.pipeline.stages.executor import ClusterLost

# Ray puts sockets below its folder: session_<time>_<pid>/sockets/plasma_store and a few more. The
# path of a socket may have 107 bytes on Linux, and 103 on macOS.
_MAX_FOLDER_BYTES = 103 - 70


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only this user can enter, short enough for sockets, removed in the end."""
    tried = dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"])
    for parent in tried:
        if len(os.fsencode(parent)) > _MAX_FOLDER_BYTES:
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix="seec-", dir=parent))  # mode 0700
        except OSError:
            continue
        break
    else:
        raise ClusterLost(
            f"none of {', '.join(tried)} can hold the sockets of Ray: TMPDIR must name a folder "
            f"that can be written, of at most {_MAX_FOLDER_BYTES} bytes"
        )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
