"""Read local trees: every name, following links only if asked to, opening regular files only."""

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from seec.pipeline.storage.descent import IN_THE_WAY, open_folder, parent_of
from seec.schemas.errors import SourceChanged, StorageError
from seec.schemas.names import escape

# O_NONBLOCK: opening must not wait if a pipe has taken the place of a file.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_SPECIAL: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_CHANGED = "changed since it was listed; run again to archive it"


# Device and number of each folder on a way down.
_Folders = frozenset[tuple[int, int]]
# Links to folders that have links to folders make paths whose number is a power of that of links.
_MAX_REPEATED = 1_000_000


@dataclass(frozen=True)
class Found:
    """An entry of a walk: a name, and its status, which is the link's own if none was followed.

    problem: why the entry cannot be read; None for files, links and folders. status: None if the
    entry has none. link: the status of the link that was followed.
    """

    name: bytes
    status: os.stat_result | None
    problem: str | None = None
    link: os.stat_result | None = None


def walk(root: bytes, follow: bool = False) -> Iterator[Found]:
    """Everything below a folder, in no particular order; the folder itself is left out.

    follow: a link to a file or folder is an entry with the status of that, and its folder is
    walked. Links that lead to nothing, or to a folder that holds them, stay links.
    A folder that cannot be listed becomes an entry with a problem; the name of the root is `.`.
    Raises StorageError if links lead to the same folders so often that paths have no end.
    """
    waiting: list[tuple[bytes, _Folders]] = [(b"", frozenset())]
    walked = _Walked()
    while waiting:
        folder, above = waiting.pop()
        try:
            own, inside = _list(root, folder, follow)
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
        if follow:
            walked.add(root, folder, own, len(inside))
            above |= {_number(own)}
        for found in inside:
            status = found.status
            if status is None or not stat.S_ISDIR(status.st_mode):
                yield found
            elif found.link is not None and _number(status) in above:
                yield Found(found.name, found.link)
            else:
                waiting.append((found.name, above))


class _Walked:
    """The folders of a walk that follows links, each of which may be on several paths."""

    def __init__(self) -> None:
        self._numbers: set[tuple[int, int]] = set()
        self._repeated = 0

    def add(self, root: bytes, folder: bytes, own: os.stat_result, entries: int) -> None:
        """Note a folder with so many entries. StorageError if too many are on further paths."""
        if _number(own) in self._numbers:
            self._repeated += entries
        if self._repeated > _MAX_REPEATED:
            raise StorageError(
                f"{escape(os.path.join(root, folder))}: links lead to the same directories over "
                f"and over, with more than {_MAX_REPEATED} further paths; remove such links, or "
                "archive without following links"
            )
        self._numbers.add(_number(own))


def read_file(
    root: bytes,
    name: bytes,
    size_bytes: int,
    mtime_ns: int | None,
    follow: bool = False,
    part: tuple[int, int] | None = None,
) -> bytes:
    """The bytes of a file. Raises SourceChanged if size or time differ before or after.

    follow: through links, where the name is one or has some above. part: start and length of what
    is wanted, which is within the file; None is all.
    """
    start, length = (0, size_bytes) if part is None else part
    flags = _FILE if follow else _FILE | os.O_NOFOLLOW
    with _as_listed(), parent_of(root, name, follow=follow) as (folder, last):
        with open(os.open(last, flags, dir_fd=folder), "rb") as handle:
            before = os.fstat(handle.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise SourceChanged(_CHANGED)
            handle.seek(start)
            data = handle.read(length)
            after = os.fstat(handle.fileno())
        _check_unchanged((before, after), size_bytes, mtime_ns)
        if len(data) != length:
            raise SourceChanged(_CHANGED)
        return data


def read_link(
    root: bytes, name: bytes, size_bytes: int, mtime_ns: int | None, follow: bool = False
) -> bytes:
    """The target of a link. Raises SourceChanged if size or time differ before or after.

    follow: through links above this one.
    """
    with _as_listed(), parent_of(root, name, follow=follow) as (folder, last):
        before = os.stat(last, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISLNK(before.st_mode):
            raise SourceChanged(_CHANGED)
        target = os.readlink(last, dir_fd=folder)
        after = os.stat(last, dir_fd=folder, follow_symlinks=False)
        _check_unchanged((before, after), size_bytes, mtime_ns)
        return target


def _number(folder: os.stat_result) -> tuple[int, int]:
    return folder.st_dev, folder.st_ino


def _list(root: bytes, name: bytes, follow: bool) -> tuple[os.stat_result, list[Found]]:
    folder = open_folder(root, name, follow=follow)
    try:
        with os.scandir(folder) as entries:
            found = [_look_up(name, entry, follow) for entry in entries]
        return os.fstat(folder), [item for item in found if item is not None]
    finally:
        os.close(folder)


def _look_up(folder: bytes, entry: "os.DirEntry[str]", follow: bool) -> Found | None:
    """The entry; None if it was removed while its folder was listed."""
    name = os.path.join(folder, os.fsencode(entry.name))
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Found(name, None, f"cannot be looked up, {error.strerror}")
    if not follow or not stat.S_ISLNK(status.st_mode):
        return Found(name, status, _problem(status.st_mode))
    try:
        target = entry.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, *IN_THE_WAY):
            return Found(name, status)
        return Found(name, None, f"a link to what cannot be looked up, {error.strerror}")
    return Found(name, target, _problem(target.st_mode), status)


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
