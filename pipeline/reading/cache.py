"""A folder that keeps what was read from an archive, up to a number of bytes.

An entry is one file, named for what it holds: the SHA-256 of its content, then the content. So an
entry that was damaged is found and read again. A use sets the time of access; those that were used
longest ago go first. Several processes may share a folder: entries appear whole or not at all,
and one process at a time makes room.
"""

import fcntl
import hashlib
import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from seec.schemas.errors import StorageError

_DIGEST_BYTES = 32
_PARTIAL = "partial-"
_ABANDONED_S = 3600.0  # a write takes seconds
_LOCK = "lock"
# Part of the limit that is free after making room, and that a process writes before it looks again.
_ROOM = 16


class _Entry(NamedTuple):
    accessed_ns: int
    size_bytes: int
    path: Path


class DiskCache:
    """Values by key, which is a hexadecimal SHA-256. Safe for threads and processes."""

    def __init__(self, folder: str | os.PathLike[str], limit_bytes: int) -> None:
        """folder: made if it is missing; holds nothing else. limit_bytes: of all its files.

        Several processes may together exceed the limit by a sixteenth for each of them. Raises
        StorageError if the folder cannot be made, ValueError unless the limit is positive.
        """
        if limit_bytes < 1:
            raise ValueError(f"a cache of {limit_bytes} bytes")
        self.folder, self.limit_bytes = Path(folder).absolute(), limit_bytes
        self._guard = threading.Lock()
        self._unseen_bytes = 0  # written by this process since it looked
        self._warned = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room()
        except OSError as error:
            raise StorageError(
                f"{folder}: cannot be used as a cache: {error.strerror}; give another folder"
            ) from None

    def get(self, key: str) -> bytes | None:
        """The value of a key, whose digest is right; None if there is none."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except OSError:
            return None
        content = data[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() == data[:_DIGEST_BYTES]:
            return content
        with suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, content: bytes) -> None:
        """Keep a value. One of more than half the limit is not kept.

        A folder that cannot be written is no error, since nothing is lost: a RuntimeWarning says so
        once.
        """
        size_bytes = _DIGEST_BYTES + len(content)
        if 2 * size_bytes > self.limit_bytes:
            return
        path = self._path(key)
        partial = path.with_name(f"{_PARTIAL}{token_hex(8)}")
        try:
            path.parent.mkdir(exist_ok=True)
            try:
                with partial.open("wb") as file:
                    file.write(hashlib.sha256(content).digest())
                    file.write(content)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
            with self._guard:
                self._unseen_bytes += size_bytes
                full = self._unseen_bytes > self.limit_bytes // _ROOM
            if full:
                self._make_room()
        except OSError as error:
            self._warn(error)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _make_room(self) -> None:
        """Remove what was used longest ago."""
        with self._guard, (self.folder / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = sorted(self._entries())
            size_bytes = sum(entry.size_bytes for entry in entries)
            self._unseen_bytes = 0
            # Room for what this process writes before it looks again.
            allowed_bytes = self.limit_bytes - self.limit_bytes // _ROOM
            for entry in entries:
                if size_bytes <= allowed_bytes:
                    return
                with suppress(FileNotFoundError):
                    entry.path.unlink()
                size_bytes -= entry.size_bytes

    def _entries(self) -> Iterator[_Entry]:
        """All entries. Removes what writes left that were interrupted."""
        for folder in self.folder.iterdir():
            if not folder.is_dir():
                continue
            for path in folder.iterdir():
                with suppress(FileNotFoundError):
                    status = path.stat()
                    if not path.name.startswith(_PARTIAL):
                        yield _Entry(status.st_atime_ns, status.st_size, path)
                    elif status.st_mtime < time.time() - _ABANDONED_S:
                        path.unlink()

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.folder}: nothing is cached: {error.strerror}", RuntimeWarning, stacklevel=4
            )
