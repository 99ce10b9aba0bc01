"""Archives as a read-only file system of fsspec: `seec://photos/1.png::s3://bucket/archive`."""

# fsspec ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUntypedBaseClass=false
# pyright: reportIncompatibleMethodOverride=false

import errno
import hashlib
import io
import os
import posixpath
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, NoReturn, cast

from fsspec import AbstractFileSystem

from seec.pipeline.archive.patterns import folders
from seec.pipeline.images.ranges import Ranges
from seec.pipeline.reading.archive import OpenedArchive, opened
from seec.pipeline.reading.cache import DiskCache
from seec.pipeline.reading.listing import children, has_folder, paths_below
from seec.pipeline.reading.streams import RangesFile
from seec.pipeline.storage import Store
from seec.pipeline.storage.access import Options
from seec.schemas.errors import FixityError, FormatError, Lost, ObjectFrozen, UnknownPath
from seec.schemas.kinds import DIRECTORY, FILE, LINK
from seec.schemas.manifest_part import Leaf
from seec.schemas.routes import PIECES, ROUTES, SPANS
from seec.schemas.rows import Row

Info = dict[str, Any]

_LOCAL = ("file", "local")
_KEPT_BYTES = 64 << 20  # of files that were read last, which are often read in parts
_KEPT_INFOS = 1 << 17  # of half a kilobyte
_MOST_LINKS = 40  # followed one after the other, as in Linux


