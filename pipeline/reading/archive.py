"""An archive opened for reading: the public interface of `seec.open`."""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, overload

from seec.pipeline.archive.archive import REOPENINGS, Archive
from seec.pipeline.archive.catalogue import sorted_members, sorted_rows
from seec.pipeline.archive.pieces import holders
from seec.pipeline.reading.ahead import OnError, contents_ahead
from seec.pipeline.reading.cache import DiskCache
from seec.pipeline.reading.contents import Held, Pixels, RegionOfPixels
from seec.pipeline.reading.lookup import Lookup
from seec.pipeline.storage import Store
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import (
    BlobMissing,
    FixityError,
    FormatError,
    ObjectMissing,
    UnknownPath,
)
from seec.schemas.kinds import FILE
from seec.schemas.routes import PIECES, SPANS
from seec.schemas.rows import Row

if TYPE_CHECKING:
    from seec.pipeline.images.ranges import Ranges
    from seec.schemas.report import Finding

T = TypeVar("T")


@dataclass(frozen=True)
class FileInfo:
    """What an archive says of one file, without decoding it.

    size_bytes, mtime_ns, sha256 (hex): of the file that was archived. route: how the archive holds
    the file (`seec`, `store` ...). stored_bytes: in how many bytes. width, height: of the first
    picture in pixels, None where the archive does not know them. lossless: False where a background
    was coded with loss on request.
    """

    path: str
    size_bytes: int
    mtime_ns: int | None
    sha256: str
    route: str
    stored_bytes: int
    width: int | None
    height: int | None
    lossless: bool


