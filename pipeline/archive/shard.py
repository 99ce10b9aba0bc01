"""Write one shard: blob, then manifest part, then quarantine part. No commit names it yet."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from seec.pipeline.storage import Store
from seec.schemas.archive import blob_name, manifest_name, parity_name, quarantine_name
from seec.schemas.commit import ObjectRecord, ParityRecord, ShardRecord
from seec.schemas.errors import ObjectUnreadable
from seec.schemas.manifest import serialise_manifest
from seec.schemas.manifest_rules import is_same_file
from seec.schemas.merkle import Tree, row_leaf
from seec.schemas.plan import SourceFile
from seec.schemas.quarantine import QuarantineRow, serialise_quarantine
from seec.schemas.routes import PIECES
from seec.schemas.rows import Entry, Row
from seec.schemas.trees import once_each, renamed, with_payloads

_READ_SIZE_BYTES = 8 << 20


def write_shard(
    store: Store,
    shard: str,
    entries: Iterable[Entry],
    failed: Iterable[QuarantineRow],
    parity_share: int = 0,
    old: ShardRecord | None = None,
) -> ShardRecord:
    """Write the objects of a shard and return the record for its commit.

    entries, failed: in any order; the shard is sorted by path. Equal payloads are stored once, and
    those that a blob of another shard has, not here.
    parity_share: as in `ParityRecord`; 0 writes no parity. The bytes depend on nothing else, so
    objects that an interrupted run left behind are found to be the same and kept.
    old: the record whose place the new one takes. A commit keeps its name for other bytes, and so
    may shards that refer to its blob: no other bytes get that name, even where it is free.
    """
    in_order = sorted(entries, key=lambda item: item.row.key)
    rows, kept = _place(in_order, shard)
    quarantined = sorted(failed, key=lambda row: row.path)
    blob = _put(store, blob_name(shard), *kept, old=old and old.blob)
    parts: list[Sequence[bytes | memoryview]] = [kept, [serialise_manifest(rows)]]
    manifest = _put(store, manifest_name(shard), *parts[1], old=old and old.manifest)
    quarantine = None
    if quarantined:
        parts.append([serialise_quarantine(quarantined)])
        name, known = quarantine_name(shard), old and old.quarantine
        quarantine = _put(store, name, *parts[2], old=known)
    return ShardRecord(
        shard=shard,
        files=files_of(rows),
        quarantined=len(quarantined),
        source_size_bytes=sum(row.source_size_bytes for row in rows if row.route != PIECES),
        blob=blob,
        manifest=manifest,
        quarantine=quarantine,
        path_range=(rows[0].path, rows[-1].path) if rows else None,
        models=models_of(rows),
        pieces=pieces_of(rows),
        parity=put_parity(store, shard, parts, parity_share, old and old.parity),
        rows_root=rows_root(rows).hex(),
        referenced=referenced_of(in_order),
    )


def put_parity(
    store: Store,
    shard: str,
    objects: Sequence[Sequence[bytes | memoryview]],
    share: int,
    old: ObjectRecord | None = None,
) -> ParityRecord | None:
    """Write the parity of the objects of a shard; None for a share of 0.

    objects: in pieces; blob, manifest part, and quarantine part if there is one. old: as in
    `write_shard`.
    """
    if not share:
        return None
    from seec.pipeline.parity.objects import parity_of  # with numpy's tables; few need them

    record = _put(store, parity_name(shard), *parity_of(objects, share), old=old)
    return ParityRecord(record.name, record.size_bytes, record.sha256, share)


def referenced_of(entries: Iterable[Entry]) -> tuple[ObjectRecord, ...]:
    """The blobs of other shards that entries need, by name."""
    found = {
        entry.referenced.name: entry.referenced for entry in entries if entry.referenced is not None
    }
    return tuple(found[name] for name in sorted(found))


def files_of(rows: Iterable[Row]) -> int:
    """How many of the rows of a shard are files, and not pieces of files."""
    return sum(row.piece is None for row in rows)


def pieces_of(rows: Iterable[Row]) -> int:
    """How many of the rows of a shard are pieces of files, or files in pieces."""
    return sum(row.piece is not None or row.route == PIECES for row in rows)


def leaf_of(row: Row) -> bytes:
    """The leaf of a row in the tree of the rows of its shard."""
    return row_leaf(row.path, row.kind, row.source_size_bytes, row.source_digest)


def rows_root(rows: Iterable[Row]) -> bytes:
    """The root of the tree of the files of a shard, sorted by path; pieces are none."""
    return Tree.of(leaf_of(row) for row in rows if row.piece is None).root


def models_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """Ids of the models that rows and their members need, sorted."""
    needed = (one.model_id for row in rows for one in row.tree())
    return tuple(sorted({model_id for model_id in needed if model_id is not None}))


def name_again(
    names: Iterable[SourceFile], entries: Iterable[Entry], failed: Iterable[QuarantineRow]
) -> tuple[list[Entry], list[QuarantineRow]]:
    """What becomes of further names of files: the same as of the files.

    names: each with `same_file`, which is among entries or failed.
    """
    by_path = {entry.row.path: entry for entry in entries if entry.row.piece is None}
    failures = {row.path: row for row in failed}
    named: list[Entry] = []
    unnamed: list[QuarantineRow] = []
    for file in names:
        first = file.same_file or ""
        if entry := by_path.get(first):
            row = replace(renamed(entry.row, file.path), same_file=first)
            named.append(Entry(row, entry.payload, entry.referenced))
        else:
            unnamed.append(replace(failures[first], path=file.path))
    return named, unnamed


def share_codes(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, in any order; those of a route with the same samples have the same code.

    It is the smallest of theirs, or of several the first by path: no entry becomes larger, and the
    order of the entries does not count. What is in the blob of another shard stays as it is.
    """
    entries = list(entries)
    best: dict[Shown, Entry] = {}
    for entry in entries:
        if _may_share(entry):
            one = best.setdefault(shown(entry.row), entry)
            smaller = min(one, entry, key=lambda e: (e.row.payload_length, e.row.path))
            best[shown(entry.row)] = smaller
    return [
        with_code(entry, best[shown(entry.row)]) if _may_share(entry) else entry
        for entry in entries
    ]


