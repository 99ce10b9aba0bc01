"""Files whose bytes the archive holds: their rows name the payloads that are there."""

import hashlib
from dataclasses import replace

from seec.pipeline.archive.archive import read_recorded
from seec.pipeline.archive.known_files import KnownFiles
from seec.pipeline.archive.shard import payloads
from seec.pipeline.routes.reading import check_payload
from seec.pipeline.routes.writing import Draft
from seec.pipeline.storage import Store
from seec.schemas.commit import ObjectRecord, ShardRecord
from seec.schemas.errors import SectionCorrupt, SeecError, StoreUnavailable
from seec.schemas.manifest_part import Part
from seec.schemas.plan import SourceFile
from seec.schemas.rows import Row
from seec.schemas.trees import in_blob, renamed


class Deduplication:
    """Drafts of files of a batch that share payloads. Reads each manifest part, and payload, once.

    What of the archive cannot be read, or is damaged, is not shared. Raises StoreUnavailable.
    """

    def __init__(self, store: Store, known: KnownFiles | None) -> None:
        """store: of the archive."""
        self._store, self._known = store, known
        self._parts: dict[str, Part] = {}
        self._sound: set[tuple[str, int, int, bytes]] = set()

    def draft(self, file: SourceFile, start: int, data: bytes) -> Draft | None:
        """The draft of a file that need not be looked into; None if it must be.

        What was stored for a reason must be: it may hold no more. start: where a piece begins in
        its file.
        """
        if not self._may_share(len(data)):
            return None
        return self._shared(file, start, hashlib.sha256(data).digest(), None)

    def instead(self, file: SourceFile, made: Draft) -> Draft:
        """The draft of a file that was looked into, or one that shares what comes to the same.

        That is what was stored for the reason for which this file would be.
        """
        row = made.row
        if row.reason is None or not self._may_share(row.source_size_bytes):
            return made
        return self._shared(file, row.start or 0, row.source_digest, row.reason) or made

    def _may_share(self, size_bytes: int) -> bool:
        return self._known is not None and self._known.may_have(size_bytes)

    def _shared(
        self, file: SourceFile, start: int, digest: bytes, reason: str | None
    ) -> Draft | None:
        place = self._known and self._known.place(digest)
        if place is None:
            return None
        try:
            shard, number = place
            row = self._part(shard).row_at(number)
            if (row.source_digest, row.reason) != (digest, reason) or any(map(_lossy, row.tree())):
                return None
            if file.piece is not None and row.piece is None and row.samples is not None:
                return None  # the file as a whole needs every byte of its pieces
            blob = _blob_of(shard, row)
            self._check(blob, row)
        except StoreUnavailable:
            raise
        except SeecError:
            return None
        row = replace(
            in_blob(renamed(row, file.path), blob.name),
            source_mtime_ns=file.mtime_ns,
            permissions=file.permissions,
            piece=file.piece,
            start=None if file.piece is None else start,
        )
        return Draft(row, b"", referenced=blob)

    def _part(self, shard: ShardRecord) -> Part:
        name = shard.manifest.name
        if name not in self._parts:
            self._parts[name] = Part(name, read_recorded(self._store, shard.manifest))
        return self._parts[name]

    def _check(self, blob: ObjectRecord, row: Row) -> None:
        """Read the payload: a file must not depend on one that is damaged, or gone."""
        place = (blob.name, row.offset, row.length, row.blob_digest)
        if place not in self._sound:
            [(_, payload)] = payloads(self._store, blob.name, [row])
            check_payload(row, payload)
            if not row.members:
                self._sound.add(place)


def _lossy(row: Row) -> bool:
    """Whether a repair or a lossy background gave up some of its bytes."""
    return row.lost or row.background_error is not None


def _blob_of(shard: ShardRecord, row: Row) -> ObjectRecord:
    """The blob that has the payload of a row of this shard."""
    blobs = {blob.name: blob for blob in (shard.blob, *shard.referenced)}
    name = row.blob or shard.blob.name
    if name not in blobs or row.end > blobs[name].size_bytes:
        raise SectionCorrupt(f"{shard.manifest.name}: {row.path}: not in a blob of its commit")
    return blobs[name]
