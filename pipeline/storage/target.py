"""The target of a restore: a tree of files, outside of which nothing is ever written."""

import os
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import wraps
from typing import ParamSpec, TypeVar

from seec.pipeline.storage import tree_writer
from seec.pipeline.storage.descent import IN_THE_WAY
from seec.pipeline.storage.limits import Limits
from seec.pipeline.storage.store import Store
from seec.schemas.errors import (
    ObjectExists,
    SeecError,
    SourceError,
    StorageError,
    StoreUnavailable,
    TargetError,
)
from seec.schemas.names import escape, is_safe, unescape

T = TypeVar("T")
P = ParamSpec("P")


def _as_target_error(method: Callable[P, T]) -> Callable[P, T]:
    """Raise TargetError for what concerns one path: the archive that it comes from is well."""

    @wraps(method)
    def wrapper(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return method(*arguments, **options)
        except (ObjectExists, StoreUnavailable):
            raise
        except StorageError as error:
            raise TargetError(str(error)) from None

    return wrapper


class Target:
    """A tree of files to write, below one URL.

    keeps_keys: whether it is an object store, which takes any key for a path.
    Paths are text by `seec.schemas.names`. Methods raise SourceError for a path that leads out of
    the target, and TargetError where the target refuses a path. A directory keeps permissions,
    times, links and directories, as far as its file system does; an object store keeps files only.
    """

    def __init__(self, url: str, limits: Limits | None = None) -> None:
        """url: a path or any fsspec URL; StorageError if no file system serves it."""
        self.store = Store(url, limits=limits)
        self.store.check_writable()
        self._root = os.fsencode(self.store.root)
        self.url = self.store.url
        self.is_local = self.store.is_local
        self.keeps_keys = self.store.keeps_keys

    def shared_by(self, processes: int) -> "Target":
        """The same target for each of several processes, with a share of the bandwidth."""
        one = copy(self)
        one.store = self.store.shared_by(processes)
        return one

    @_as_target_error
    def exists(self, path: str) -> bool:
        """Whether the path is taken."""
        if not self.is_local:
            return self.store.exists(self._key(path))
        name = _name(path)
        return self._call("look up", path, lambda: tree_writer.exists(self._root, name))

    @_as_target_error
    def write_file(
        self,
        path: str,
        data: bytes,
        *,
        permissions: int | None,
        mtime_ns: int | None,
        overwrite: bool,
    ) -> bool:
        """Write a file whole or not at all. Raises ObjectExists unless `overwrite`.

        Returns whether the target keeps permissions and time of the file.
        """
        if not self.is_local:
            put = self.store.put if overwrite else self.store.put_new
            put(self._key(path), data)
            return permissions is None and mtime_ns is None
        return self._write_local(path, [data], len(data), permissions, mtime_ns, overwrite)

    def write_chunks(
        self,
        path: str,
        chunks: Callable[[], Iterable[bytes]],
        size_bytes: int,
        *,
        permissions: int | None,
        mtime_ns: int | None,
        overwrite: bool,
    ) -> bool:
        """As `write_file`, for a file that need not be in memory as a whole.

        chunks: makes its bytes, from the beginning each time; what they raise is raised.
        """
        source = _Chunks(chunks)
        try:
            return self._write_chunks(path, source, size_bytes, permissions, mtime_ns, overwrite)
        except SeecError:
            if source.error is not None:
                raise source.error from None
            raise

    @_as_target_error
    def _write_chunks(
        self,
        path: str,
        chunks: "_Chunks",
        size_bytes: int,
        permissions: int | None,
        mtime_ns: int | None,
        overwrite: bool,
    ) -> bool:
        if not self.is_local:
            key = self._key(path)
            if not overwrite and self.store.exists(key):
                raise ObjectExists(f"write {path}: exists already")
            self.store.write_chunks(key, chunks, size_bytes)
            return permissions is None and mtime_ns is None
        return self._write_local(path, chunks, size_bytes, permissions, mtime_ns, overwrite)

    def _write_local(
        self,
        path: str,
        chunks: Iterable[bytes],
        size_bytes: int,
        permissions: int | None,
        mtime_ns: int | None,
        overwrite: bool,
    ) -> bool:
        name = _name(path)

        def write() -> bool:
            return tree_writer.write_file(
                self._root,
                name,
                chunks,
                permissions=permissions,
                mtime_ns=mtime_ns,
                overwrite=overwrite,
            )

        return self._call("write", path, write, size_bytes)

    @_as_target_error
    def write_link(
        self, path: str, points_to: bytes, *, mtime_ns: int | None, overwrite: bool
    ) -> None:
        """Make a symbolic link in a directory. Raises ObjectExists unless `overwrite`."""
        name = _name(path)

        def write() -> None:
            tree_writer.write_link(
                self._root, name, points_to, mtime_ns=mtime_ns, overwrite=overwrite
            )

        self._call("write", path, write)

    @_as_target_error
    def write_hard_link(self, path: str, first: str, *, overwrite: bool) -> bool:
        """Make `path` another name of the file `first`; False if the target has no hard links.

        Raises ObjectExists unless `overwrite`.
        """
        if not self.is_local:
            return False
        name, other = _name(path), _name(first)
        return self._call(
            "write",
            path,
            lambda: tree_writer.write_hard_link(self._root, name, other, overwrite=overwrite),
        )

    @_as_target_error
    def make_folder(self, path: str, permissions: int | None, mtime_ns: int | None) -> bool:
        """Make a folder in a directory if it is missing, and set its permissions and time.

        Returns whether the target keeps these.
        """
        name = _name(path)
        return self._call(
            "write", path, lambda: tree_writer.make_folder(self._root, name, permissions, mtime_ns)
        )

    def make_private(self, path: str) -> None:
        """Make a folder in a directory that only its owner can enter, unless it is there."""
        name = _name(path)
        self._call("write", path, lambda: tree_writer.make_private(self._root, name))

    @_as_target_error
    def check_collision(self, path: str) -> None:
        """Raises StorageError if the directory holds the path under another spelling."""
        name = _name(path)
        if self.exists(path) and not self._call(
            "look up", path, lambda: tree_writer.is_spelled(self._root, name)
        ):
            raise StorageError(
                f"{path}: another name, and the file system does not tell them apart; not restored"
            )

    def folds_names(self) -> bool:
        """Whether the target takes names of different case or Unicode form for one name."""
        if not self.is_local:
            return False
        return self._call("write", ".", lambda: tree_writer.folds_names(self._root))

    def _key(self, path: str) -> str:
        """The name of an object; nothing resolves it, or it is safe."""
        name = unescape(path) if self.keeps_keys else _name(path)
        try:
            return name.decode()
        except UnicodeDecodeError:
            raise StorageError(
                f"{path}: object stores take names in UTF-8 only; not restored"
            ) from None

    def _call(self, verb: str, path: str, action: Callable[[], T], size_bytes: int = 0) -> T:
        def checked() -> T:
            try:
                return action()
            except OSError as error:
                if error.errno in IN_THE_WAY:
                    raise StorageError(
                        f"{path}: a link or file of the target is where a folder should be; "
                        "not restored"
                    ) from None
                raise

        # The root may hold bytes that cannot be printed.
        return self.store.call(f"{verb} {path} below {escape(self._root)}", checked, size_bytes)


class _Chunks:
    """Bytes that are made while they are written. error: what making them raised."""

    def __init__(self, make: Callable[[], Iterable[bytes]]) -> None:
        self._make = make
        self.error: SeecError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._make()
        except SeecError as error:
            self.error = error
            # Nothing that is tried again: the writer is not at fault.
            raise SourceError(str(error)) from None


def _name(path: str) -> bytes:
    name = unescape(path)
    if not is_safe(name):
        raise SourceError(f"{path}: leads out of the target; not restored")
    return name
