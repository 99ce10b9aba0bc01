"""Other copies of an archive, and other archives of the same files."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from seec.pipeline.archive.archive import Archive, read_object, read_recorded
from seec.pipeline.archive.history import History
from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.shard import models_of, payloads
from seec.pipeline.routes.reading import check_payload, restore
from seec.pipeline.storage import Store
from seec.schemas.commit import ObjectRecord
from seec.schemas.errors import (
    FixityError,
    FormatError,
    ModelError,
    ObjectMissing,
    ObjectUnreadable,
)
from seec.schemas.routes import PIECES
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
    copies: Collection[Store],
    wanted: Collection[Row],
    models: Collection[str],
    exact: Collection[bytes],
) -> "Served":
    """Rows of other archives whose files have the digests of the wanted ones.

    models: ids of the available models; rows that need another model are skipped. Damaged rows of a
    copy are skipped, too: another copy, or the source, may have the file. exact: those of the
    digests of which every byte has to come back, and not only pixels and metadata. A row that lists
    pieces serves no other than its own: it says in which shards of its archive these are.
    """
    keys = {key for row in wanted for key in _keys(row)}
    found: dict[_Key, Found] = {}
    for copy in copies:
        for blob, row in _rows(copy):
            key, *_ = _keys(row)
            if key not in keys or key in found or not set(models).issuperset(models_of([row])):
                continue
            here, lossless = Found(copy, blob, row), not row.lost and row.background_error is None
            serves = _gives_every_byte if row.source_digest in exact else _is_sound
            if lossless and serves(here):
                found[key] = here
    return Served(found)


_Key = bytes | tuple[str, str, bytes]


@dataclass(frozen=True)
class Served:
    """What was found, for each row that wants it."""

    found: Mapping[_Key, Found]

    def of(self, row: Row) -> Found | None:
        """What serves for a row; None if nothing does."""
        return next((self.found[key] for key in _keys(row) if key in self.found), None)


def _keys(row: Row) -> list[_Key]:
    """By which rows are found that serve for a row, the best first."""
    if row.route == PIECES:
        return [(row.shard, row.path, row.source_digest), row.source_digest]
    return [row.source_digest]


def _is_sound(found: Found) -> bool:
    return fetch(found) is not None


def _gives_every_byte(found: Found) -> bool:
    entry = fetch(found)
    if entry is None or entry.row.samples is None:  # whatever has no samples gives every byte
        return entry is not None
    try:
        models = archived_models(found.store, [entry.row])
        data = restore(entry.row, bytes(entry.payload), models)
    except (FixityError, FormatError, ModelError):
        return False
    return hashlib.sha256(data).digest() == entry.row.source_digest


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
