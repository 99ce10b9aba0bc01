"""Other copies of an archive, and other archives of the same files."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.history import History
from seec.pipeline.archive.shard import payloads
from seec.pipeline.routes.reading import check_payload
from seec.pipeline.storage import Store
from seec.schemas.commit import ObjectRecord
from seec.schemas.errors import FixityError, FormatError, ObjectMissing, StorageError
from seec.schemas.manifest import Entry, Row


@dataclass(frozen=True)
class Found:
    """A row of another archive, and the place of its payload."""

    store: Store
    blob: str
    row: Row


def same_object(copies: Collection[Store], record: ObjectRecord) -> bytes | None:
    """The bytes of a record, from the first copy with the recorded digest."""
    for copy in copies:
        data = _get(copy, record.name)
        if data is not None and hashlib.sha256(data).hexdigest() == record.sha256:
            return data
    return None


def objects_named(copies: Collection[Store], name: str) -> Iterator[bytes]:
    """The objects of one name in all copies."""
    return (data for copy in copies if (data := _get(copy, name)) is not None)


def same_files(
    copies: Collection[Store], digests: Collection[bytes], models: Collection[str]
) -> dict[bytes, Found]:
    """Rows of other archives whose files have the wanted digests, by digest.

    models: ids of the available models; rows that need another model are skipped. Damaged rows of a
    copy are skipped, too: another copy, or the source, may have the file.
    """
    found: dict[bytes, Found] = {}
    for copy in copies:
        for blob, row in _rows(copy):
            wanted = row.source_digest in digests and row.source_digest not in found
            at_hand = row.model_id is None or row.model_id in models
            exact = not row.lost and row.background_error is None
            if wanted and at_hand and exact and fetch(Found(copy, blob, row)) is not None:
                found[row.source_digest] = Found(copy, blob, row)
    return found


def fetch(found: Found) -> Entry | None:
    """The row with its payload; None if the payload is damaged."""
    try:
        for row, payload in payloads(found.store, found.blob, [found.row]):
            check_payload(row, payload)
            return Entry(row, payload)
    except (FixityError, ObjectMissing):
        return None
    return None


def _rows(copy: Store) -> Iterator[tuple[str, Row]]:
    try:
        archive = Archive.open(copy)
        history = History(archive)
        history.refresh()
    except (FixityError, FormatError):
        return
    for shard in history.retained.shards():
        try:
            rows = archive.rows(shard)
        except (FixityError, FormatError):
            continue
        yield from ((shard.blob.name, row) for row in rows)


def _get(copy: Store, name: str) -> bytes | None:
    try:
        return copy.get(name)
    except (ObjectMissing, StorageError):
        return None
