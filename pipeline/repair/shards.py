"""Make a damaged shard anew: sound payloads kept, others from elsewhere, the rest lost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.shard import (
    by_blob,
    payloads,
    readable_payloads,
    shown,
    with_code,
    write_shard,
)
from seec.pipeline.repair.copies import Found, fetch
from seec.pipeline.repair.damage import Damaged
from seec.pipeline.routes.reading import check_payload
from seec.pipeline.storage import Store
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import (
    DigestMismatch,
    FixityError,
    FormatError,
    ObjectMissing,
    ObjectUnreadable,
)
from seec.schemas.plan import SourceFile
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.rows import UNKNOWN_DIGEST, Entry, Row, lost_row
from seec.schemas.trees import in_blob, renamed

LOST_REASON = "its bytes in the archive were damaged, and found nowhere else"
QUARANTINE_REASON = "why it failed was recorded in a part that was damaged"


@dataclass(frozen=True)
class Case:
    """A shard to be made anew.

    whole: True if the objects are as committed, and all bad files were lost before. rows: of the
    manifest part or, if that part is damaged, of the plan, as lost rows. bad: labels of rows with
    useless payloads, in their members or themselves. lost_before: labels of those that an earlier
    repair gave up. failed: the known files in quarantine. planned: what the plan says of the shard,
    by path and piece. found: rows of other archives for the bad ones, by their labels.
    """

    record: ShardRecord
    whole: bool
    rows: tuple[Row, ...]
    bad: frozenset[str]
    lost_before: frozenset[str]
    failed: tuple[QuarantineRow, ...]
    planned: Mapping[tuple[str, int], SourceFile] = field(default_factory=dict[Any, SourceFile])
    found: dict[str, Found] = field(default_factory=dict[str, Found])

    def missing(self) -> list[Row]:
        """The rows that only the source may still have."""
        return [r for r in self.rows if r.label in self.bad and r.label not in self.found]


def examine(archive: Archive, damaged: Damaged) -> Case | None:
    """Examine a damaged shard; None if neither manifest part nor plan says what it held."""
    shard = damaged.record
    planned = _planned(archive, shard)
    try:
        rows, known = archive.rows(shard), True
    except (FixityError, FormatError):
        if planned is None:
            return None
        rows, known = [_unknown(file) for file in planned], False
    try:
        failed = archive.quarantine(shard)
    except (FixityError, FormatError):
        held = {row.path for row in rows}
        lacking = (file for file in planned or () if file.path not in held)
        failed = [_failed(file, shard.run_id) for file in lacking]
    if not known:
        failures = {row.path for row in failed}
        rows = [row for row in rows if row.path not in failures]
    lost = frozenset(row.label for row in rows if row.lost)
    undecodable = {row.label for row in rows if row.path in damaged.undecodable}
    bad = lost | _damaged(archive, shard, rows) | undecodable
    lost_before = lost if known else frozenset[str]()
    by_key = {file.key: file for file in planned or ()}
    whole = not damaged.findings
    return Case(shard, whole, tuple(rows), bad, lost_before, tuple(failed), by_key)


@dataclass(frozen=True)
class Mender:
    """Writes shards anew; stands in for `write_shard` when files come from the source."""

    cases: dict[str, Case]

    def __call__(
        self,
        store: Store,
        shard: str,
        entries: Iterable[Entry],
        failed: Sequence[QuarantineRow],
        parity_share: int = 0,
    ) -> ShardRecord:
        """Write the objects of a shard beside the damaged ones; return its new record.

        Writes nothing, and returns the old record, if the new shard would hold nothing more.
        entries: files of the source as they are now, used where the digest is the recorded one.
        failed: files of the source that could not be read. parity_share: is that of the old shard.
        """
        case = self.cases[shard]
        entries = list(entries)
        fresh = {entry.row.source_digest: entry for entry in entries}
        by_key = {entry.row.key: entry for entry in entries}
        mended = [
            self._mend(store, case, row, fresh, by_key)
            for row in case.rows
            if row.label in case.bad
        ]
        mended = _with_same_pixels(case, mended)
        if case.whole and all(entry.row.lost for entry in mended):
            return case.record
        sound = [row for row in case.rows if row.label not in case.bad]
        # A shard made anew needs no blob but its own: one that it needed may be what is damaged.
        kept = [
            Entry(in_blob(row, None), payload)
            for row, payload in payloads(store, case.record.blob.name, sound)
        ]
        share = parity_share if case.record.parity is None else case.record.parity.share
        return write_shard(store, shard, [*kept, *mended], case.failed, share, case.record)

    def _mend(
        self,
        store: Store,
        case: Case,
        row: Row,
        fresh: Mapping[bytes, Entry],
        by_key: Mapping[tuple[str, int], Entry],
    ) -> Entry:
        found = case.found.get(row.label)
        other = fetch(found) if found else fresh.get(row.source_digest)
        if other is None and row.source_digest == UNKNOWN_DIGEST:
            other = by_key.get(row.key)  # same size and time as in the plan
        if other is None:
            return _what_is_left(store, case.record.blob.name, row)
        mended = replace(
            renamed(other.row, row.path),
            # Where a piece begins nobody knew if its row is gone.
            start=other.row.start if row.source_digest == UNKNOWN_DIGEST else row.start,
            piece=row.piece,
            source_mtime_ns=row.source_mtime_ns,
            kind=row.kind,
            permissions=row.permissions,
            same_file=row.same_file,
        )
        return Entry(mended, other.payload)


def _what_is_left(store: Store, blob: str, row: Row) -> Entry:
    """The row as a lost one, but for those of its members whose payloads are whole."""
    kept_payloads: dict[tuple[int, bytes], bytes] = {}  # by what tells them apart

    def left(one: Row) -> Row:
        own = _whole_payload(store, blob, replace(one, members=()))
        if own is None:
            known = (one.path, one.source_size_bytes, one.source_mtime_ns, one.source_digest)
            lost = lost_row(*known, LOST_REASON)
            kept = (one.kind, one.permissions, one.same_file, one.start, one.piece)
            names = ("kind", "permissions", "same_file", "start", "piece")
            one = replace(lost, **dict(zip(names, kept, strict=True)), members=one.members)
        kept_payloads.setdefault((one.length, one.blob_digest), own or b"")
        return replace(one, members=tuple(left(member) for member in one.members))

    row = left(row)
    return Entry(in_blob(row, None), b"".join(kept_payloads.values()))


def _whole_payload(store: Store, blob: str, row: Row) -> bytes | None:
    """The payload of a row without its members; None if it is damaged, or was lost before."""
    try:
        for _, payload in readable_payloads(store, blob, [row]):
            if row.lost or isinstance(payload, ObjectUnreadable):
                return None
            check_payload(row, payload)
            return payload
    except (DigestMismatch, ObjectMissing):
        return None
    return None


def _with_same_pixels(case: Case, mended: Sequence[Entry]) -> list[Entry]:
    """The entries, where lost images take the code of another image with the same pixels.

    The row of an image keeps its own format and envelope. Where the envelope was behind the
    payload, it is lost, too.
    """
    alone = (row for row in case.rows if row.samples and row.envelope_length is None)
    rows = {row.path: in_blob(row, None) for row in alone}
    codes = {shown(entry.row): entry for entry in mended if entry.row.samples}
    return [
        with_code(Entry(row, b""), codes[shown(row)])
        if entry.row.lost and (row := rows.get(entry.row.path)) and shown(row) in codes
        else entry
        for entry in mended
    ]


def _planned(archive: Archive, shard: ShardRecord) -> list[SourceFile] | None:
    run = archive.state.runs.get(shard.run_id)
    if run is None or run.compaction:
        return None
    try:
        return archive.plan(run).shard(index_of(shard))
    except (FixityError, FormatError):
        return None


def index_of(shard: ShardRecord) -> int:
    """The index of a shard in the plan of its run."""
    return int(shard.shard.rpartition("/")[2])


def _unknown(file: SourceFile) -> Row:
    size_bytes = file.size_bytes if file.piece is None else file.planned_bytes
    row = lost_row(file.path, size_bytes, file.mtime_ns, UNKNOWN_DIGEST, LOST_REASON)
    if file.piece is None:
        return row
    return replace(row, piece=file.piece, start=file.piece * size_bytes)


def _failed(file: SourceFile, run_id: str) -> QuarantineRow:
    known = (file.path, file.size_bytes, file.mtime_ns)
    return QuarantineRow(*known, FixityError.__name__, QUARANTINE_REASON, run_id)


def _damaged(archive: Archive, shard: ShardRecord, rows: Sequence[Row]) -> set[str]:
    held = [row for row in rows if not row.lost]
    return {row.label for row in held} - set(_sound(archive, shard, held))


def _sound(archive: Archive, shard: ShardRecord, rows: Sequence[Row]) -> Iterator[str]:
    for blob, some in by_blob(shard, rows):
        with suppress(ObjectMissing):
            for row, payload in readable_payloads(archive.store, blob, some):
                if isinstance(payload, ObjectUnreadable):
                    continue
                with suppress(DigestMismatch):
                    check_payload(row, payload)
                    yield row.label
