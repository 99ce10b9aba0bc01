"""What an archive holds, file by file: where a path is in several runs, the latest counts."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.archive import REOPENINGS, Archive
from seec.pipeline.archive.patterns import Patterns, in_range
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import BlobMissing, FixityError, FormatError, SectionCorrupt, SeecError
from seec.schemas.manifest import QuarantineRow, Row, blob_size, parse_manifest, parse_matching


def current_rows(
    archive: Archive,
    include: Sequence[str] = (),
    on_damage: Callable[[str, SeecError], None] | None = None,
) -> Iterator[tuple[ShardRecord, list[Row]]]:
    """Shard by shard, the rows that count: no later run replaced them, and they did not vanish.

    The latest run comes first. include: shell patterns over paths, of which one must match (`*`
    matches `/` too); none means all. on_damage: told of a shard whose manifest part cannot be read,
    which is then left out, and of such a list of removed paths, which then count, in words and by
    the error; without it the error is raised. Rows of a shard are sorted by path;
    shards of which the record says that nothing in them can match are left out.
    Memory grows with the number of paths only where there are several runs or removals.
    """
    state = archive.state
    several = len(state.runs) > 1 or bool(state.removals)
    gone: set[str] = set()
    wanted = Patterns(include)

    def tell(what: str, error: SeecError) -> None:
        if on_damage is None:
            raise error
        on_damage(what, error)

    for run, shards in reversed(list(state.by_run())):
        try:
            gone.update(vanished_after(archive, run.run_id))
        except (FixityError, FormatError) as error:
            tell(f"which files of run {run.run_id} and before were removed", error)
        shards = list(filter(wanted.may_be_in, shards))
        for shard, part in zip(
            shards, each_ahead(lambda one: _part_of(archive, one), shards), strict=True
        ):
            try:
                if isinstance(part, SeecError):
                    raise part
                found = _matching(shard, part, wanted)
            except (FixityError, FormatError) as error:
                tell(f"{shard.files} files of shard {shard.shard}", error)
                continue
            yield shard, [row for row in found if row.path not in gone]
            if several:
                gone.update(row.path for row in found)


def _part_of(archive: Archive, shard: ShardRecord) -> bytes | SeecError:
    try:
        return archive.read(shard.manifest)
    except (FixityError, FormatError) as error:
        return error


def sorted_rows(archive: Archive, include: Sequence[str] = ()) -> Iterator[Row]:
    """The rows that `current_rows` gives, all of them by path, without their envelopes.

    Memory grows with the shards whose paths overlap, and with the number of removed paths. If parts
    vanish meanwhile, since a commit dropped them, goes on with the rows that count by then.
    """
    last: str | None = None
    for left in reversed(range(REOPENINGS + 1)):
        try:
            for row in _sorted_rows(archive, include):
                if last is None or row.path > last:
                    yield row
                    last = row.path
        except BlobMissing:
            newer = archive.moved_on() if left else None
            if newer is None:
                raise
            archive = newer
        else:
            return


def _sorted_rows(archive: Archive, include: Sequence[str]) -> Iterator[Row]:
    wanted = Patterns(include)
    runs = {run_id: number for number, run_id in enumerate(archive.state.runs)}
    vanished: dict[str, int] = {}
    for run_id, number in runs.items():
        vanished.update((path, number) for path in vanished_after(archive, run_id) if wanted(path))
    last = None
    for row in _merged(archive, wanted, runs):
        if row.path != last and vanished.get(row.path, -1) < runs[row.run_id]:
            yield row
        last = row.path


def _merged(archive: Archive, wanted: Patterns, runs: dict[str, int]) -> Iterator[Row]:
    """All rows by path; of one path, that of the latest run first."""
    shards = list(filter(wanted.may_be_in, archive.state.in_order()))
    starts = {shard.shard: shard.path_range[0] for shard in shards if shard.path_range}
    shards.sort(key=lambda shard: starts[shard.shard])
    waiting: list[tuple[str, int, int, Row]] = []
    tie = count()
    found = each_ahead(
        lambda read: _matching(*read, wanted, envelopes=False), archive.parts(shards), threads=2
    )
    for shard, rows in zip(shards, found, strict=True):
        while waiting and waiting[0][0] < starts[shard.shard]:
            yield heapq.heappop(waiting)[-1]
        for row in rows:
            heapq.heappush(waiting, (row.path, -runs[shard.run_id], next(tie), row))
    while waiting:
        yield heapq.heappop(waiting)[-1]


def _matching(
    shard: ShardRecord, part: bytes, wanted: Patterns, *, envelopes: bool = True
) -> list[Row]:
    """The rows of a manifest part that are asked for: others are not worth parsing."""
    if wanted.all:
        rows = parse_manifest(shard.manifest.name, part, envelopes=envelopes)
        paths = [row.path for row in rows]
    else:
        name = shard.manifest.name
        paths, rows = parse_matching(name, part, wanted.among, envelopes=envelopes)
    if not in_range(paths, shard):
        raise SectionCorrupt(f"{shard.manifest.name}: other paths than its commit says")
    if any(row.shard != shard.shard for row in rows):
        raise SectionCorrupt(f"{shard.manifest.name}: holds rows of another shard")
    if blob_size(rows) > shard.blob.size_bytes:
        raise SectionCorrupt(f"{shard.manifest.name}: its rows lead out of the blob")
    return rows


def current_quarantine(archive: Archive) -> Iterator[tuple[ShardRecord, list[QuarantineRow]]]:
    """Shard by shard, the failures that count: no later run tried again, and they did not vanish.

    The latest run comes first, as in `current_rows`.
    """
    gone: set[str] = set()
    state = archive.state
    runs = list(state.by_run())
    while runs and not any(shard.quarantine for shard in runs[0][1]):
        runs.pop(0)
    for run, shards in reversed(runs):
        for removal in state.removals:
            if removal.up_to == run.run_id:
                gone.update(archive.removed(removal))
        tried: set[str] = set()
        for shard in shards:
            failed = [row for row in archive.quarantine(shard) if row.path not in gone]
            yield shard, failed
            tried.update(row.path for row in failed)
            if run is not runs[0][0]:
                tried.update(archive.paths(shard))
        gone |= tried


def vanished_after(archive: Archive, run_id: str) -> Iterator[str]:
    """Paths whose rows in manifest parts of this run and earlier ones do not count."""
    for removal in archive.state.removals:
        if removal.up_to == run_id and not removal.quarantine_only:
            yield from archive.removed(removal)
