"""A place for immutable objects: a directory, a bucket prefix, or anything else fsspec reaches."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from seec.pipeline.storage import local
from seec.pipeline.storage.access import Options, options_of
from seec.pipeline.storage.failures import condition_failed, out_of_range, unsupported
from seec.pipeline.storage.limits import Limits, gate_of
from seec.pipeline.storage.local import Pieces
from seec.pipeline.storage.location import chained_to_absolute, holds, local_path
from seec.pipeline.storage.opening import (
    async_base,
    endpoint_of,
    fsspec,
    is_local,
    is_s3,
    open_url,
    refuse_read_only,
    server_of,
)
from seec.pipeline.storage.parts import (
    COLD_CLASSES,
    PART_SIZE_BYTES,
    THAWED,
    Parts,
    Upload,
    are_worth_it,
)
from seec.pipeline.storage.retry import Retry
from seec.schemas.errors import (
    LimitExceeded,
    ObjectExists,
    ObjectFrozen,
    ObjectMissing,
    ObjectUnreadable,
    StorageError,
    StoreUnavailable,
    TransientStorageError,
)

T = TypeVar("T")

_MOST_BLOCKS = 9000  # of an object: S3 takes 10,000 parts
_OF_KEYS = ("s3", "s3a", "gs", "gcs")


@dataclass(frozen=True)
class Listed:
    """An entry of a listing: name, size in bytes, time of writing by the store's clock.

    modified_s: seconds since 1970, None if the store gives no time. partial: True for an unfinished
    or interrupted write, which is no object.
    """

    name: str
    size_bytes: int
    modified_s: float | None
    partial: bool


class Store:
    """Objects below one URL, by name.

    Names are relative, with `/` between parts; bytes that are not UTF-8 travel as surrogate
    escapes, as in `os.fsdecode`. An object is written whole or not at all. A pickle holds the URL
    and the options of the file system, so that other processes reach the same store.
    """

    def __init__(
        self,
        url: str,
        retry: Retry | None = None,
        limits: Limits | None = None,
        options: Options | None = None,
    ) -> None:
        """url: a path, as `local_path` tells, or any fsspec URL.

        options: None takes the options in use for the URL.
        Raises StorageError if no file system serves the URL, StoreUnavailable if the file system
        refuses the options.
        """
        self.retry, self.limits = retry or Retry(), limits or Limits()
        self._options = options_of(url) if options is None else options
        self._given = url = chained_to_absolute(url)
        # Most uses of a local store need no file system of fsspec, nor its import.
        fs, root = None, None if self._options.values else local_path(url)
        if root is None:
            fs, root = open_url(url, self._options)
        self._opened: Any = fs
        self.is_local = fs is None or is_local(fs)
        self._root: str = root.rstrip("/")
        # Paths below a file system's own root begin with a slash on some, and not on others.
        self._above: str = f"{self._root}/" if fs is None or self._root else fs.root_marker
        self.url: str = root if self.is_local else _url(fs, root, url)
        gate = gate_of((self.url, self._options), self.limits)
        self._let = gate.let
        self._parts = None
        if fs is not None and is_s3(fs):
            self._parts = Parts(fs, self._root, gate, self.retry, self.limits.requests)

    def __reduce__(self) -> tuple[type["Store"], tuple[str, Retry, Limits, Options]]:
        url = self.url if self.is_local else self._given
        return Store, (url, self.retry, self.limits, self._options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Store) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.__reduce__())

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def folder(self, name: str) -> "Store":
        """The store of what lies below one of its folders."""
        make, (url, retry, limits, options) = self.__reduce__()
        return make(f"{url.rstrip('/')}/{name}", retry, limits, options)

    def shared_by(self, processes: int) -> "Store":
        """The same store for each of several processes, with a share of the bandwidth."""
        make, (url, retry, limits, options) = self.__reduce__()
        return make(url, retry, limits.shared_by(processes), options)

    @property
    def _fs(self) -> Any:
        if self._opened is None:
            self._opened, _ = open_url(self.url, self._options)
        return self._opened

    @property
    def endpoint(self) -> str:
        """Where the store answers, if its URL does not tell: the address of an S3 server.

        Raises StorageError if that cannot be told.
        """
        return "" if self.is_local else self._call("open", "", lambda: endpoint_of(self._fs))

    def overlaps(self, other: "Store") -> bool:
        """Whether one of two stores lies in the other, or both are the same place."""
        if self.is_local or other.is_local:
            both = self.is_local and other.is_local
            return both and (holds(self.root, other.root) or holds(other.root, self.root))
        (one, _, behind), (two, _, also) = self.url.partition("::"), other.url.partition("::")
        nested = _is_below(one, two) or _is_below(two, one)
        return nested and behind == also and self.endpoint == other.endpoint

    @property
    def keeps_keys(self) -> bool:
        """Whether names are keys that nothing resolves: `a//b`, `a/../b` and `a/` are names."""
        return self.url.partition("://")[0] in _OF_KEYS

    @property
    def root(self) -> str:
        """The root as the file system names it; for a local store, an absolute path."""
        return self._root or self._above

    def path(self, name: str) -> str:
        """An object's path as the file system names it."""
        return f"{self._above}{name}"

    def check_writable(self) -> None:
        """Raise StorageError if the store can hold no archive and no restored files."""
        refuse_read_only(self.url, self._fs)

    def has_root(self) -> bool:
        """Whether the folder of the store is there; on object stores, whether anything is in it."""
        return self._call("look up", "", lambda: bool(self._fs.exists(self.root)))

    def make_root(self, permissions: int | None) -> None:
        """Make the folder of a local store if it is missing, with at most these permissions.

        The umask takes more from them; the owner keeps all. Other stores need no folder.
        """
        if self.is_local and permissions is not None:
            mode = permissions & 0o777 | 0o700
            folder = Path(self.root)
            self.call(f"make {self.root}", lambda: folder.mkdir(mode, parents=True, exist_ok=True))

    def put_new(self, name: str, *pieces: bytes | memoryview) -> None:
        """Write a new object. Raises ObjectExists if the name is taken.

        pieces: the bytes, in pieces as the caller has them; a local store copies none. Of several
        writers at the same time one succeeds, unless the store replaces objects silently (see
        `refuses_to_replace`).
        """
        if self.exists(name):
            raise ObjectExists(f"write {self.path(name)}: exists already")
        tried = False

        def put() -> None:
            nonlocal tried
            try:
                self._create(name, pieces)
            except FileExistsError:
                # The object did not exist before. If the answer to a write was lost, to us or to
                # the store's client, which tries again unasked, then the object is ours.
                self._expect_own(name, b"".join(pieces), tried)
            finally:
                tried = True

        self.retry.call(f"write {self.path(name)}", put)

    def put_same(self, name: str, *pieces: bytes | memoryview) -> bool:
        """Write a new object, or accept an existing one with the same bytes.

        Returns False, and writes nothing, if the existing object holds other bytes, or none that
        can be read.
        """
        try:
            self.put_new(name, *pieces)
        except ObjectExists:
            data = b"".join(pieces)
            try:
                return self.get(name, len(data)) == data
            except (LimitExceeded, ObjectFrozen, ObjectUnreadable):
                return False
        return True

    def put(self, name: str, *pieces: bytes | memoryview) -> None:
        """Write an object, replacing an existing one.

        Only repairs replace objects that count, with the bytes that these objects had.
        """
        self.retry.call(f"write {self.path(name)}", lambda: self._replace(name, pieces))

    def write_chunks(self, name: str, chunks: Iterable[bytes], size_bytes: int) -> None:
        """Write an object, replacing an existing one, whose bytes are made one after the other.

        Of a store that is not local. chunks: `size_bytes` in all, made anew for each attempt.
        """
        path = self.path(name)
        block = max(PART_SIZE_BYTES, -(-size_bytes // _MOST_BLOCKS))

        def send() -> None:
            file = self._fs.open(path, "wb", block_size=block)
            try:
                for chunk in chunks:
                    # All that is written at once is in the buffer of the file at once.
                    for start in range(0, len(chunk), block):
                        file.write(memoryview(chunk)[start : start + block])
            except BaseException:
                file.discard()  # or else closing it would complete the object
                raise
            file.close()

        def write() -> None:
            self._let(send, size_bytes)
            self._check_whole(name, size_bytes)

        self.retry.call(f"write {path}", write)

    def refuses_to_replace(self, name: str) -> bool:
        """Whether the store refuses to create an existing object; some stores replace it silently.

        name: a directory for the probe, an object that is created and removed.
        """
        if self.is_local:
            root = self.root
            return self.call(f"write below {root}", lambda: local.refuses_to_replace(root))
        if getattr(self._fs.pipe_file, "__func__", None) is fsspec().AbstractFileSystem.pipe_file:
            return False  # fsspec's own looks first and then writes, which is a race
        probe = f"{name}/{secrets.token_hex(8)}.probe"

        def second() -> bool:
            try:
                self._create(probe, (b"second",))
            except FileExistsError:
                return True
            return False

        try:
            self.put_new(probe, b"first")
            refused = self.retry.call(f"write {self.path(probe)}", second)
            return refused and self.get(probe) == b"first"
        finally:
            # A writer may lack the right to remove; `gc` lists the leftover.
            with suppress(StorageError):
                self.remove(probe)

    def remove(self, name: str) -> None:
        """Remove an object or a partial one; a missing object is no error."""
        path = self.path(name)
        action = local.remove if self.is_local else self._fs.rm_file
        try:
            self._call("remove", name, lambda: action(path))
        except ObjectMissing:
            return

    def get(self, name: str, most: int | None = None) -> bytes:
        """The bytes of an object. Raises ObjectMissing or ObjectUnreadable.

        most: how many bytes at most; of a larger object no more are read, and LimitExceeded tells.
        """
        if most is None:
            return self._one("read", name, lambda: self._read(name))
        data = self._one("read", name, lambda: self._read_most(name, most + 1))
        if len(data) > most:
            raise LimitExceeded(f"read {self.path(name)}: more than the {most} bytes expected")
        return data

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """`length` bytes from `start`, fewer where the object ends first. Raises as `get`."""
        if length == 0:
            return b""
        return self._one("read", name, lambda: self._read_range(name, start, length))

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name. Errors other than absence are raised."""
        try:
            return self.info(name)["type"] != "directory"
        except ObjectMissing:
            return False

    def size(self, name: str) -> int:
        """The size of an object in bytes. Raises ObjectMissing or ObjectUnreadable."""
        info = self._one("look up", name, lambda: self._fs.info(self.path(name)))
        if info["type"] == "directory":
            raise ObjectMissing(f"look up {self.path(name)}: a directory, not an object")
        if info["type"] == "other":  # of a local store
            raise ObjectUnreadable(f"look up {self.path(name)}: not a regular file")
        return int(info["size"])

    def info(self, name: str) -> dict[str, Any]:
        """The file system's description of an object. Raises ObjectMissing."""
        path = self.path(name)
        if self._parts is not None and name.endswith("/"):  # which s3fs takes for a directory
            return self._parts.info(path)
        return self._call("look up", name, lambda: self._fs.info(path))

    def infos(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and `info` of every object below the root, from one listing."""
        for path, info in self._found(self.root):
            yield path[len(self._above) :], info

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names of all objects below a directory, sorted. For housekeeping; opening needs none."""
        for item in self.listed(prefix):
            if not item.partial:
                yield item.name

    def listed(self, prefix: str = "") -> list[Listed]:
        """All objects and leftovers of interrupted writes below a directory, sorted by name.

        Raises StorageError if any directory cannot be listed: the listing is complete or an error.
        """
        root = self.path(prefix).rstrip("/")
        try:
            if self.is_local:
                found = self._call("list", prefix, lambda: self._find_local(root))
            else:
                found = self._find(root)
        except ObjectMissing:
            return []
        return sorted(found, key=lambda item: item.name)

    def cold(self, prefix: str = "") -> dict[str, int]:
        """Objects below a directory that are in a class of cold storage: sizes in bytes, by name.

        Some may have been thawed: see `thawing`. None on stores other than S3.
        """
        if self._parts is None:
            return {}
        found = self._found(self.path(prefix).rstrip("/"))
        return {
            path[len(self._root) + 1 :]: int(info["size"])
            for path, info in found
            if info.get("StorageClass") in COLD_CLASSES
        }

    def thawing(self, name: str) -> str:
        """How far thawing an object of cold storage is: FROZEN, THAWING or THAWED."""
        return THAWED if self._parts is None else self._parts.thawing(self.path(name))

    def thaw(self, name: str, days: int, tier: str) -> None:
        """Ask for an object of cold storage, which then can be read for so many days.

        tier: of S3: Bulk, Standard or Expedited. No error if that was asked for already.
        """
        if self._parts is not None:
            self._parts.thaw(self.path(name), days, tier)

    def uploads(self) -> list[Upload]:
        """Interrupted multipart uploads, which no listing of objects shows, sorted by name.

        Raises StorageError if the store cannot list uploads.
        """
        if self._parts is None:
            return []
        return sorted(self._parts.left(), key=str)

    def abort(self, name: str, upload_id: str) -> None:
        """Give up an upload; an upload that is gone is no error."""
        if self._parts is not None:
            self._parts.abort(self.path(name), upload_id)

    def top_level(self) -> list[str]:
        """Names of objects and directories directly below the root, sorted."""
        try:
            paths = self._call("list", "", lambda: self._fs.ls(self.root, detail=False))
        except ObjectMissing:
            return []
        names = (path.rstrip("/").rpartition("/")[2] for path in paths)
        return sorted(name for name in names if not _is_partial(name))

    def _find_local(self, root: str) -> list[Listed]:
        return [
            self._listed(path, status.st_size, status.st_mtime)
            for path, status in local.files(root or "/")
        ]

    def _find(self, root: str) -> list[Listed]:
        return [
            self._listed(path, int(info["size"]), modified_s(info))
            for path, info in self._found(root)
        ]

    def _found(self, root: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Path and `info` of every object below a directory of a store that is not local."""
        name = root[len(self._above) :]
        if not _walks(self._fs):
            found = self._call("list", name, lambda: self._fs.find(root, detail=True))
            yield from ((p, info) for p, info in found.items() if info["type"] != "directory")
            return
        # fsspec's own `find` leaves out directories that it fails to list.
        try:
            entries = self._call("list", name, lambda: self._fs.ls(root, detail=True))
        except ObjectMissing:
            return
        for info in entries:
            path: str = info["name"].rstrip("/")
            if info["type"] != "directory":
                yield path, info
            elif path != root:
                yield from self._found(path)

    def _listed(self, path: str, size_bytes: int, modified: float | None) -> Listed:
        name = path[len(self._above) :]
        return Listed(name, size_bytes, modified, _is_partial(name.rpartition("/")[2]))

    def _create(self, name: str, pieces: Pieces) -> None:
        """One attempt to create an object. Raises FileExistsError if the store refuses."""
        path = self.path(name)
        if self.is_local:
            self._check_inside(path)
            self._let(lambda: local.create(path, pieces), sum(map(len, pieces)))
            return
        size_bytes = sum(map(len, pieces))
        try:
            if self._parts is not None and are_worth_it(size_bytes):
                self._parts.create(path, *pieces)
            else:
                data = b"".join(pieces)
                self._let(lambda: self._fs.pipe_file(path, data, mode="create"), size_bytes)
        except Exception as error:
            if condition_failed(error):
                raise FileExistsError(f"{path} exists already") from error
            if not unsupported(error):
                raise
            self._replace(name, pieces)
        else:
            self._check_whole(name, size_bytes)

    def _replace(self, name: str, pieces: Pieces) -> None:
        """One attempt to write an object over an existing one or none."""
        path = self.path(name)
        if self.is_local:
            self._check_inside(path)
            self._let(lambda: local.replace(path, pieces), sum(map(len, pieces)))
            return
        size_bytes = sum(map(len, pieces))
        if self._parts is not None and are_worth_it(size_bytes):
            self._parts.replace(path, *pieces)
        else:
            data = b"".join(pieces)
            self._let(lambda: self._fs.pipe_file(path, data), size_bytes)
        self._check_whole(name, size_bytes)

    def _check_inside(self, path: str) -> None:
        """StorageError if what someone put into the store makes us write somewhere else."""
        if local.leads_elsewhere(self.root, path):
            raise StorageError(
                f"write {path}: a symbolic link on the way leads out of {self.root}; put a folder "
                "in its place"
            )

    def _one(self, verb: str, name: str, action: Callable[[], T]) -> T:
        """Ask of one object; ObjectUnreadable if only that is at fault, else StoreUnavailable."""
        try:
            return self._call(verb, name, action)
        except (ObjectFrozen, ObjectMissing, StoreUnavailable):
            raise
        except StorageError as error:
            message = str(error)
        try:
            self.top_level()
        except StorageError:
            raise StoreUnavailable(message) from None
        raise ObjectUnreadable(message)

    def _read_range(self, name: str, start: int, length: int) -> bytes:
        path = self.path(name)
        if self.is_local:
            return local.read(path, start, length)
        # By keyword: the second positional argument of s3fs is a version.
        return self._fs.cat_file(path, start=start, end=start + length)

    def _read_most(self, name: str, most: int) -> bytes:
        try:
            return self._read_range(name, 0, most)
        except Exception as error:
            if not out_of_range(error):
                raise
        return self._read(name)  # S3 has no range of an empty object

    def _read(self, name: str) -> bytes:
        if self.is_local:
            return local.read(self.path(name))
        # By default s3fs asks for the size first, to read large objects in pieces.
        one_request = {} if self._parts is None else {"max_concurrency": 1}
        return self._fs.cat_file(self.path(name), **one_request)

    def _expect_own(self, name: str, data: bytes, tried: bool) -> None:
        """Accept an object with these bytes, or complete our broken write; else FileExistsError."""
        try:
            found = self._let(lambda: self._read_most(name, len(data) + 1))
        except local.NotAFile:
            raise FileExistsError(f"{self.path(name)} is no file") from None
        if found == data:
            return
        if not tried or not data.startswith(found):
            raise FileExistsError(f"{self.path(name)} exists already")
        self._replace(name, (data,))

    def _check_whole(self, name: str, size_bytes: int) -> None:
        """Raises TransientStorageError if the store wrote a part of the object only."""
        if name.endswith("/"):
            return  # one request wrote it
        size = int(self._let(lambda: self._fs.info(self.path(name)))["size"])
        if size != size_bytes:
            raise TransientStorageError(
                f"write {self.path(name)}: only {size} of {size_bytes} bytes arrived"
            )

    def call(self, what: str, action: Callable[[], T], size_bytes: int = 0) -> T:
        """Make a request within the limits, and again after each transient error.

        what: see `Retry.call`. size_bytes: bytes that the request sends.
        """
        return self.retry.call(what, lambda: self._let(action, size_bytes))

    def _call(self, verb: str, name: str, action: Callable[[], T]) -> T:
        return self.call(f"{verb} {self.path(name)}", action)


def _is_below(one: str, two: str) -> bool:
    """Whether a URL is another one or is below it."""
    return f"{one}/".startswith(two if two.endswith("/") else f"{two}/")


def _url(fs: Any, root: str, given: str) -> str:
    """The URL of a path; with what many file systems take out of their paths.

    This is the server, and the file that a file system reads, behind `::` of the URL that was
    given.
    """
    url: str = fs.unstrip_protocol(root)
    _, chain, behind = given.partition("::")
    scheme, _, path = url.partition("://")
    server = server_of(fs.storage_options)
    if server and path.startswith("/"):
        url = f"{scheme}://{server}{path}"
    return f"{url}{chain}{behind}"


def _walks(fs: Any) -> bool:
    """Whether `find` is fsspec's own, which lists directory by directory."""
    kind: Any = cast(Any, type(fs))
    own = getattr(fs.find, "__func__", None) is fsspec().AbstractFileSystem.find
    return own or getattr(kind, "_find", None) is async_base()._find


def _is_partial(last_part: str) -> bool:
    return last_part.startswith(local.PARTIAL_PREFIX)


def modified_s(info: dict[str, Any]) -> float | None:
    """When an object was written: seconds since 1970, None if the file system gives no time.

    S3 gives fractions of seconds in a listing, and none for a single object.
    """
    for key in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(key)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None
