"""An archive as a folder of the system, through FUSE: read-only."""

import errno
import os
import stat
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from seec.pipeline.extras import needs
from seec.pipeline.reading.filesystem import SeecFileSystem
from seec.schemas.errors import MissingPackage, SeecError, StorageError, UnknownPath
from seec.schemas.kinds import DIRECTORY, LINK
from seec.schemas.names import escape, unescape

# Told what could not be read, and why: the system passes on a number only.
OnError = Callable[[str, SeecError], None]

_BLOCK_BYTES = 512  # which st_blocks counts
_WRITABLE = 0o222


def mount(
    files: SeecFileSystem, folder: Path, on_error: OnError, *, allow_other: bool = False
) -> None:
    """Show an archive in a folder, until somebody unmounts that.

    folder: is there, and empty. on_error: called, from several threads, for what cannot be read.
    allow_other: users other than this one may look, too. Raises MissingPackage without mfusepy or
    libfuse, StorageError if the folder cannot be used or the system does not mount.
    """
    fuse = _fuse()
    if not folder.is_dir() or any(folder.iterdir()):
        raise StorageError(f"{folder}: no empty folder; make one, and mount there")

    # mfusepy leaves to the system what its own class has, and this one does not.
    operations = type("Operations", (_Files, fuse.Operations), {})
    options = {"allow_other": True} if allow_other else {}
    try:
        fuse.FUSE(
            operations(files, on_error),
            str(folder),
            foreground=True,
            fsname="seec",
            ro=True,
            **options,
        )
    except RuntimeError as error:
        raise StorageError(
            f"{folder}: the system does not mount here (FUSE says {error}); is there /dev/fuse, "
            "and may you use it?"
        ) from None


def _fuse() -> Any:
    try:
        with needs("fuse", "seec mount"):
            import mfusepy  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]
    except OSError as error:
        raise MissingPackage(
            f"seec mount needs FUSE ({error}): install libfuse, such as Debian's package fuse3"
        ) from None
    return mfusepy


class _Files:
    """What FUSE asks; paths begin with a slash. Called from several threads."""

    use_ns = True  # times are nanoseconds

    def __init__(self, files: SeecFileSystem, on_error: OnError) -> None:
        self._files, self._on_error = files, on_error
        self._opened: dict[int, tuple[BinaryIO, threading.Lock]] = {}
        self._numbers = count(1)
        self._guard = threading.Lock()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        del fh
        name = _name(path)
        return self._told(path, lambda: self._status(name))

    def readdir(self, path: str, fh: int) -> list[str]:
        del fh
        found = self._told(path, lambda: self._files.ls(_name(path), detail=False))
        return [".", "..", *(_shown(name.rpartition("/")[2]) for name in found)]

    def readlink(self, path: str) -> str:
        return self._told(path, lambda: os.fsdecode(self._files.archive.read(_name(path))))

    def open(self, path: str, flags: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        file = self._told(path, lambda: self._files.opened(_name(path)))
        with self._guard:
            number = next(self._numbers)
            self._opened[number] = file, threading.Lock()
        return number

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        file, guard = self._opened[fh]

        def part() -> bytes:
            with guard:
                file.seek(offset)
                return file.read(size)

        return self._told(path, part)

    def release(self, path: str, fh: int) -> int:
        del path
        with self._guard:
            self._opened.pop(fh, None)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        del path
        return {"f_bsize": _BLOCK_BYTES, "f_frsize": _BLOCK_BYTES, "f_namemax": 255}

    def _status(self, path: str) -> dict[str, Any]:
        try:
            row = self._files.archive.bare_row(path) if path else None
        except UnknownPath:
            row = None
        mtime_ns = 0 if row is None else row.source_mtime_ns or 0
        permissions = None if row is None else row.permissions
        if row is not None and row.kind == LINK:
            kind, default, size = stat.S_IFLNK, 0o777, row.source_size_bytes
        elif (info := self._files.info(path))["type"] == "directory":
            kind, default, size = stat.S_IFDIR, 0o555, 0
            if row is not None and row.kind != DIRECTORY:  # a file, shown as what is in it
                permissions = None
        else:
            kind, default, size = stat.S_IFREG, 0o444, info["size"]
        mode = default if permissions is None else permissions & ~_WRITABLE
        return {
            "st_mode": kind | mode,
            "st_nlink": 2 if kind == stat.S_IFDIR else 1,
            "st_size": size,
            "st_blocks": -(-size // _BLOCK_BYTES),
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            "st_mtime": mtime_ns,
            "st_ctime": mtime_ns,
            "st_atime": mtime_ns,
        }

    def _told(self, path: str, action: Callable[[], Any]) -> Any:
        """What an action gives; errors as FUSE takes them."""
        try:
            return action()
        except SeecError as error:
            self._on_error(path.lstrip("/"), error)
            raise OSError(errno.EIO, str(error)) from None


def _name(path: str) -> str:
    """The path in the archive."""
    return escape(os.fsencode(path.lstrip("/")))


def _shown(name: str) -> str:
    """A name of the archive, as the system has it."""
    return os.fsdecode(unescape(name))
