"""What an archive holds, file by file: where a path is in several runs, the latest counts."""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from pipeline.archive.archive import Archive
from schemas.commit import ShardRecord
from schemas.errors import FixityError, FormatError, SeecError
from schemas.manifest import QuarantineRow, Row


def current_rows(
    archive: Archive,
    include: Sequence[str] = (),
    on_damage: Callable[[ShardRecord, SeecError], None] | None = None,
) -> Iterator[tuple[ShardRecord, list[Row]]]:
    """Shard by shard, the rows that count: no later run replaced them, and they did not vanish.

    The latest run comes first. include: shell patterns over paths, of which one must match (`*`
    matches `/` too); none means all. on_damage: told of a shard whose manifest part cannot be read,
    which is then left out; without it the error is raised. Rows of a shard are sorted by path.
    Memory grows with the number of paths only where there are several runs or removals.
    """
    state = archive.state
    several = len(state.runs) > 1 or bool(state.removals)
    gone: set[str] = set()
    for run, shards in reversed(list(state.by_run())):
        gone.update(vanished_after(archive, run.run_id))
        for shard in shards:
            try:
                rows = [row for row in archive.rows(shard) if row.path not in gone]
            except (FixityError, FormatError) as error:
                if on_damage is None:
                    raise
                on_damage(shard, error)
                continue
            if several:
                gone.update(row.path for row in rows)
            yield shard, [row for row in rows if matches(row.path, include)]


def current_quarantine(archive: Archive) -> Iterator[tuple[ShardRecord, list[QuarantineRow]]]:
    """Shard by shard, the failures that count: no later run tried again, and they did not vanish.

    The latest run comes first, as in `current_rows`.
    """
    gone: set[str] = set()
    runs = list(archive.state.by_run())
    while runs and not any(shard.quarantine for shard in runs[0][1]):
        runs.pop(0)
    for run, shards in reversed(runs):
        gone.update(vanished_after(archive, run.run_id))
        tried: set[str] = set()
        for shard in shards:
            failed = [row for row in archive.quarantine(shard) if row.path not in gone]
            yield shard, failed
            tried.update(row.path for row in failed)
            if run is not runs[0][0]:
                tried.update(row.path for row in archive.rows(shard))
        gone |= tried


def vanished_after(archive: Archive, run_id: str) -> Iterator[str]:
    """Paths whose rows in this run and earlier ones do not count."""
    for removal in archive.state.removals:
        if removal.up_to == run_id:
            yield from archive.removed(removal)


def matches(path: str, include: Sequence[str]) -> bool:
    """Whether a path is asked for."""
    return not include or any(fnmatchcase(path, pattern) for pattern in include)