def _may_share(entry: Entry) -> bool:
    return entry.row.samples is not None and entry.referenced is None


Shown = tuple[str, bytes | None, int | None]


def shown(row: Row) -> Shown:
    """What rows of an image codec have in common that one payload can serve."""
    return row.route, row.samples and row.samples.digest, row.background_error


def with_code(entry: Entry, other: Entry) -> Entry:
    """An entry with the payload of another one that has the same `shown`, and its own envelope."""
    data, digest = other.payload, other.row.blob_digest
    if entry.row.envelope_length is not None or other.row.envelope_length is not None:
        data = code_of(other) + bytes(entry.payload[entry.row.payload_length :])
        digest = hashlib.sha256(data).digest()
    row = replace(entry.row, length=len(data), blob_digest=digest, model_id=other.row.model_id)
    return Entry(row, data)


def code_of(entry: Entry) -> bytes:
    """The payload of an entry, without the envelope behind it."""
    return bytes(entry.payload[: entry.row.payload_length])


def _place(entries: Iterable[Entry], shard: str) -> tuple[list[Row], list[bytes | memoryview]]:
    """The rows of a shard, and the payloads of its blob; one that occurs again is shared.

    Further names of a file that is not among the entries name the first of them that is.
    """
    rows: list[Row] = []
    blob = _Blob()
    by_path: dict[str, Row] = {}
    heirs: dict[str, str] = {}
    for entry in entries:
        if entry.referenced is None:
            parts = (part for _, part in with_payloads(entry.row, entry.payload))
            row = _placed(entry.row, parts, shard, blob)
        else:
            row = _of_shard(entry.row, shard)
        if row.same_file is not None:
            first = by_path.get(heirs.get(row.same_file, row.same_file))
            if first is None or not is_same_file(first, row):
                first = None
                heirs[row.same_file] = row.path
            row = replace(row, same_file=first and first.path)
        by_path[row.path] = row
        rows.append(row)
    return rows, blob.payloads


class _Blob:
    """The payloads of a shard in their order; one that occurs again is shared."""

    def __init__(self) -> None:
        self.payloads: list[bytes | memoryview] = []
        self._offsets: dict[tuple[int, bytes], int] = {}
        self._end = 0

    def offset_of(self, payload: bytes | memoryview, digest: bytes) -> int:
        """Where the payload of this digest is."""
        size = len(payload)
        offset = self._offsets.get((size, digest), self._end)
        if size and offset == self._end:
            self._offsets[size, digest] = offset
            self.payloads.append(payload)
            self._end += size
        return offset


def _placed(row: Row, payloads: Iterator[bytes | memoryview], shard: str, blob: _Blob) -> Row:
    """A row with its place, and its members with theirs. payloads: of its tree."""
    offset = blob.offset_of(next(payloads), row.blob_digest)
    members = tuple(_placed(one, payloads, shard, blob) for one in row.members)
    return replace(row, shard=shard, offset=offset, members=members)


