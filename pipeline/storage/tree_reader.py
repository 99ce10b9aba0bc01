"""Read local trees: every name, without following links, opening regular files only."""

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from seec.pipeline.storage.descent import IN_THE_WAY, open_folder, parent_of
from seec.schemas.errors import SourceChanged

# O_NONBLOCK: opening must not wait if a pipe has taken the place of a file.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SPECIAL: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_CHANGED = "changed since it was listed; run again to archive it"


@dataclass(frozen=True)
class Found:
    """An entry of a walk: a name, and its status without following a link.

    problem: why the entry cannot be read; None for files, links and folders. status: None if the
    entry has none.
    """

    name: bytes
    status: os.stat_result | None
    problem: str | None = None


def walk(root: bytes) -> Iterator[Found]:
    """Everything below a folder, in no particular order; the folder itself is left out.

    A folder that cannot be listed becomes an entry with a problem; the name of the root is `.`.
    """
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        try:
            own, inside = _list(root, folder)
        except FileNotFoundError:
            if not folder:
                raise
            continue  # removed meanwhile, as the entries that `_look_up` leaves out
        except OSError as error:
            reason = f"a directory that cannot be listed, {error.strerror}"
            yield Found(folder or b".", None, reason)
            continue
        if folder:
            yield Found(folder, own)
        for found in inside:
            if found.status is not None and stat.S_ISDIR(found.status.st_mode):
                waiting.append(found.name)
            else:
                yield found


def read_file(root: bytes, name: bytes, size_bytes: int, mtime_ns: int | None) -> bytes:
    """The bytes of a file. Raises SourceChanged if size or time differ before or after."""
    with _as_listed(), parent_of(root, name) as (folder, last):
        with open(os.open(last, _FILE, dir_fd=folder), "rb") as handle:
            before = os.fstat(handle.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise SourceChanged(_CHANGED)
            data = handle.read(size_bytes + 1)
            after = os.fstat(handle.fileno())
        _check_unchanged((before, after), size_bytes, mtime_ns)
        if len(data) != size_bytes:
            raise SourceChanged(_CHANGED)
        return data


def read_link(root: bytes, name: bytes, size_bytes: int, mtime_ns: int | None) -> bytes:
    """The target of a link. Raises SourceChanged if size or time differ before or after."""
    with _as_listed(), parent_of(root, name) as (folder, last):
        before = os.stat(last, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISLNK(before.st_mode):
            raise SourceChanged(_CHANGED)
        target = os.readlink(last, dir_fd=folder)
        after = os.stat(last, dir_fd=folder, follow_symlinks=False)
        _check_unchanged((before, after), size_bytes, mtime_ns)
        return target


def _list(root: bytes, name: bytes) -> tuple[os.stat_result, list[Found]]:
    folder = open_folder(root, name)
    try:
        with os.scandir(folder) as entries:
            found = [_look_up(name, entry) for entry in entries]
        return os.fstat(folder), [item for item in found if item is not None]
    finally:
        os.close(folder)


def _look_up(folder: bytes, entry: "os.DirEntry[str]") -> Found | None:
    """The entry; None if it was removed while its folder was listed."""
    name = os.path.join(folder, os.fsencode(entry.name))
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Found(name, None, f"cannot be looked up, {error.strerror}")
    return Found(name, status, _problem(status.st_mode))


def _problem(mode: int) -> str | None:
    if any(is_one(mode) for is_one in (stat.S_ISREG, stat.S_ISLNK, stat.S_ISDIR)):
        return None
    named = (name for is_one, name in _SPECIAL if is_one(mode))
    return f"{next(named, 'something else')}, neither file nor directory nor link"


def _check_unchanged(
    seen: tuple[os.stat_result, ...], size_bytes: int, mtime_ns: int | None
) -> None:
    if {(status.st_size, status.st_mtime_ns) for status in seen} != {(size_bytes, mtime_ns)}:
        raise SourceChanged(_CHANGED)


@contextmanager
def _as_listed() -> Generator[None]:
    """Raise SourceChanged if the entry is gone, or if it or a parent was replaced."""
    try:
        yield
    except FileNotFoundError:
        raise SourceChanged("is gone since it was listed") from None
    except OSError as error:
        if error.errno in (*IN_THE_WAY, errno.EISDIR):
            raise SourceChanged(_CHANGED) from None
        raise
