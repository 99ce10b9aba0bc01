"""Local objects: listings, and writes that are whole or undone after a crash.

Paths are bytes or their surrogate escapes, so that every name a file system allows works.
"""

import ctypes
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

PARTIAL_PREFIX = ".partial-"
Pieces = Sequence[bytes | memoryview]  # of an object, one after the other
NO_HARD_LINKS = (
    errno.EPERM,
    errno.EACCES,
    errno.EXDEV,
    errno.EMLINK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
)
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
# The system call that renames unless the new name is taken; its flag, and the number that stands
# for the current directory.
_RENAME, _NO_REPLACE, _HERE = (
    ("renameatx_np", 4, -2) if sys.platform == "darwin" else ("renameat2", 1, -100)
)


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

    The bytes go to a temporary file first, which then gets the name: no reader ever sees part of
    an object.
    """
    temporary = _write_temporary(path, pieces)
    try:
        publish_new(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    _sync_directory(os.path.dirname(path))


def publish_new(temporary: str, path: str | bytes, folder: int | None = None) -> bool:
    """Give a finished file its name. Raises FileExistsError if the name is taken.

    Returns whether the file system itself refuses a name that is taken. If not, another program
    that takes the name between a look and a rename loses its file. A return without an error may
    leave the temporary name. folder: a descriptor of the folder that both names are in.
    """
    try:
        os.link(temporary, path, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
    else:
        return True
    if _rename_new(temporary, path, folder):
        return True
    with suppress(FileNotFoundError):
        os.stat(path, dir_fd=folder, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(temporary, path, src_dir_fd=folder, dst_dir_fd=folder)
    return False


def refuses_to_replace(directory: str) -> bool:
    """Whether the file system of a directory itself refuses to create a name that is taken.

    Makes the directory if it is missing.
    """
    os.makedirs(directory, exist_ok=True)
    temporary, published = _temporary_name(directory), _temporary_name(directory)
    try:
        with open(temporary, "xb"):
            pass
        return publish_new(temporary, published)
    finally:
        for name in (temporary, published):
            with suppress(FileNotFoundError):
                os.unlink(name)


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
    temporary = _temporary_name(directory)
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


def _temporary_name(directory: str) -> str:
    return os.path.join(directory, PARTIAL_PREFIX + secrets.token_hex(8))


def _rename_new(temporary: str, path: str | bytes, folder: int | None) -> bool:
    """Rename unless the name is taken; False where system or file system cannot do that."""
    rename: Any = getattr(ctypes.CDLL(None, use_errno=True), _RENAME, None)
    if rename is None:
        return False
    place = _HERE if folder is None else folder
    old, new = os.fsencode(temporary), os.fsencode(path)
    if rename(place, old, place, new, ctypes.c_uint(_NO_REPLACE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number))


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync directories, and need not be asked.
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)
