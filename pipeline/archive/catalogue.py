"""What an archive holds, file by file: where a path is in several runs, the latest counts."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from seec.pipeline.archive.archive import REOPENINGS, Archive, Unread
from seec.pipeline.archive.patterns import MemberPatterns, Patterns, in_range, may_hold
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import BlobMissing, FixityError, FormatError, SectionCorrupt, SeecError
from seec.schemas.manifest import each_row, parse_manifest
from seec.schemas.manifest_part import parse_matching
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.routes import SPANS
from seec.schemas.rows import Row, blob_size


class Also(NamedTuple):
    """What else than files is asked for: rows of pieces; envelopes in rows."""

    pieces: bool = False
    envelopes: bool = False


# Told what cannot be had, in words, and why.
OnDamage = Callable[[str, SeecError], None]


def current_rows(
    archive: Archive,
    include: Sequence[str] = (),
    on_damage: OnDamage | None = None,
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
    tell = on_damage or _raise
    for run, shards in reversed(list(state.by_run())):
        gone.update(_vanished_after(archive, run.run_id, tell))
        for shard, part in archive.parts(list(filter(wanted.may_be_in, shards))):
            try:
                found = _matching(shard, had(part), wanted)
            except (FixityError, FormatError) as error:
                tell(f"{shard.files} files of shard {shard.shard}", error)
                continue
            files = [row for row in found if row.piece is None]
            yield shard, [row for row in files if row.path not in gone]
            if several:
                gone.update(row.path for row in files)


def had(part: bytes | Unread) -> bytes:
    """A manifest part of `Archive.parts`; raises why it cannot be had."""
    if isinstance(part, bytes):
        return part
    raise part


def _raise(_: str, error: SeecError) -> None:
    raise error


def sorted_members(
    archive: Archive, include: Sequence[str] = (), on_damage: OnDamage | None = None
) -> Iterator[Row]:
    """The rows of all files and members that match, each without its own members.

    A file in pieces has the members of its pieces. By path of the file, members in their order,
    with their envelopes. include, on_damage: as in `current_rows`.
    """
    wanted = Patterns(include)
    for row in _reopened(
        archive, MemberPatterns(include), on_damage, Also(pieces=True, envelopes=True)
    ):
        for one in row.tree():
            within = one.piece is not None or (one is not row and one.route == SPANS)
            if not within and wanted(one.path):
                yield replace(one, members=())


def sorted_rows(
    archive: Archive,
    include: Sequence[str] = (),
    on_damage: OnDamage | None = None,
    *,
    envelopes: bool = False,
    pieces: bool = False,
) -> Iterator[Row]:
    """The rows that `current_rows` gives, all of them by path; with their envelopes if asked to.

    pieces: with the rows of pieces, too, behind the row of their file. Each row is checked by
    itself. on_damage: as in `current_rows`; of a damaged part the rows before the damage are given.
    Memory grows with the number of shards whose paths overlap, by a
    row group of each, and with the number of removed paths. If parts vanish meanwhile, since a
    commit dropped them, goes on with the rows that count by then.
    """
    return _reopened(archive, Patterns(include), on_damage, Also(pieces, envelopes))


def _reopened(
    archive: Archive, wanted: Patterns, on_damage: OnDamage | None, also: Also
) -> Iterator[Row]:
    """Rows by path, and what else is asked for."""
    last: tuple[str, int] | None = None
    for left in reversed(range(REOPENINGS + 1)):

        def tell(what: str, error: SeecError, archive: Archive = archive, left: int = left) -> None:
            vanished = isinstance(error, BlobMissing) and left and archive.moved_on() is not None
            if on_damage is None or vanished:
                raise error
            on_damage(what, error)

        try:
            for row in _sorted_rows(archive, wanted, tell, also):
                if last is None or row.key > last:
                    yield row
                    last = row.key
        except BlobMissing:
            newer = archive.moved_on() if left else None
            if newer is None:
                raise
            archive = newer
        else:
            return


def _sorted_rows(archive: Archive, wanted: Patterns, tell: OnDamage, also: Also) -> Iterator[Row]:
    runs = {run_id: number for number, run_id in enumerate(archive.state.runs)}
    vanished: dict[str, int] = {}
    for run_id, number in runs.items():
        paths = _vanished_after(archive, run_id, tell)
        vanished.update((path, number) for path in paths if wanted(path))
    last, current = None, None
    for row in _merged(archive, wanted, runs, tell, also):
        if row.piece is not None:  # it counts if the file of the same run does
            if current == (row.path, row.run_id):
                yield row
            continue
        if row.path != last:
            counts = vanished.get(row.path, -1) < runs[row.run_id]
            current = (row.path, row.run_id) if counts else None
            if counts:
                yield row
        last = row.path


def _merged(
    archive: Archive, wanted: Patterns, runs: dict[str, int], tell: OnDamage, also: Also
) -> Iterator[Row]:
    """All rows by path; of one path, that of the latest run first, and its pieces behind it."""
    shards = list(filter(wanted.may_be_in, archive.state.in_order()))
    starts = {shard.shard: shard.path_range[0] for shard in shards if shard.path_range}
    shards.sort(key=lambda shard: starts[shard.shard])
    # The next row of each shard that has been begun, with the rows behind it.
    waiting: list[tuple[str, int, int, int, Row, Iterator[Row]]] = []
    tie = count()

    def wait_for(rows: Iterator[Row]) -> None:
        row = next(rows, None)
        if row is not None:
            path, piece = row.key
            heapq.heappush(waiting, (path, -runs[row.run_id], piece, next(tie), row, rows))

    def before(path: str | None) -> Iterator[Row]:
        while waiting and (path is None or waiting[0][0] < path):
            *_, row, rows = heapq.heappop(waiting)
            yield row
            wait_for(rows)

    for shard, part in archive.parts(shards):
        yield from before(starts[shard.shard])
        wait_for(_rows_of(shard, part, wanted, tell, also))
    yield from before(None)


def _rows_of(
    shard: ShardRecord, part: bytes | Unread, wanted: Patterns, tell: OnDamage, also: Also
) -> Iterator[Row]:
    """The rows of a manifest part that are asked for, one by one, up to the first damage."""
    name, given = shard.manifest.name, 0
    try:
        for row in each_row(
            name, had(part), shard.path_range, wanted.among, envelopes=also.envelopes
        ):
            _check_place(shard, [row])
            if row.piece is None or also.pieces:
                yield row
            given += row.piece is None
    except (FixityError, FormatError) as error:
        tell(f"{shard.files - given} files of shard {shard.shard}", error)


def _matching(shard: ShardRecord, part: bytes, wanted: Patterns) -> list[Row]:
    """The rows of a manifest part that are asked for: others are not worth parsing."""
    name = shard.manifest.name
    if wanted.all:
        rows = parse_manifest(name, part)
        paths = [row.path for row in rows]
    else:
        paths, rows = parse_matching(name, part, wanted.among)
    if not in_range(paths, shard):
        raise SectionCorrupt(f"{name}: other paths than its commit says")
    _check_place(shard, rows)
    return rows


def _check_place(shard: ShardRecord, rows: Sequence[Row]) -> None:
    name = shard.manifest.name
    if any(row.shard != shard.shard for row in rows):
        raise SectionCorrupt(f"{name}: holds rows of another shard")
    if blob_size(rows) > shard.blob.size_bytes:
        raise SectionCorrupt(f"{name}: its rows lead out of the blob")
    referenced = {blob.name: blob.size_bytes for blob in shard.referenced}
    if any(row.end > referenced.get(row.blob, -1) for row in rows if row.blob is not None):
        raise SectionCorrupt(f"{name}: its rows lead out of the blobs that its commit names")


def current_quarantine(
    archive: Archive, on_damage: OnDamage | None = None
) -> Iterator[tuple[ShardRecord, list[QuarantineRow]]]:
    """Shard by shard, the failures that count: no later run tried again, and they did not vanish.

    The latest run comes first, as in `current_rows`. on_damage: told of a shard of which a part
    cannot be read; then all paths that may be in its manifest part count as tried. Without it the
    error is raised, as is that of a list of removed paths.
    """
    gone: set[str] = set()
    unknown: list[ShardRecord] = []
    tell = on_damage or _raise
    state = archive.state
    runs = list(state.by_run())
    while runs and not any(shard.quarantine for shard in runs[0][1]):
        runs.pop(0)
    for run, shards in reversed(runs):
        for removal in state.removals:
            if removal.up_to == run.run_id:
                gone.update(archive.removed(removal))
        tried: set[str] = set()
        unread: list[ShardRecord] = []
        for shard in shards:
            try:
                found = archive.quarantine(shard)
            except (FixityError, FormatError) as error:
                tell(f"{shard.quarantined} files in quarantine of shard {shard.shard}", error)
                found = []
            failed = [
                row
                for row in found
                if row.path not in gone and not any(may_hold(one, row.path) for one in unknown)
            ]
            yield shard, failed
            tried.update(row.path for row in failed)
            if run is not runs[0][0]:
                try:
                    tried.update(archive.paths(shard))
                except (FixityError, FormatError) as error:
                    tell(f"{shard.files} files of shard {shard.shard}", error)
                    unread.append(shard)
        gone |= tried
        unknown += unread


def vanished_after(archive: Archive, run_id: str) -> Iterator[str]:
    """Paths whose rows in manifest parts of this run and earlier ones do not count."""
    for removal in archive.state.removals:
        if removal.up_to == run_id and not removal.quarantine_only:
            yield from archive.removed(removal)


def _vanished_after(archive: Archive, run_id: str, tell: OnDamage) -> list[str]:
    """As `vanished_after`; none, and tell, if a list of them cannot be had."""
    try:
        return list(vanished_after(archive, run_id))
    except (FixityError, FormatError) as error:
        tell(f"which files of run {run_id} and before were removed", error)
        return []
