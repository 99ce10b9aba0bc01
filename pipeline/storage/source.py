"""The tree of files to archive: listed in a fixed order, read once each, checked for change."""

import os
import stat
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from seec.pipeline.storage import tree_reader
from seec.pipeline.storage.limits import Limits
from seec.pipeline.storage.opening import refuse_unlisted
from seec.pipeline.storage.store import Store, modified_s
from seec.schemas.commit import SourceRecord
from seec.schemas.errors import (
    LimitExceeded,
    SeecError,
    SourceChanged,
    StorageError,
    StoreUnavailable,
    TransientStorageError,
)
from seec.schemas.kinds import DIRECTORY, FILE, LINK, PERMISSION_BITS
from seec.schemas.names import escape, unescape
from seec.schemas.plan import SourceFile

_CHANGED = "changed since it was listed; run again to archive it"


class Source:
    """Files below one URL, whose paths have the name of the source before them, if there is one.

    Names are text by `seec.schemas.names`.
    """

    def __init__(
        self, url: str, limits: Limits | None = None, name: str = "", follow_links: bool = False
    ) -> None:
        """url: a path or any fsspec URL; StorageError if there is no such directory.

        name: as in `seec.schemas.commit.SourceRecord`. follow_links: as in
        `seec.schemas.plan.PlanSettings`.
        """
        refuse_unlisted(url)
        self.store = Store(url, limits=limits)
        self._name = name
        self._follow = follow_links
        if self.store.is_local and not self._is_folder():
            raise StorageError(f"{url}: not a directory; give the folder that holds the images")

    def shared_by(self, processes: int) -> "Source":
        """The same source for each of several processes, with a share of the bandwidth."""
        one = copy(self)
        one.store = self.store.shared_by(processes)
        return one

    def following(self, links: bool) -> "Source":
        """The same source, with its links followed or not."""
        one = copy(self)
        one._follow = links
        return one

    @property
    def url(self) -> str:
        """Where the files are; absolute."""
        return self.store.url

    @property
    def permissions(self) -> int | None:
        """Who may do what with the folder itself, as in `seec.schemas.kinds`; None if remote."""
        if not self.store.is_local:
            return None
        root = Path(self.store.root)
        return self.store.call(f"look up {self.url}", lambda: root.stat().st_mode & PERMISSION_BITS)

    def record(self) -> SourceRecord:
        """What tells this source from others. StorageError if its store cannot tell where it is."""
        return SourceRecord(self.url, self.store.endpoint, self._name)

    def files(self, apart_from: Store | None = None) -> list[SourceFile]:
        """All files below the source, sorted by path; links and directories, too, if it is local.

        Where links are followed, links that are left lead to nothing or to a folder above them.
        apart_from: StorageError if links lead to what holds this store.
        """
        found = self._list_local(apart_from) if self.store.is_local else self._list_remote()
        return [self._named(file) for file in found] if self._name else found

    def read_range(self, file: SourceFile, start: int, length: int) -> bytes:
        """`length` bytes of a file from `start`, fewer where it ends first; checks no change."""
        # Stores may take it for an error to be asked for what lies behind the end.
        length = max(0, min(length, file.size_bytes - start))
        return self.store.get_range(os.fsdecode(self._own(file.path)), start, length)

    def read(self, file: SourceFile) -> bytes:
        """The bytes of a file, the target of a link, or nothing for a directory.

        Raises SourceChanged if the file is gone or differs from the listing in size or time,
        StoreUnavailable if the whole source is at fault, another StorageError if only the file is.
        """
        try:
            return self._read(file)
        except (SourceChanged, StorageError) as error:
            self._check_there(error)
            raise

    def read_part(self, file: SourceFile, start: int, length: int) -> bytes:
        """`length` bytes of a file from `start`, all within it. Raises as `read`."""
        try:
            return self._read(file, (start, length))
        except (SourceChanged, StorageError) as error:
            self._check_there(error)
            raise

    def _check_there(self, error: SeecError) -> None:
        """StoreUnavailable if the whole source is at fault."""
        if self.store.is_local:
            if not self._is_folder():
                raise StoreUnavailable(f"{self.url}: the source is gone; run again with it there")
            if isinstance(error, TransientStorageError):
                raise StorageError(str(error)) from None
        elif isinstance(error, StorageError) and not isinstance(error, StoreUnavailable):
            try:
                self.store.top_level()
            except StorageError as whole:
                raise StoreUnavailable(str(whole)) from None

    def _read(self, file: SourceFile, part: tuple[int, int] | None = None) -> bytes:
        if file.kind == DIRECTORY:
            return b""
        name = self._own(file.path)
        if self.store.is_local:
            what = (
                os.fsencode(self.store.root),
                name,
                file.size_bytes,
                file.mtime_ns,
                self._follow,
            )
            return self.store.call(
                f"read {file.path}",
                lambda: (
                    tree_reader.read_link(*what)
                    if file.kind == LINK
                    else tree_reader.read_file(*what, part)
                ),
            )
        key = os.fsdecode(name)
        try:
            if part is None:
                part = 0, file.size_bytes
                data = self.store.get(key, file.size_bytes)
            else:
                data = self.store.get_range(key, *part)
        except LimitExceeded:
            raise SourceChanged(_CHANGED) from None
        if len(data) != part[1] or _mtime_ns(self.store.info(key)) != file.mtime_ns:
            raise SourceChanged(_CHANGED)
        return data

    def _named(self, file: SourceFile) -> SourceFile:
        """A file of the source, by its path in the archive; `.` is the source itself."""
        same = file.same_file and f"{self._name}/{file.same_file}"
        path = self._name if file.path == "." else f"{self._name}/{file.path}"
        return replace(file, path=path, same_file=same)

    def _own(self, path: str) -> bytes:
        """The name in the source of a path in the archive."""
        return unescape(path.removeprefix(f"{self._name}/") if self._name else path)

    def _is_folder(self) -> bool:
        try:
            return Path(self.store.root).is_dir()
        except OSError as error:
            raise StorageError(f"{self.url}: {error.strerror}") from None

    def _list_local(self, apart_from: Store | None) -> list[SourceFile]:
        other = None
        if self._follow and apart_from is not None and apart_from.is_local:
            other = Path(apart_from.root).stat()
        found: list[tuple[SourceFile, tuple[int, ...] | None]] = []
        for item in tree_reader.walk(os.fsencode(self.store.root), self._follow):
            file = _source_file(item)
            if other and item.status and os.path.samestat(item.status, other):
                raise StorageError(
                    f"{self.url}: by a link, {file.path} is the archive itself; remove this link, "
                    "or archive without following links"
                )
            found.append((file, _shared_inode(item.status)))
        found.sort(key=lambda pair: pair[0].path)
        return _mark_same_files(found)

    def _list_remote(self) -> list[SourceFile]:
        found = (
            SourceFile(
                escape(os.fsencode(name)),
                int(info["size"]),
                _mtime_ns(info),
                # An empty object `dir/` marks a directory, as consoles of stores make one.
                kind=DIRECTORY if name.endswith("/") and not info["size"] else FILE,
                checksum=info.get("ETag") or info.get("md5Hash"),
            )
            for name, info in self.store.infos()
            if name  # of the source itself there may be a marker, too
        )
        files = sorted(found, key=lambda file: file.path)
        if not files and not self.store.has_root():
            raise StorageError(f"{self.url}: nothing is there; check the URL")
        return files


