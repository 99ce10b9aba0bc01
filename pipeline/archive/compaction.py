"""Copy the rows of small shards into large ones: payloads as they are, nothing is encoded again.

A compaction is a run like others: it is opened with a plan, its shards are committed one by one,
and a rerun finishes it. Its plan names, for each new shard, the shards that it replaces. A commit
adds a new shard and drops those, so that at each moment every row counts exactly once.

Only rows that count are copied: the run is the last one, and a row in it would hide later rows of
the same path. What was replaced or removed stays in the old shards, which the states of earlier
commits need; `gc` removes those once no state that is kept does.

A payload in the blob of another shard stays there if that shard stays. If that is replaced, too,
the new shard has the payload itself, so that nothing needs the old blob any more.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.catalogue import current_quarantine, current_rows
from seec.pipeline.archive.runs import missing_shards, put, put_back
from seec.pipeline.archive.shard import by_blob, payloads, write_shard
from seec.schemas import tables
from seec.schemas.archive import plan_name, shard_name
from seec.schemas.commit import RunRecord, ShardRecord
from seec.schemas.errors import (
    ArchiveLocked,
    DigestMismatch,
    FixityError,
    FormatError,
    ObjectMissing,
    ObjectUnreadable,
    SectionCorrupt,
    SeecError,
)
from seec.schemas.limits import MAX_GROUP_ROWS
from seec.schemas.plan import run_id
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.rows import Entry, Row
from seec.schemas.tables import Column, Table
from seec.schemas.trees import in_blob, with_payloads

_PLAN = Table(
    "compaction-plan", 1, (Column("number", "int32"), Column("shard", "string")), MAX_GROUP_ROWS
)


def small_shards(
    archive: Archive, shard_files: int, shard_size_bytes: int
) -> list[list[ShardRecord]]:
    """Shards that can be one, in groups of two or more; each group within the bounds.

    shard_files: files and failures of a shard; shard_size_bytes: of its payloads. A shard with half
    of either is large enough, and one with pieces of files stays as it is. So does one whose blob a
    shard needs that stays as it is: the blob would have to stay, too. All groups hold files of one
    name of a source: the first that has small shards.
    """
    state = archive.state
    small = [
        shard
        for _, shards in state.by_run()
        for shard in shards
        if 2 * _files(shard) <= shard_files
        and 2 * _size_bytes(shard) <= shard_size_bytes
        and not shard.pieces
    ]
    while True:
        groups = _groups(archive, small, shard_files, shard_size_bytes)
        going = {shard.shard for group in groups for shard in group}
        stay = (shard for shard in state.shards.values() if shard.shard not in going)
        needed = {blob.name for shard in stay for blob in shard.referenced}
        if not any(shard.blob.name in needed for group in groups for shard in group):
            return groups
        small = [shard for shard in small if shard.blob.name not in needed]


def _groups(
    archive: Archive, small: Iterable[ShardRecord], shard_files: int, shard_size_bytes: int
) -> list[list[ShardRecord]]:
    """Groups of these shards, which are in order, of the first name that has any."""
    names = {run_id: run.source.name for run_id, run in archive.state.runs.items()}
    by_source = groupby(sorted(small, key=lambda s: names[s.run_id]), key=lambda s: names[s.run_id])
    for _, shards in by_source:
        groups = list(_cut(shards, shard_files, shard_size_bytes))
        if groups:
            return groups
    return []


def _cut(
    shards: Iterable[ShardRecord], shard_files: int, shard_size_bytes: int
) -> Iterator[list[ShardRecord]]:
    group: list[ShardRecord] = []
    for shard in shards:
        files = sum(map(_files, group)) + _files(shard)
        size_bytes = sum(map(_size_bytes, group)) + _size_bytes(shard)
        if group and (files > shard_files or size_bytes > shard_size_bytes):
            if len(group) > 1:
                yield group
            group = []
        group.append(shard)
    if len(group) > 1:
        yield group


def _files(shard: ShardRecord) -> int:
    return shard.files + shard.quarantined


def _size_bytes(shard: ShardRecord) -> int:
    """Of its payloads; at most about so much if some are in blobs of other shards."""
    return shard.source_size_bytes if shard.referenced else shard.blob.size_bytes


def open_compaction(archive: Archive, groups: list[list[ShardRecord]]) -> RunRecord:
    """Commit the plan of a compaction. ArchiveLocked if a run is not finished."""
    state, last = archive.state, archive.state.last_run
    if last is None or state.open_run is not None:
        raise ArchiveLocked(
            f"{archive.store.url}: run {last.run_id if last else '?'} is not finished; run seec "
            "archive again first, or wait for it"
        )
    plan = tables.serialise_numbered(
        _PLAN, ([{"shard": shard.shard} for shard in group] for group in groups)
    )
    identity = run_id(len(state.runs) + 1, plan)
    name = plan_name(identity)
    run = RunRecord(
        run_id=identity,
        plan=put(archive, name, plan),
        source=state.sources[state.runs[groups[0][0].run_id].source.name],
        shards=len(groups),
        files=sum(shard.files for group in groups for shard in group),
        model_id=None,
    )
    archive.commit(runs=(run,))
    put_back(archive, {name: plan})
    return run


def compact(archive: Archive, run: RunRecord) -> Iterator[tuple[ShardRecord, int]]:
    """Carry out what is left of a compaction: each new shard, and how many it replaced.

    DigestMismatch, BlobMissing, ObjectUnreadable or SectionCorrupt, with all other new shards
    done, if the blob of an old one is damaged; with none, if its manifest part is. Memory grows
    with one shard, and with the paths of the archive.
    """
    damage: SeecError | None = None
    plan = tables.Numbered(run.plan.name, archive.read(run.plan), _PLAN)
    if len(plan.counts) != run.shards:
        raise SectionCorrupt(f"{run.plan.name}: plans {len(plan.counts)} shards, not {run.shards}")
    planned = {
        index: [row["shard"] for row in plan.read(index)] for index in range(len(plan.counts))
    }
    groups = {index: planned[index] for index in missing_shards(archive, run)}
    wanted = {name for names in groups.values() for name in names}
    going = {name for names in planned.values() for name in names}
    stay = {one.blob.name for one in archive.state.shards.values() if one.shard not in going}
    shards = archive.state.shards
    rows = {s.shard: part for s, part in current_rows(archive) if s.shard in wanted}
    failed = {s.shard: part for s, part in current_quarantine(archive) if s.shard in wanted}
    for index, names in groups.items():
        old = [shards[name] for name in names]
        try:
            record = _copy(archive, shard_name(run.run_id, index), old, stay, rows, failed)
        except (FixityError, FormatError, ObjectMissing, ObjectUnreadable) as error:
            damage = damage or error
            continue
        archive.commit(shards=(record,), dropped=tuple(names), made_from=tuple(old))
        yield record, len(names)
    if damage is not None:
        raise damage


def _copy(
    archive: Archive,
    name: str,
    old: list[ShardRecord],
    stay: Collection[str],
    rows: dict[str, list[Row]],
    failed: dict[str, list[QuarantineRow]],
) -> ShardRecord:
    """Write a new shard. stay: names of the blobs of shards that are not replaced."""
    entries: list[Entry] = []
    for shard in old:
        referenced = {blob.name: blob for blob in shard.referenced if blob.name in stay}
        for blob, some in by_blob(shard, _alone(rows.get(shard.shard, []))):
            if blob in referenced:
                entries += (Entry(row, b"", referenced[blob]) for row in some)
                continue
            for row, payload in payloads(archive.store, blob, some):
                _check(blob, row, payload)
                entries.append(Entry(in_blob(row, None), payload))
    run = name.rpartition("/")[0]
    failures = [replace(row, run_id=run) for shard in old for row in failed.get(shard.shard, [])]
    share = max((shard.parity.share for shard in old if shard.parity is not None), default=0)
    return write_shard(archive.store, name, entries, failures, share)


def _check(blob: str, row: Row, payload: bytes) -> None:
    for one, part in with_payloads(row, payload):
        if hashlib.sha256(part).digest() != one.blob_digest:
            raise DigestMismatch(f"{blob}: is damaged; run seec repair first")


def _alone(rows: Sequence[Row]) -> list[Row]:
    """Rows of one shard; a further name of a file that is not among them is a file of its own."""
    paths = {row.path for row in rows}
    return [row if row.same_file in paths else replace(row, same_file=None) for row in rows]
