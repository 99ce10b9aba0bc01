"""Local objects: listings, and writes that are whole or undone after a crash.

Paths are bytes or their surrogate escapes, so that every name a file system allows works.
"""

import os
import secrets
import stat
from collections.abc import Iterator, Sequence

PARTIAL_PREFIX = ".partial-"
Pieces = Sequence[bytes | memoryview]  # of an object, one after the other


def create(path: str, pieces: Pieces) -> None:
    """Create a new file, durably. Raises FileExistsError if the name is taken.

    The bytes go to a temporary file first and appear under their name by a hard link, which
    fails if the name is taken: no reader ever sees part of an object.
    """
    temporary = _write_temporary(path, pieces)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
    _sync_directory(os.path.dirname(path))


def replace(path: str, pieces: Pieces) -> None:
    """Create or replace a file, durably. A symbolic link is replaced, not followed."""
    temporary = _write_temporary(path, pieces)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    _sync_directory(os.path.dirname(path))


def remove(path: str) -> None:
    """Remove a file; FileNotFoundError if there is none."""
    os.unlink(path)


def files(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Path and status of every file and link below a directory; nothing if `root` is missing.

    Symbolic links are listed and not followed. Files that go away meanwhile are left out. A
    directory that cannot be listed raises its OSError: a partial listing must never look complete.
    """
    try:
        entries = list(os.scandir(root))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from files(entry.path)
        else:
            yield entry.path, status


def _write_temporary(path: str, pieces: Pieces) -> str:
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    temporary = os.path.join(directory, PARTIAL_PREFIX + secrets.token_hex(8))
    try:
        with open(temporary, "xb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
    return temporary


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
