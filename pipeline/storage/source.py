"""The tree of files to archive: listed in a fixed order, read once each, checked for change."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.storage import local
from pipeline.storage.store import Store, modified_s
from schemas.errors import SourceChanged, StorageError, StoreUnavailable, TransientStorageError
from schemas.names import escape, unescape
from schemas.plan import SourceFile


class Source:
    """Files below one URL. Names are text by `schemas.names`."""

    def __init__(self, url: str) -> None:
        """url: a path or any fsspec URL; StorageError if there is no such directory."""
        self.store = Store(url)
        if self.store.is_local and not Path(self.store.root).is_dir():
            raise StorageError(f"{url}: not a directory; give the folder that holds the images")

    @property
    def url(self) -> str:
        """Where the files are; absolute."""
        return self.store.url

    def files(self) -> list[SourceFile]:
        """All files, recursively, sorted by path."""
        found = self._walk_local() if self.store.is_local else self._walk_remote()
        return sorted(found, key=lambda file: file.path)

    def read(self, file: SourceFile) -> bytes:
        """A file's bytes. SourceChanged if its size or time is not what the listing saw.

        StoreUnavailable if this is not about the file alone, as other StorageErrors are.
        """
        try:
            return self._read(file)
        except StorageError as error:
            self._check_there(error)
            raise

    def _check_there(self, error: StorageError) -> None:
        """StoreUnavailable if the whole source is at fault."""
        if self.store.is_local:
            if not Path(self.store.root).is_dir():
                raise StoreUnavailable(f"{self.url}: the source is gone; run again with it there")
            if isinstance(error, TransientStorageError):
                raise StorageError(str(error)) from None
        elif not isinstance(error, StoreUnavailable):
            try:
                self.store.top_level()
            except StorageError as whole:
                raise StoreUnavailable(str(whole)) from None

    def _read(self, file: SourceFile) -> bytes:
        name = os.fsdecode(unescape(file.path))
        if self.store.is_local:
            path = self.store.path(name)
            return self.store.retry.call(
                f"read {path}", lambda: local.read_unchanged(path, file.size_bytes, file.mtime_ns)
            )
        data = self.store.get(name)
        if len(data) != file.size_bytes or _mtime_ns(self.store.info(name)) != file.mtime_ns:
            raise SourceChanged("changed since it was listed; run again to archive it")
        return data

    def _walk_local(self) -> Iterator[SourceFile]:
        for name, size_bytes, mtime_ns, problem in local.walk(os.fsencode(self.store.root)):
            yield SourceFile(escape(name), size_bytes, mtime_ns, problem)

    def _walk_remote(self) -> Iterator[SourceFile]:
        for name, info in self.store.infos():
            yield SourceFile(escape(os.fsencode(name)), int(info["size"]), _mtime_ns(info))


def _mtime_ns(info: dict[str, Any]) -> int | None:
    """When an object was written: whole seconds, as listings and single objects both have."""
    modified = modified_s(info)
    return None if modified is None else int(modified) * 1_000_000_000