class OpenedArchive:
    """An archive opened for reading. Safe to use from several threads; can be pickled.

    Shows the state that counted when the archive was opened, or the state after commit `at`. If
    objects of that state vanish, since a commit dropped them, shows the state that counts by then.
    A pickle, and a process that is forked, show the same state. `for path, data in archive.iter()`
    reads all files in order, several at a time.
    """

    def __init__(
        self,
        archive: Archive,
        at: int | None,
        cache: DiskCache | None = None,
        findings: "Sequence[Finding]" = (),
    ) -> None:
        """Programs call `seec.open`."""
        self._at, self._cache = at, cache
        self._findings = tuple(findings)
        self._process = os.getpid()
        self._state = (archive, Lookup(archive))

    def __reduce__(self) -> tuple[Any, ...]:
        cache = None if self._cache is None else (str(self._cache.folder), self._cache.limit_bytes)
        return _reopened, (self._archive.store, self.commit, cache)

    def __repr__(self) -> str:
        return f"seec.open({self.url!r})"

    @property
    def url(self) -> str:
        """Where the archive lies."""
        return self._archive.store.url

    @property
    def commit(self) -> int:
        """The number of the commit after which the archive is shown, as `seec ls --commits`."""
        return self._at or self._archive.state.sequence

    @property
    def findings(self) -> "tuple[Finding, ...]":
        """What was wrong with archive.json and the commits when the archive was opened.

        If there are any, files may be missing here, be older than they should be, or have been
        removed. `verify` checks everything.
        """
        return self._findings

    def paths(self, include: Sequence[str] = (), *, members: bool = False) -> Iterator[str]:
        """The paths of the files in the archive, sorted; read as they are asked for.

        include: shell patterns, of which one must match; `*` matches `/`, too. None means all.
        members: images within files in place of the files that hold images or are in pieces, each
        file's in their order there.
        """
        return (row.path for row in self._file_rows(include, members, envelopes=False))

    def __contains__(self, path: str) -> bool:
        """Whether the archive holds a file, link or directory of this path."""
        return self._with_latest(lambda: self.lookup(path)) is not None

    def read(self, path: str) -> bytes:
        """The file as `seec restore` writes it: its bytes or, after SEEC, the same pixels.

        Checks every digest on the way. Raises UnknownPath, Lost, FixityError, FormatError or
        ModelError; StorageError if the store does not answer.
        """
        return self._with_latest(lambda: self._held(path).file())

    def open(self, path: str) -> BinaryIO:
        """The file as `read` gives it, to read from in parts; it can seek.

        Of a file in pieces (tar files, films ... of many megabytes) only the parts that are read
        are fetched and decoded, and compared with digests of their own: it may be larger than
        memory. Any other file is read now. Raises as `read`, and so does reading.
        """
        row = self.bare_row(path)
        if row.route != PIECES:
            return io.BytesIO(self.read(path))
        from seec.pipeline.reading.streams import RangesFile

        return RangesFile(self.ranges(path))

    def ranges(self, path: str) -> "Ranges":
        """For other readers of this package: as `open`, by ranges of bytes."""
        return self._with_latest(lambda: self._held(path).ranges())

    def pixels(
        self,
        path: str,
        region: RegionOfPixels | None = None,
        mode: str | None = None,
        page: int | None = None,
    ) -> Pixels:
        """The pixels of an image: [H, W] or [H, W, C], in the depth that Pillow decodes to.

        region: x, y, width and height of a rectangle, in pixels from the top left corner; of files
        that the codec holds, only what it touches is decoded, whose checksums are compared. mode:
        convert to this mode of Pillow, such as `RGB` or `L`; a palette becomes its colours.
        page: a picture of a TIFF file, by its number from 0, each followed by the smaller ones that
        its directory names; its numbers come as the file has them, and there is no mode. Of a file
        in pieces only the strips or tiles that the region touches are read.

        Raises UnreadableImage if Pillow cannot decode the file, or it is no TIFF with a page;
        IndexError if there is no such page, ValueError if the region is not inside the image; else
        as `read`.
        """
        if page is not None:
            if mode is not None:
                raise ValueError("pages come as the file has them: give page or mode, not both")
            return self._with_latest(lambda: self._held(path).page(page, region))
        if region is None:
            return self._with_latest(lambda: self._held(path).pixels(mode))
        return self._with_latest(lambda: self._held(path).region(region, mode))

    @overload
    def iter(
        self,
        include: Sequence[str] = (),
        *,
        prefetch: int = 16,
        pixels: Literal[False] = False,
        members: bool = False,
        on_error: OnError | None = None,
    ) -> Iterator[tuple[str, bytes]]: ...
    @overload
    def iter(
        self,
        include: Sequence[str] = (),
        *,
        prefetch: int = 16,
        pixels: Literal[True],
        members: bool = False,
        on_error: OnError | None = None,
    ) -> Iterator[tuple[str, Pixels]]: ...
    def iter(
        self,
        include: Sequence[str] = (),
        *,
        prefetch: int = 16,
        pixels: bool = False,
        members: bool = False,
        on_error: OnError | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Each file with its bytes or pixels, sorted by path: much faster than one `read` each.

        include, members: as of `paths`. prefetch: how many files are read ahead, by threads; memory
        holds so many. pixels: give pixels instead of bytes. on_error: called with the path and the
        SeecError of a file that cannot be had, which is then left out; without it the error is
        raised.
        """
        files = self._file_rows(include, members, envelopes=True)
        return self.contents(files, prefetch=prefetch, pixels=pixels, on_error=on_error)

    def _file_rows(
        self, include: Sequence[str], members: bool, *, envelopes: bool
    ) -> Iterator[Row]:
        if members:
            found = sorted_members(self._archive, include)
            return (row for row in found if row.kind == FILE and row.route not in (SPANS, PIECES))
        rows = sorted_rows(self._archive, include, envelopes=envelopes)
        return (row for row in rows if row.kind == FILE)

    def contents(
        self,
        rows: Iterable[Row],
        *,
        prefetch: int = 16,
        pixels: bool = False,
        mode: str | None = None,
        on_error: OnError | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """As `iter`, of rows of files that count, in their order. mode: as of `pixels`."""

        def content(one: Held) -> Any:
            return one.pixels(mode) if pixels else one.file()

        def again(path: str) -> Any:
            return self._with_latest(lambda: content(self._held(path)))

        return contents_ahead(rows, self._held_by, content, again, prefetch, on_error)

    def info(self, path: str) -> FileInfo:
        """What the archive says of a file. Raises UnknownPath; reads no payload."""
        row = self.row(path)
        return FileInfo(
            path=row.path,
            size_bytes=row.source_size_bytes,
            mtime_ns=row.source_mtime_ns,
            sha256=row.source_digest.hex(),
            route=row.route,
            stored_bytes=row.stored_bytes,
            width=None if row.image is None else row.image.width,
            height=None if row.image is None else row.image.height,
            lossless=row.background_error is None,
        )

    def table(self, columns: Sequence[str] = (), include: Sequence[str] = ()) -> Any:
        """What the manifest says of all that counts, as a `pyarrow.Table` with a row for each path.

        columns: some of those that the page on queries lists, in this order; none means all.
        include: as of `paths`. DuckDB, Polars and pandas take the table as it is. Memory holds all
        of it, some 200 bytes for each row. Raises ValueError for an unknown column; else as `info`.
        """
        from seec.pipeline.reading.tabulation import tabulated  # imports much of Arrow

        return self._with_latest(lambda: tabulated(self.lookup, columns, include))

    def verify(self, *, decode: bool = True) -> "Iterator[Finding]":
        """Check the archive in this process, and give each finding as it is found.

        decode: also decode every image; otherwise compare digests of bytes only. An archive without
        damage gives nothing. `seec verify` does the same on all cores, and writes a report.
        """
        from seec.pipeline.reading.checking import findings  # who only reads does without

        return findings(self._archive.store, decode=decode)

    @property
    def lookup(self) -> Lookup:
        """Finds rows; for other readers of this package."""
        return self._here()[1]

    def row(self, path: str) -> Row:
        """The manifest row of a path, whatever its kind. Raises UnknownPath."""
        return self._with_latest(lambda: self._held(path).row)

    def bare_row(self, path: str) -> Row:
        """As `row`, without the rows of members where the path is that of a file."""
        found = self._with_latest(lambda: self.lookup.bare(path))
        return self.row(path) if found is None else found

    @property
    def _archive(self) -> Archive:
        return self._here()[0]

    def _here(self) -> tuple[Archive, Lookup]:
        """The archive in this process: a connection or a lock of another one is of no use."""
        if self._process != os.getpid():
            archive, _ = self._state
            make, options = archive.store.__reduce__()
            archive = archive.through(make(*options))
            if self._cache is not None:
                self._cache = DiskCache(self._cache.folder, self._cache.limit_bytes)
            self._state, self._process = (archive, Lookup(archive)), os.getpid()
        return self._state

    def _with_latest(self, action: Callable[[], T]) -> T:
        """What an action gives; done again if it misses objects that a commit since dropped."""
        for _ in range(REOPENINGS):
            try:
                return action()
            except (BlobMissing, ObjectMissing):
                newer = self._archive.moved_on()
                if newer is None:
                    raise
                self._state = (newer, Lookup(newer))
        return action()

    def _held(self, path: str) -> Held:
        archive, lookup = self._here()
        found = lookup(path)
        if found is None:
            raise UnknownPath(f"{path}: not in {self.url}; seec ls {self.url} lists what is")
        return _held(archive, *found, self._cache)

    def _held_by(self, row: Row) -> Held | None:
        """The file of a row that counts; None if its shard came to count after opening."""
        archive = self._archive
        shard = archive.state.shards.get(row.shard)
        return None if shard is None else _held(archive, shard, row, self._cache)


def _held(archive: Archive, shard: ShardRecord, row: Row, cache: DiskCache | None) -> Held:
    others: list[ShardRecord] = []
    if row.route == PIECES:
        others = holders(archive.state.shards.values(), row.path)
    return Held(archive.store, shard, row, cache, holders=tuple(others))


def open_archive(
    url: str,
    *,
    at: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    cache_bytes: int = 10 << 30,
) -> OpenedArchive:
    """Open an archive for reading.

    url: a path, or any URL that fsspec knows. at: show the state after this commit, as
    `seec ls --commits` numbers them; None is the last. cache: a folder that keeps what is read, for
    this process and others, and of this archive and others. cache_bytes: how large it may become;
    what was used longest ago goes first.

    Reads a bounded number of objects. Where commits are damaged, shows the state that the others
    make, and warns (UserWarning); `OpenedArchive.findings` has the reasons. Raises NotAnArchive or
    UnknownCommit; with `at`, FormatError or FixityError if commits are damaged; StorageError if the
    folder cannot be used.
    """
    kept = None if cache is None else DiskCache(cache, cache_bytes)
    found = opened(Store(url), at, kept)
    if found.findings:
        first = found.findings[0]
        warnings.warn(
            f"{found.url}: not the whole archive: {len(found.findings)} of its records are "
            f"damaged, {first.object} first. Files may be missing, older than they should be, or "
            f"have been removed. To mend the archive: {first.next_command}",
            stacklevel=2,
        )
    return found


def _reopened(store: Store, at: int, cache: tuple[str, int] | None) -> OpenedArchive:
    return opened(store, at, None if cache is None else DiskCache(*cache))


def opened(store: Store, at: int | None, cache: DiskCache | None) -> OpenedArchive:
    """As `open_archive`, of a store and a cache that are set up already, without a warning."""
    try:
        archive, findings = Archive.open(store), []
    except (FixityError, FormatError):
        # Only then: it loads what checks archives.
        from seec.pipeline.verify.records import opened as opened_as_far_as_sound

        archive, findings = opened_as_far_as_sound(store, at)
    else:
        archive = archive if at is None else archive.at(at)
    return OpenedArchive(archive, at, cache, findings)
