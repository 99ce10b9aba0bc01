"""Local objects: listings, and writes that are whole or undone after a crash.

Paths are bytes or their surrogate escapes, so that every name a file system allows works.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence

PARTIAL_PREFIX = ".partial-"
Pieces = Sequence[bytes | memoryview]  # of an object, one after the other


class NotAFile(OSError):
    """Something else than a regular file has the name of an object."""


def read(path: str, start: int = 0, most: int | None = None) -> bytes:
    """Up to `most` bytes of a file from `start` on. Raises OSError.

    NotAFile for anything but a regular file: a FIFO would wait for a writer, a device never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAFile(errno.EINVAL, "not a regular file")
        # What a caller asks for may be the word of an archive: ask for no more than there is.
        left = max(0, status.st_size - start)
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(start)
            return file.read(left if most is None else min(left, most))
    finally:
        os.close(descriptor)


def leads_elsewhere(root: str, path: str) -> bool:
    """Whether a link stands between a folder and the folder of a path below it."""
    folder, inside = os.path.dirname(path), os.path.relpath(os.path.dirname(path), root)
    return os.path.realpath(folder) != os.path.normpath(
        os.path.join(os.path.realpath(root), inside)
    )


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
    """Create or replace a file, durably. A symbolic link is replaced, not followed.

    A directory of this name is moved aside, to the same name with a suffix.
    """
    temporary = _write_temporary(path, pieces)
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.replace(path, f"{path}.aside-{secrets.token_hex(4)}")
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