class SeecFileSystem(AbstractFileSystem):
    """Files of an archive by their paths, which `fsspec.filesystem("seec", target=URL)` opens.

    Shows what counted when it was opened; `invalidate_cache` opens the archive again. A file is
    read as a whole, and its digest compared, before any of it is given; of a file in pieces only
    what is read is decoded, and compared with digests of its own. Links are followed inside the
    archive. Safe to use from several threads.

    With members, a file that holds images is a folder of these: `shard-000.tar/000017.jpg`.
    Without, such an image opens by its path, and listings show files alone.

    `info` and `ls` give for each path: name; type (`file`, `directory` or `link`); size in bytes;
    mtime, a datetime or None; and of files sha256 and route. A size from `ls` is that of the file
    that was archived, where restoring gives the same pixels and perhaps another file, `exact` is
    False; `info` decodes such a file once to tell its size.
    """

    protocol: ClassVar[str] = "seec"  # pyright: ignore[reportIncompatibleVariableOverride]
    root_marker = ""
    cachable = True

    def __init__(
        self,
        target: str | None = None,
        *,
        fo: str | None = None,
        target_protocol: str | None = None,
        target_options: Mapping[str, Any] | None = None,
        at: int | None = None,
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int = 10 << 30,
        members: bool = False,
        **options: Any,
    ) -> None:
        """target: URL or path of the archive; the rest of a chained URL gives it, too.

        target_options: of the file system that holds the archive, such as endpoint_url. at, cache,
        cache_bytes: as of `seec.open`. members: show files that hold images as folders of these.
        Raises ValueError without a target; else as `seec.open`.
        """
        super().__init__(**options)
        place = target or fo
        if not place:
            raise ValueError(
                "no archive: give target=URL, or a URL such as seec://a.png::s3://bucket/archive"
            )
        if target is None and target_protocol not in (None, *_LOCAL) and "://" not in place:
            place = f"{target_protocol}://{place}"
        self._options = Options(dict(target_options), "target_options") if target_options else None
        self._place, self._at, self._members = place, at, members
        self._disk = None if cache is None else DiskCache(cache, cache_bytes)
        self._process, self._guard = os.getpid(), threading.Lock()
        self.invalidate_cache()

    @property
    def fsid(self) -> str:
        """Tells archives apart, by where they lie."""
        return f"seec-{hashlib.sha256(self.archive.url.encode()).hexdigest()[:16]}"

    def invalidate_cache(self, path: str | None = None) -> None:
        """Show what counts by now, or after commit `at`."""
        del path
        self.archive: OpenedArchive = opened(
            Store(self._place, options=self._options), self._at, self._disk
        )
        self._folders: dict[str, list[Info]] = {}
        self._sizes: dict[bytes, int] = {}
        self._contents: OrderedDict[bytes, bytes] = OrderedDict()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        inherited: Any = super()
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in cast(list[Any], path)]
        return inherited._strip_protocol(path).lstrip("/")

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What lies in a folder, sorted by name; of a file, that file. FileNotFoundError if none.

        Returns infos, or names unless detail.
        """
        path = self._strip_protocol(path)
        found = self._folder(path)
        if not found and (info := self.info(path))["type"] != "directory":
            found = [info]
        return [dict(info) for info in found] if detail else [info["name"] for info in found]

    def info(self, path: str, **_: Any) -> Info:
        """The facts of one path, with the size that reading gives. FileNotFoundError."""
        path = self._strip_protocol(path)
        row, steps = self._followed(path)
        if row is None:
            if not self._is_folder(path):
                raise _missing(path)
            return _folder_info(path)
        info = _folder_info(row.path) if self._is_opened(row) else _info_of(row)
        if info["type"] == "file":
            info["size"] = self._size(row)
        if steps:
            info |= {"name": path, "islink": True, "destination": row.path}
        return info

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is anything at a path. Errors of the archive are raised."""
        try:
            self.info(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            return False
        return True

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """All files below a path, sorted: names, or infos by name if detail."""
        path = self._strip_protocol(path)
        if maxdepth is not None or withdirs or detail or self._members or self.isfile(path):
            inherited: Any = super()
            return inherited.find(path, maxdepth, withdirs, detail, **options)
        prefix = f"{path}/" if path else ""
        return paths_below(self.archive.lookup, prefix, kinds=(FILE, LINK))

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """The bytes of a file, or a part as a slice has it. FileNotFoundError, IsADirectoryError.

        OSError if the file is lost; else as `seec.Archive.read`.
        """
        row = self._file(self._strip_protocol(path))
        if row.route == PIECES and (start, end) != (None, None):
            part = range(row.source_size_bytes)[start:end]
            return self.archive.ranges(row.path).read(part.start, len(part))
        return self._content(row)[start:end]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> "OpenedFile | OpenedPieces":
        if mode != "rb":
            raise _read_only()
        return self.opened(path)

    def opened(self, path: str) -> "OpenedFile | OpenedPieces":
        """A file opened for reading bytes. Raises as `cat_file`."""
        path = self._strip_protocol(path)
        row = self._file(path)
        if row.route == PIECES:
            return OpenedPieces(self, path, self.archive.ranges(row.path))
        return OpenedFile(self, path, self._content(row))

    def checksum(self, path: str) -> int:
        """A number that is equal for equal content; reads no content."""
        return int(self.ukey(path), 16)

    def ukey(self, path: str) -> str:
        """Hexadecimal digits that are equal for equal content; reads no content."""
        return _identity(self._file(self._strip_protocol(path))).hex()

    def modified(self, path: str) -> datetime:
        """When the file that was archived was written last. ValueError where no time is known."""
        found = self.info(path).get("mtime")
        if found is None:
            raise ValueError(f"{path}: the archive knows no time")
        return found

    def created(self, path: str) -> datetime:
        """As `modified`: archives keep no time of creation."""
        return self.modified(path)

    def _folder(self, path: str) -> list[Info]:
        """What lies in a folder, sorted by name."""
        listed = self._folders.get(path)
        if listed is None:
            if sum(map(len, self._folders.values())) > _KEPT_INFOS:
                self._folders = {}
            prefix = f"{path}/" if path else ""
            rows, inner = children(self.archive.lookup, prefix)
            inner |= {name for name, row in rows.items() if self._is_opened(row)}
            found = {name: _folder_info(prefix + name) for name in inner}
            found |= {name: _info_of(row) for name, row in rows.items() if name not in inner}
            for name, row in rows.items():
                if row.kind == DIRECTORY:
                    found[name] |= {"mtime": _time(row), "mode": row.permissions}
            listed = [found[name] for name in sorted(found)]
            if not listed and (above := self._opened_above(path)) is not None:
                self._folders |= _members_by_folder(above, self.archive.lookup.leaves(above))
                listed = self._folders.get(path, listed)
            self._folders[path] = listed
        return listed

    def _file(self, path: str) -> Row:
        row, _ = self._followed(path)
        if row is None or row.kind == DIRECTORY or self._is_opened(row):
            if row is not None or self._is_folder(path):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            raise _missing(path)
        return row

    def _is_folder(self, path: str) -> bool:
        """Whether something lies below a path that has no row."""
        if not path or has_folder(self.archive.lookup, path):
            return True
        return self._opened_above(path) is not None and bool(self._folder(path))

    def _is_opened(self, row: Row) -> bool:
        """Whether a file is shown as a folder of the images within it."""
        if not self._members or row.kind != FILE:
            return False
        if row.route == SPANS:
            return True
        if row.route != PIECES:
            return False
        try:
            return self.archive.lookup.has_members(row.path)
        except (FixityError, FormatError, ObjectFrozen):
            return False  # its list of pieces cannot be read, which reading the file says

    def _opened_above(self, path: str) -> str | None:
        """The file that is shown as a folder, and that a path is, or lies below; None if none."""
        if not self._members:
            return None
        found = (one for one in (*folders(path), path) if self.archive.lookup.has_members(one))
        return next(found, None)

    def _followed(self, path: str) -> tuple[Row | None, int]:
        """The row of a path, or of what links lead to; and how many links. None if there is none.

        FileNotFoundError if a link leads out of the archive, or to nothing in it.
        """
        row = self._row(path)
        at = path
        for steps in range(_MOST_LINKS):
            if row is None or row.kind != LINK:
                return row, steps
            points_to = self.archive.read(at).decode("utf-8", "surrogateescape")
            at = posixpath.normpath(posixpath.join(posixpath.dirname(at), points_to))
            row = self._row(at)
            if row is None and not has_folder(self.archive.lookup, at):
                raise FileNotFoundError(
                    errno.ENOENT, f"a link to {points_to}, which is not in the archive", path
                )
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def _row(self, path: str) -> Row | None:
        try:
            return self.archive.bare_row(path)
        except UnknownPath:
            return None

    def _size(self, row: Row) -> int:
        if _is_exact(row):
            return row.source_size_bytes
        key = _identity(row)
        if key not in self._sizes:
            self._sizes[key] = len(self._content(row))
        return self._sizes[key]

    def _content(self, row: Row) -> bytes:
        key = _identity(row)
        if self._process != os.getpid():  # a thread that is not in this one may hold the lock
            self._process, self._guard = os.getpid(), threading.Lock()
        with self._guard:
            if (kept := self._contents.get(key)) is not None:
                self._contents.move_to_end(key)
                return kept
        try:
            content = self.archive.read(row.path)
        except Lost as error:
            raise OSError(errno.EIO, str(error), row.path) from None
        with self._guard:
            self._contents[key] = content
            while len(self._contents) > 1 and sum(map(len, self._contents.values())) > _KEPT_BYTES:
                self._contents.popitem(last=False)
        return content

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise _read_only()

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = mv = mv_file = touch = _refuse
    pipe_file = put_file = sign = _refuse


class OpenedFile(io.BytesIO):
    """A file of an archive, opened for reading. size: in bytes."""

    mode = "rb"  # pyright: ignore[reportAssignmentType]

    def __init__(self, fs: SeecFileSystem, path: str, content: bytes) -> None:
        super().__init__(content)
        self.fs, self.path, self.size = fs, path, len(content)

    @property
    def name(self) -> str:
        """The path, as of files of the system."""
        return self.path

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_at, (self.fs, self.path, self.tell())

    def writable(self) -> bool:
        """False."""
        return False

    def write(self, *_: Any) -> NoReturn:
        """Raises io.UnsupportedOperation."""
        raise io.UnsupportedOperation("not writable: a file of an archive")

    def info(self) -> Info:
        """As `SeecFileSystem.info`."""
        return self.fs.info(self.path)

    def __repr__(self) -> str:
        return f"<{self.path} of {self.fs.archive!r}>"


class OpenedPieces(RangesFile):
    """As `OpenedFile`, of a file in pieces, which may be larger than memory."""

    def __init__(self, fs: SeecFileSystem, path: str, ranges: Ranges) -> None:
        super().__init__(ranges)
        self.fs, self.path = fs, path

    @property
    def mode(self) -> str:
        """`rb`."""
        return "rb"

    @property
    def name(self) -> str:
        """The path, as of files of the system."""
        return self.path

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_at, (self.fs, self.path, self.tell())

    def info(self) -> Info:
        """As `SeecFileSystem.info`."""
        return self.fs.info(self.path)

    def __repr__(self) -> str:
        return f"<{self.path} of {self.fs.archive!r}>"


def _opened_at(fs: SeecFileSystem, path: str, position: int) -> "OpenedFile | OpenedPieces":
    file = fs._open(path)  # pyright: ignore[reportPrivateUsage]
    file.seek(position)
    return file


def _info_of(row: Row) -> Info:
    if row.kind == DIRECTORY:
        return _folder_info(row.path.rstrip("/")) | {"mtime": _time(row), "mode": row.permissions}
    return {
        "name": row.path,
        "type": "link" if row.kind == LINK else "file",
        "size": row.source_size_bytes,
        "mtime": _time(row),
        "mode": row.permissions,
        "sha256": row.source_digest.hex(),
        "route": row.route,
        "exact": _is_exact(row),
        "islink": row.kind == LINK,
    }


def _members_by_folder(path: str, leaves: Iterable[Leaf]) -> dict[str, list[Info]]:
    """The images within a file, as infos of each folder that their names make."""
    found: dict[str, dict[str, Info]] = {path: {}}

    def inside(folder: str) -> dict[str, Info]:
        if folder not in found:
            found[folder] = {}
            inside(posixpath.dirname(folder))[folder] = _folder_info(folder)
        return found[folder]

    for leaf in leaves:
        name = f"{path}/{leaf.name}"
        inside(posixpath.dirname(name))[name] = {
            "name": name,
            "type": "file",
            "size": leaf.size_bytes,
            "mtime": None,
            "mode": None,
            "sha256": leaf.digest.hex(),
            "route": leaf.route,
            "exact": True,
            "islink": False,
        }
    return {folder: [some[name] for name in sorted(some)] for folder, some in found.items()}


def _folder_info(path: str) -> Info:
    return {"name": path, "type": "directory", "size": 0, "mtime": None}


def _time(row: Row) -> datetime | None:
    if row.source_mtime_ns is None:
        return None
    return datetime.fromtimestamp(row.source_mtime_ns / 1e9, UTC)


def _is_exact(row: Row) -> bool:
    """Whether reading gives the file that was archived, as far as its row tells."""
    if row.route not in ROUTES or not ROUTES[row.route].samples:
        return True
    envelope = row.samples.envelope if row.samples else None
    # As `images.files.is_exact`, whose import takes long. An envelope that lies in the blob is
    # not looked at.
    return row.background_error is None and (envelope or b"").startswith(b"\1")


def _identity(row: Row) -> bytes:
    envelope = row.samples.envelope if row.samples else None
    known = (row.source_digest, row.blob_digest, row.route, row.model_id, envelope)
    return hashlib.sha256(repr(known).encode()).digest()


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _read_only() -> OSError:
    return OSError(errno.EROFS, "an archive is read-only here; seec archive adds files")
