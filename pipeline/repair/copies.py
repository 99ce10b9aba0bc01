"""Other copies of an archive, and other archives of the same files."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from seec.pipeline.archive.archive import Archive, read_object, read_recorded
from seec.pipeline.archive.history import History
from seec.pipeline.archive.shard import payloads
from seec.pipeline.routes.reading import check_payload
from seec.pipeline.storage import Store
from seec.schemas.commit import ObjectRecord
from seec.schemas.errors import FixityError, FormatError, ObjectMissing, ObjectUnreadable
from seec.schemas.rows import Entry, Row
from seec.schemas.trees import in_blob


@dataclass(frozen=True)
class Found:
    """A row of another archive, and the place of its payload."""

    store: Store
    blob: str
    row: Row


def same_object(copies: Collection[Store], record: ObjectRecord) -> bytes | None:
    """The bytes of a record, from the first copy with the recorded digest."""
    found = (whole(copy, record) for copy in copies)
    return next((data for data in found if data is not None), None)


def whole(store: Store, record: ObjectRecord) -> bytes | None:
    """The bytes of a record, if a store has them."""
    try:
        return read_recorded(store, record)
    except (FixityError, FormatError):
        return None


def objects_named(copies: Collection[Store], name: str) -> Iterator[bytes]:
    """The objects of one name in all copies."""
    return (data for copy in copies if (data := there(copy, name)) is not None)


def there(store: Store, name: str) -> bytes | None:
    """The bytes of an object; None if it is missing, cannot be read, or is larger than allowed."""
    try:
        return read_object(store, name)
    except (FixityError, FormatError):
        return None


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
            return Entry(in_blob(row, None), payload)
    except (FixityError, ObjectMissing, ObjectUnreadable):
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