def _source_file(found: tree_reader.Found) -> SourceFile:
    path, status = escape(found.name), found.status
    if status is None:
        return SourceFile(path, 0, None, found.problem)
    if found.problem is not None:
        return SourceFile(path, status.st_size, status.st_mtime_ns, found.problem)
    if stat.S_ISLNK(status.st_mode):
        return SourceFile(path, status.st_size, status.st_mtime_ns, kind=LINK)
    permissions = status.st_mode & PERMISSION_BITS
    if stat.S_ISDIR(status.st_mode):
        return SourceFile(path, 0, status.st_mtime_ns, None, DIRECTORY, permissions)
    return SourceFile(path, status.st_size, status.st_mtime_ns, None, FILE, permissions)


def _shared_inode(status: os.stat_result | None) -> tuple[int, ...] | None:
    """A key that is equal for all paths of one file; None if the file has one path only."""
    if status is None or not stat.S_ISREG(status.st_mode) or status.st_nlink == 1:
        return None
    # Size and time, too: some network file systems number files carelessly.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _mark_same_files(
    found: Iterable[tuple[SourceFile, tuple[int, ...] | None]],
) -> list[SourceFile]:
    """The files in their order; further names of one file refer to its first name."""
    first: dict[tuple[int, ...], str] = {}
    files: list[SourceFile] = []
    for file, inode in found:
        name = file.path if inode is None else first.setdefault(inode, file.path)
        files.append(file if name == file.path else replace(file, same_file=name))
    return files


def _mtime_ns(info: dict[str, Any]) -> int | None:
    """When an object was written, in whole seconds: single objects of S3 have no fractions."""
    modified = modified_s(info)
    return None if modified is None else int(modified) * 1_000_000_000