def _of_shard(row: Row, shard: str) -> Row:
    """A row with its members, whose payloads stay where they are."""
    members = tuple(_of_shard(one, shard) for one in row.members)
    return replace(row, shard=shard, members=members)


def by_blob(shard: ShardRecord, rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows of a shard by the blobs that have their payloads, its own one first.

    Of each blob by offset, as `payloads` takes them.
    """
    found: dict[str, list[Row]] = {shard.blob.name: []}
    for row in rows:
        found.setdefault(row.blob or shard.blob.name, []).append(row)
    for blob, some in found.items():
        yield blob, some if blob == shard.blob.name else sorted(some, key=lambda row: row.offset)


def payloads(store: Store, blob: str, rows: Sequence[Row]) -> Iterator[tuple[Row, bytes]]:
    """Each row with its bytes, or fewer bytes where the blob ends first.

    Of a row with members: the payloads of its tree, by `trees.once_each`.
    rows: of one blob, by offset, or in another one that they name. Neighbours are fetched together,
    up to 8 MiB at a time. Raises ObjectMissing or ObjectUnreadable.
    """
    for row, payload in readable_payloads(store, blob, rows):
        if isinstance(payload, ObjectUnreadable):
            raise payload
        yield row, payload


def readable_payloads(
    store: Store, blob: str, rows: Sequence[Row]
) -> Iterator[tuple[Row, bytes | ObjectUnreadable]]:
    """As `payloads`; an error in place of the bytes of a row that lie in an unreadable place.

    Raises ObjectMissing, and ObjectFrozen, which concerns all of the blob.
    """
    found = _each_readable(store, blob, [one for row in rows for one in once_each(row)])
    for row in rows:
        # The parts are gone when the caller goes on with the whole.
        yield row, _joined([next(found)[1] for _ in once_each(row)])


def _joined(parts: Sequence[bytes | ObjectUnreadable]) -> bytes | ObjectUnreadable:
    whole: list[bytes] = []
    for part in parts:
        if isinstance(part, ObjectUnreadable):
            return part
        whole.append(part)
    return whole[0] if len(whole) == 1 else b"".join(whole)


def _each_readable(
    store: Store, blob: str, rows: Sequence[Row]
) -> Iterator[tuple[Row, bytes | ObjectUnreadable]]:
    """As `readable_payloads`, of rows without their members."""
    group: list[Row] = []
    end = 0
    for row in rows:
        # Rows of one payload, as those of a stack, need not be neighbours.
        if group and (
            group[0].blob != row.blob
            or not group[0].offset <= row.offset <= end
            or row.offset + row.length - group[0].offset > _READ_SIZE_BYTES
        ):
            yield from _fetch(store, blob, group)
            group = []
        end = max(end, row.offset + row.length) if group else row.offset + row.length
        group.append(row)
    if group:
        yield from _fetch(store, blob, group)


def _fetch(
    store: Store, blob: str, rows: list[Row]
) -> Iterator[tuple[Row, bytes | ObjectUnreadable]]:
    start, end = rows[0].offset, max(row.offset + row.length for row in rows)
    try:
        data = store.get_range(rows[0].blob or blob, start, end - start)
    except ObjectUnreadable as error:
        if len(rows) == 1:
            yield rows[0], error
            return
        data = None
    if data is None:
        for row in rows:
            yield from _fetch(store, blob, [row])
        return
    for row in rows:
        yield row, data[row.offset - start : row.offset - start + row.length]


def _put(
    store: Store, name: str, *pieces: bytes | memoryview, old: ObjectRecord | None = None
) -> ObjectRecord:
    """Put under this name, or beside it.

    A run that was interrupted and whose source changed since may have left other bytes under
    the name. No commit names those; they are left for `gc`. The name beside it says what the object
    holds: where that is something else, it is damaged, and written again. old: as in `write_shard`;
    its name is for its bytes alone.
    """
    hashed = hashlib.sha256()
    for piece in pieces:
        hashed.update(piece)
    digest = hashed.hexdigest()
    stem, _, suffix = name.rpartition(".")
    beside = f"{stem}-{digest[:16]}.{suffix}"
    if old is not None:
        name = old.name if old.sha256 == digest else beside
    if not store.put_same(name, *pieces):
        name = beside
        if not store.put_same(name, *pieces):
            store.put(name, *pieces)
    return ObjectRecord(name, sum(map(len, pieces)), digest)
