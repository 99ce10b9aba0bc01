"""Write local trees: files whole or not at all, and nothing outside of the root."""

import errno
import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress

from seec.pipeline.storage.descent import open_folder, parent_of
from seec.pipeline.storage.local import NO_HARD_LINKS, PARTIAL_PREFIX, publish_new

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Owners are not kept: a restored file must not run with the rights of the user who restores it.
_FILE_BITS, _FOLDER_BITS, _LENT_BITS = 0o777, 0o1777, 0o6000
# Errors of file systems that hold no permissions, or no such time.
_NOT_KEPT = (errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EOVERFLOW)


def exists(root: bytes, name: bytes) -> bool:
    """Whether the name is taken, by a dangling link too."""
    try:
        with parent_of(root, name) as (folder, last):
            _look_up(folder, last)
    except FileNotFoundError:
        return False
    return True


def write_file(
    root: bytes,
    name: bytes,
    chunks: Iterable[bytes],
    *,
    permissions: int | None,
    mtime_ns: int | None,
    overwrite: bool,
) -> bool:
    """Write a file whole or not at all, durably. Raises FileExistsError unless `overwrite`.

    Returns whether the file system keeps permissions and time. permissions: as in
    `seec.schemas.kinds`, without set-user-ID and set-group-ID; None means the usual ones. A link
    of this name is replaced, not followed.
    """
    with parent_of(root, name, create=True) as (folder, last), _temporary(folder) as temporary:
        mode = 0o666 if permissions is None else 0o600
        with open(os.open(temporary, _NEW_FILE, mode, dir_fd=folder), "wb") as handle:
            handle.writelines(chunks)
            handle.flush()
            mode = None if permissions is None else permissions & _FILE_BITS
            kept = _set(handle.fileno(), mode, mtime_ns)
            os.fsync(handle.fileno())
        _publish(folder, temporary, last, overwrite)
    return kept


def write_link(
    root: bytes, name: bytes, target: bytes, *, mtime_ns: int | None, overwrite: bool
) -> None:
    """Make a symbolic link. Raises FileExistsError unless `overwrite`."""
    with parent_of(root, name, create=True) as (folder, last), _temporary(folder) as temporary:
        made = temporary if overwrite else last
        os.symlink(target, made, dir_fd=folder)
        if mtime_ns is not None:
            with _keeping([]):
                os.utime(made, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)
        if overwrite:
            os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def write_hard_link(root: bytes, name: bytes, first: bytes, *, overwrite: bool) -> bool:
    """Make `name` another name of the file `first`. Raises FileExistsError unless `overwrite`.

    Returns False if the file system has no hard links, or allows no more of this file.
    """
    with (
        parent_of(root, first) as (first_folder, first_last),
        parent_of(root, name, create=True) as (folder, last),
        _temporary(folder) as temporary,
    ):
        made = temporary if overwrite else last
        try:
            os.link(
                first_last,
                made,
                src_dir_fd=first_folder,
                dst_dir_fd=folder,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno in NO_HARD_LINKS:
                return False
            raise
        if overwrite:
            os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    return True


def make_folder(root: bytes, name: bytes, permissions: int | None, mtime_ns: int | None) -> bool:
    """Make a folder unless it exists, and set its permissions and time.

    Returns whether the file system keeps these. New entries change the time of their folder: set
    the times of parents last.
    """
    folder = open_folder(root, name, create=True)
    try:
        lent = os.fstat(folder).st_mode & _LENT_BITS
        mode = None if permissions is None else permissions & _FOLDER_BITS | lent
        return _set(folder, mode, mtime_ns)
    finally:
        os.close(folder)


def make_private(root: bytes, name: bytes) -> None:
    """Make a folder that only its owner can enter; one that exists stays as it is."""
    with parent_of(root, name, create=True) as (folder, last), suppress(FileExistsError):
        os.mkdir(last, 0o700, dir_fd=folder)


def is_spelled(root: bytes, name: bytes) -> bool:
    """Whether the folders list each part of the name in this spelling."""
    above = b""
    for part in name.split(b"/"):
        folder = open_folder(root, above)
        try:
            listed = os.listdir(folder)
        finally:
            os.close(folder)
        if os.fsdecode(part) not in listed:
            return False
        above = os.path.join(above, part)
    return True


def folds_names(root: bytes) -> bool:
    """Whether the folder takes names of different case or Unicode normal form for one name.

    Makes the folder if it is missing.
    """
    os.makedirs(root, exist_ok=True)
    name = f"{PARTIAL_PREFIX}{secrets.token_hex(8)}-a\N{LATIN SMALL LETTER E WITH ACUTE}"
    others = (name.replace("-a", "-A"), name[:-1] + "e\N{COMBINING ACUTE ACCENT}")
    write_file(root, name.encode(), [], permissions=None, mtime_ns=None, overwrite=False)
    try:
        return any(exists(root, other.encode()) for other in others)
    finally:
        os.unlink(os.path.join(root, name.encode()))


@contextmanager
def _temporary(folder: int) -> Generator[str]:
    """A name for an unfinished file, which is removed at the end."""
    name = PARTIAL_PREFIX + secrets.token_hex(8)
    try:
        yield name
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _set(descriptor: int, mode: int | None, mtime_ns: int | None) -> bool:
    """Set what is given; whether the file system keeps it."""
    lacks: list[OSError] = []
    if mode is not None:
        with _keeping(lacks):
            os.fchmod(descriptor, mode)
    if mtime_ns is not None:
        with _keeping(lacks):
            os.utime(descriptor, ns=(mtime_ns, mtime_ns))
    return not lacks


@contextmanager
def _keeping(lacks: list[OSError]) -> Generator[None]:
    """Collect errors of file systems that do not keep what is set."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_KEPT:
            raise
        lacks.append(error)


def _look_up(folder: int, name: bytes) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _publish(folder: int, temporary: str, last: bytes, overwrite: bool) -> None:
    """Give a finished file its name in one step. Raises FileExistsError unless `overwrite`."""
    if overwrite:
        os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        publish_new(temporary, last, folder)
    os.fsync(folder)
