"""What an archive holds, file by file: where a path is in several runs, the latest counts."""

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate

from pipeline.archive.ahead import each_ahead
from pipeline.archive.archive import Archive
from schemas.commit import ShardRecord
from schemas.errors import FixityError, FormatError, SeecError
from schemas.manifest import QuarantineRow, Row, parse_manifest, parse_paths


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
    wanted = matcher(include)

    def read(shard: ShardRecord) -> tuple[list[str], list[Row]] | SeecError:
        try:
            return _matching(archive, shard, wanted)
        except (FixityError, FormatError) as error:
            if on_damage is None:
                raise
            return error

    for run, shards in reversed(list(state.by_run())):
        gone.update(vanished_after(archive, run.run_id))
        for shard, found in zip(shards, each_ahead(read, shards), strict=True):
            if isinstance(found, SeecError):
                if on_damage is not None:
                    on_damage(shard, found)
                continue
            paths, rows = found
            yield shard, [row for row in rows if row.path not in gone]
            if several:
                gone.update(paths)


def _matching(
    archive: Archive, shard: ShardRecord, wanted: Callable[[str], bool] | None
) -> tuple[list[str], list[Row]]:
    """All paths of a shard, and its rows that are asked for: others are not worth parsing."""
    if wanted is None:
        rows = archive.rows(shard)
        return [row.path for row in rows], rows
    name, data = shard.manifest.name, archive.read(shard.manifest)
    paths = parse_paths(name, data)
    if not any(map(wanted, paths)):
        return paths, []
    return paths, [row for row in parse_manifest(name, data) if wanted(row.path)]


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
                tried.update(archive.paths(shard))
        gone |= tried


def vanished_after(archive: Archive, run_id: str) -> Iterator[str]:
    """Paths whose rows in this run and earlier ones do not count."""
    for removal in archive.state.removals:
        if removal.up_to == run_id:
            yield from archive.removed(removal)


def matcher(include: Sequence[str]) -> Callable[[str], bool] | None:
    """What tells whether a path matches one of these shell patterns; None if there are none."""
    if not include:
        return None
    pattern = re.compile("|".join(translate(one) for one in include))
    return lambda path: pattern.match(path) is not None
