"""The tree of files to archive: listed in a fixed order, read once each, checked for change."""

import os
import stat
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.storage.store import Store
from schemas.errors import SourceChanged, StorageError
from schemas.names import escape, unescape
from schemas.plan import SourceFile


class Source:
    """Files below one URL. Names are text by `schemas.names`."""

    def __init__(self, url: str) -> None:
        """url: a path or any fsspec URL; StorageError if there is no such directory."""
        self.store = Store(url)
        if self.store.is_local and not os.path.isdir(self.store.root):
            raise StorageError(f"{url}: not a directory; give the folder that holds the images")

    @property
    def url(self) -> str:
        """Where the files are; absolute."""
        return self.store.url

    def files(self) -> list[SourceFile]:
        """All files, recursively, sorted by path."""
        found = self._walk_local(b"") if self.store.is_local else self._walk_remote()
        return sorted(found, key=lambda file: file.path)

    def read(self, file: SourceFile) -> bytes:
        """A file's bytes. SourceChanged if its size or time is not what the listing saw."""
        name = os.fsdecode(unescape(file.path))
        if self.store.is_local:
            return self.store.retry.call(f"read {name}", lambda: self._read_local(name, file))
        data = self.store.get(name)
        info = self.store.info(name)
        if len(data) != file.size_bytes or _mtime_ns(info) != file.mtime_ns:
            raise SourceChanged("changed since it was listed; run again to archive it")
        return data

    def _read_local(self, name: str, file: SourceFile) -> bytes:
        with open(self.store.path(name), "rb") as handle:
            before = os.fstat(handle.fileno())
            data = handle.read(file.size_bytes + 1)
            after = os.fstat(handle.fileno())
        listed = (file.size_bytes, file.mtime_ns)
        seen = [(status.st_size, status.st_mtime_ns) for status in (before, after)]
        if seen != [listed, listed] or len(data) != file.size_bytes:
            raise SourceChanged("changed since it was listed; run again to archive it")
        return data

    def _walk_local(self, directory: bytes) -> Iterator[SourceFile]:
        root = os.fsencode(self.store.root)
        try:
            entries = list(os.scandir(os.path.join(root, directory)))
        except OSError as error:
            reason = f"a directory that cannot be listed: {error.strerror}"
            yield SourceFile(escape(directory or b"."), 0, None, reason)
            return
        for entry in entries:
            name = os.path.join(directory, entry.name)
            try:
                status = entry.stat(follow_symlinks=False)
                problem = None
                if entry.is_symlink():
                    status, problem = _resolve(entry, root)
                elif stat.S_ISDIR(status.st_mode):
                    yield from self._walk_local(name)
                    continue
                elif not stat.S_ISREG(status.st_mode):
                    problem = "neither a file nor a directory"
            except OSError as error:
                yield SourceFile(escape(name), 0, None, f"cannot be looked up: {error.strerror}")
                continue
            yield SourceFile(escape(name), status.st_size, status.st_mtime_ns, problem)

    def _walk_remote(self) -> Iterator[SourceFile]:
        for name, info in self.store.infos():
            raw = os.fsencode(name)
            yield SourceFile(escape(raw), int(info["size"]), _mtime_ns(info))


def _resolve(link: "os.DirEntry[bytes]", root: bytes) -> tuple[os.stat_result, str | None]:
    """A symbolic link counts as the file it names, if that lies inside the source."""
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


def _mtime_ns(info: dict[str, Any]) -> int | None:
    """When an object was written, by whichever name its file system gives that."""
    for key in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return int(value.timestamp()) * 1_000_000_000 + value.microsecond * 1000
        if isinstance(value, int | float):
            return int(value * 1_000_000_000)
    return None
