"""Local files: writes that a crash leaves whole or undone, reads and walks that see changes.

Paths are bytes or their surrogate escapes, so that every name a file system allows works.
"""

import os
import secrets
import stat
from collections.abc import Iterator

from schemas.errors import SourceChanged

PARTIAL_PREFIX = ".partial-"


def create(path: str, data: bytes) -> None:
    """Create a file that did not exist, durably; FileExistsError if it did.

    The bytes go to a temporary file first and appear under their name by a hard link, which
    fails if the name is taken: no reader ever sees part of an object.
    """
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
    _sync_directory(os.path.dirname(path))


def replace(path: str, data: bytes) -> None:
    """Create or replace a file, durably. A symbolic link is replaced, not followed."""
    temporary = _write_temporary(path, data)
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
    """Path and status of all below a directory that is not itself one; nothing if it is missing.

    Symbolic links are listed and not followed. What goes away meanwhile is left out. A directory
    that cannot be listed raises its OSError: a part must never pass for the whole.
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


def read_unchanged(path: str, size_bytes: int, mtime_ns: int | None) -> bytes:
    """A file's bytes; SourceChanged unless it has this size and time before and after."""
    with open(path, "rb") as handle:
        before = os.fstat(handle.fileno())
        data = handle.read(size_bytes + 1)
        after = os.fstat(handle.fileno())
    seen = {(status.st_size, status.st_mtime_ns) for status in (before, after)}
    if seen != {(size_bytes, mtime_ns)} or len(data) != size_bytes:
        raise SourceChanged("changed since it was listed; run again to archive it")
    return data


def walk(root: bytes, below: bytes = b"") -> Iterator[tuple[bytes, int, int | None, str | None]]:
    """Relative name, size in bytes, mtime in ns, and problem of all that is not a directory.

    problem: why it cannot be read as a file, None for files. A symbolic link counts as the file
    it names, if that lies below the root. A directory that cannot be listed is a problem too.
    """
    try:
        entries = list(os.scandir(os.path.join(root, below)))
    except OSError as error:
        yield below or b".", 0, None, f"a directory that cannot be listed, {error.strerror}"
        return
    for entry in entries:
        name = os.path.join(below, entry.name)
        try:
            status = entry.stat(follow_symlinks=False)
            problem = None
            if entry.is_symlink():
                status, problem = _resolve(entry, root)
            elif stat.S_ISDIR(status.st_mode):
                yield from walk(root, name)
                continue
            elif not stat.S_ISREG(status.st_mode):
                problem = "neither a file nor a directory"
        except OSError as error:
            yield name, 0, None, f"cannot be looked up, {error.strerror}"
            continue
        yield name, status.st_size, status.st_mtime_ns, problem


def _resolve(link: "os.DirEntry[bytes]", root: bytes) -> tuple[os.stat_result, str | None]:
    own = link.stat(follow_symlinks=False)
    try:
        target = link.stat()
    except OSError:
        return own, "a symbolic link to nothing"
    inside = os.path.realpath(link.path).startswith(os.path.realpath(root) + b"/")
    if not inside:
        return own, "a symbolic link out of the source"
    if not stat.S_ISREG(target.st_mode):
        return own, "a symbolic link to something that is not a file"
    return target, None


def _write_temporary(path: str, data: bytes) -> str:
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    temporary = os.path.join(directory, PARTIAL_PREFIX + secrets.token_hex(8))
    try:
        with open(temporary, "xb") as file:
            file.write(data)
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
