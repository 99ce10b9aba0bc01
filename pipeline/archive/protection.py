"""Parity of shards, and spares of the small objects beside them, from which damage is mended.

The parity of a shard is an object of its own that a commit names: with the shard, or later, as the
record that takes the place of the one without. Spares are made where any shard has parity. They
follow from other objects, so no commit names them: a copy of `archive.json` and of each commit,
which nothing else could make again, and parity of the description, plans, models and lists of
removed paths.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.archive import Archive, read_object, read_recorded
from seec.pipeline.archive.runs import put_back
from seec.pipeline.archive.shard import put_parity
from seec.pipeline.archive.state import State
from seec.pipeline.parity.objects import parity_of
from seec.schemas.archive import (
    ARCHIVE_JSON,
    FORMAT_MD,
    SPARE,
    ArchiveHeader,
    commit_name,
    commit_sequence,
    is_duplicated,
    spare_name,
)
from seec.schemas.commit import FIRST, Commit, ObjectRecord, ParityRecord, ShardRecord, model_record
from seec.schemas.errors import FixityError, FormatError
from seec.schemas.parity import Covered, Layout

_THREADS = 2  # which compute
_SHARDS_OF_A_COMMIT = 32


def parity_size(shard: ShardRecord, share: int) -> int:
    """How many bytes the parity of a shard has."""
    covered = [Covered(record.size_bytes, b"") for record in shard.covered]
    layout = Layout.of(covered, share) if share else None
    return 0 if layout is None else layout.size_bytes


def set_parity(
    archive: Archive, shards: Iterable[ShardRecord], share: int
) -> Iterator[tuple[ShardRecord, FixityError | FormatError | None]]:
    """Give each shard parity of this share, or none with 0; each, and why it cannot have it.

    Committed by some dozens; may be interrupted, and done again.
    """

    def made(shard: ShardRecord) -> tuple[ShardRecord, FixityError | FormatError | None]:
        try:
            parts = [[archive.read(record)] for record in shard.covered] if share else []
        except (FixityError, FormatError) as error:
            return shard, error
        parity = put_parity(archive.store, shard.shard, parts, share, shard.parity)
        return replace(shard, parity=parity), None

    shards = list(shards)
    waiting: list[tuple[ShardRecord, ShardRecord]] = []
    for before, (shard, error) in zip(shards, each_ahead(made, shards, _THREADS), strict=True):
        if error is None:
            waiting.append((before, shard))
        if len(waiting) == _SHARDS_OF_A_COMMIT:
            _commit(archive, waiting)
            waiting = []
        yield shard, error
    _commit(archive, waiting)


def _commit(archive: Archive, changed: list[tuple[ShardRecord, ShardRecord]]) -> None:
    """changed: records of shards, as they were and as they are to be."""
    if not changed:
        return
    before, shards = zip(*changed, strict=True)
    archive.commit(repaired=shards, made_from=before)
    store, written = archive.store, [s.parity for s in shards if s.parity is not None]
    for record in written:
        if not store.exists(record.name):  # gc took it before it could see the commit
            _write_again(archive, record, shards)


def _write_again(archive: Archive, record: ParityRecord, shards: Iterable[ShardRecord]) -> None:
    shard = next(one for one in shards if one.parity == record)
    data = b"".join(parity_of([[archive.read(part)] for part in shard.covered], record.share))
    put_back(archive, {record.name: data})


def keep_spares(archive: Archive, again: Collection[str] = ()) -> list[str]:
    """Where any shard has parity: write the spares that are missing; their names.

    again: names of spares that are damaged. What a spare would be of, and is damaged, has none.
    """
    share = _largest_share(archive.state)
    if not share:
        return []
    there = set(archive.store.names(SPARE)) - set(again)
    wanted = [record for record in _spared(archive) if spare_name(record.name) not in there]

    def write(record: ObjectRecord) -> str | None:
        name = spare_name(record.name)
        try:
            data = _sound_bytes(archive, record)
        except (FixityError, FormatError):
            return None
        pieces = [data] if is_duplicated(record.name) else parity_of([[data]], share)
        if not archive.store.put_same(name, *pieces):
            archive.store.put(name, *pieces)
        return name

    return [name for name in each_ahead(write, wanted) if name is not None]


def _largest_share(state: State) -> int:
    """Of the parity of any shard; 0 if none has any."""
    return max((s.parity.share for s in state.shards.values() if s.parity is not None), default=0)


def _sound_bytes(archive: Archive, record: ObjectRecord) -> bytes:
    """The bytes of an object beside shards; FixityError or FormatError if it is not sound.

    record: with an empty digest for what carries its own.
    """
    if record.sha256:
        return read_recorded(archive.store, record)
    data = read_object(archive.store, record.name)
    if record.name == ARCHIVE_JSON:
        ArchiveHeader.parse(data)
    else:
        Commit.parse(commit_sequence(record.name) or FIRST, data)
    return data


def _spared(archive: Archive) -> list[ObjectRecord]:
    """What has a spare; with an empty digest what carries its own."""
    state = archive.state
    commits = (commit_name(number) for number in range(FIRST, state.sequence + 1))
    found = [ObjectRecord(name, -1, "") for name in (ARCHIVE_JSON, *commits)]
    found.append(ObjectRecord(FORMAT_MD, -1, archive.header.format_sha256))
    found += [run.plan for run in state.runs.values()]
    found += [removal.paths for removal in state.removals]
    found += [model_record(model_id) for model_id in sorted(state.models)]
    return found
