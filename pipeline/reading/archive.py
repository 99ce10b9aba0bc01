"""An archive opened for reading: the public interface of `seec.open`."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from seec.pipeline.archive.archive import REOPENINGS, Archive
from seec.pipeline.archive.catalogue import sorted_rows
from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.shard import payloads
from seec.pipeline.reading.lookup import Lookup
from seec.pipeline.routes.reading import restore
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import check_records
from seec.pipeline.verify.shards import check_images, check_shard, without_model
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import BlobMissing, ObjectMissing, UnknownPath, UnreadableImage
from seec.schemas.kinds import FILE
from seec.schemas.manifest import Row
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
    """

    def __init__(self, archive: Archive, at: int | None) -> None:
        """Programs call `seec.open`."""
        self._archive, self._at = archive, at
        self._lookup = Lookup(archive)

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (self._archive.store, self._at or self._archive.state.sequence)

    def __repr__(self) -> str:
        return f"seec.open({self.url!r})"

    @property
    def url(self) -> str:
        """Where the archive lies."""
        return self._archive.store.url

    def paths(self, include: Sequence[str] = ()) -> Iterator[str]:
        """The paths of the files in the archive, sorted; read as they are asked for.

        include: shell patterns, of which one must match; `*` matches `/`, too. None means all.
        """
        return (row.path for row in sorted_rows(self._archive, include) if row.kind == FILE)

    def __contains__(self, path: str) -> bool:
        """Whether the archive holds a file, link or directory of this path."""
        return self._with_latest(lambda: self._lookup(path)) is not None

    def read(self, path: str) -> bytes:
        """The file as `seec restore` writes it: its bytes or, after SEEC, the same pixels.

        Checks every digest on the way. Raises UnknownPath, Lost, FixityError, FormatError or
        ModelError; StorageError if the store does not answer.
        """
        return self._with_latest(lambda: self._read(path))

    def _read(self, path: str) -> bytes:
        shard, row = self._row(path)
        store = self._archive.store
        [(_, payload)] = payloads(store, shard.blob.name, [row])
        return restore(row, payload, archived_models(store, [row]))

    def _with_latest(self, action: Callable[[], T]) -> T:
        """What an action gives; done again if it misses objects that a commit since dropped."""
        for _ in range(REOPENINGS):
            try:
                return action()
            except (BlobMissing, ObjectMissing):
                newer = self._archive.moved_on()
                if newer is None:
                    raise
                self._archive, self._lookup = newer, Lookup(newer)
        return action()

    def pixels(self, path: str) -> NDArray[Any]:
        """The pixels of an image: [H, W] or [H, W, C], in the depth that Pillow decodes to.

        Raises UnreadableImage if Pillow cannot decode the file; else as `read`.
        """
        try:
            with Image.open(io.BytesIO(self.read(path))) as image:
                return np.asarray(image)
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise UnreadableImage(f"{path}: {error}") from None

    def info(self, path: str) -> FileInfo:
        """What the archive says of a file. Raises UnknownPath; reads no payload."""
        _, row = self._with_latest(lambda: self._row(path))
        return FileInfo(
            path=row.path,
            size_bytes=row.source_size_bytes,
            mtime_ns=row.source_mtime_ns,
            sha256=row.source_digest.hex(),
            route=row.route,
            stored_bytes=row.length,
            width=None if row.image is None else row.image.width,
            height=None if row.image is None else row.image.height,
            lossless=row.background_error is None,
        )

    def verify(self, *, decode: bool = True) -> Iterator[Finding]:
        """Check the archive in this process, and give each finding as it is found.

        decode: also decode every image; otherwise compare digests of bytes only. An archive without
        damage gives nothing. `seec verify` does the same on all cores, and writes a report.
        """
        store = self._archive.store
        records = check_records(store)
        for checked in records.checked:
            yield from checked.findings
        for shard in records.shards:
            check = check_shard(store, shard)
            found = [finding for checked in check.checked for finding in checked.findings]
            if decode:
                found += self._decoded(shard, check.sound, records.models)
            # What a commit since has dropped may be gone, and is no damage.
            if found and shard in check_records(store).shards:
                yield from found

    def _decoded(
        self, shard: ShardRecord, rows: Sequence[Row], models: frozenset[str]
    ) -> Iterator[Finding]:
        store, blob = self._archive.store, shard.blob.name
        yield from without_model(store, blob, rows, models)
        for row in rows:
            if row.model_id is None or row.model_id in models:
                own = archived_models(store, [row])
                yield from check_images(store, blob, [row], own).findings

    def _row(self, path: str) -> tuple[ShardRecord, Row]:
        found = self._lookup(path)
        if found is None:
            raise UnknownPath(f"{path}: not in {self.url}; seec ls {self.url} lists what is")
        return found


def open_archive(url: str, *, at: int | None = None) -> OpenedArchive:
    """Open an archive for reading.

    url: a path, or any URL that fsspec knows. at: show the state after this commit, as
    `seec ls --commits` numbers them; None is the last. Raises NotAnArchive or UnknownCommit;
    FormatError or FixityError if the archive's records are damaged.
    """
    return _open(Store(url), at)


def _open(store: Store, at: int | None) -> OpenedArchive:
    archive = Archive.open(store)
    return OpenedArchive(archive if at is None else archive.at(at), at)
