"""What an archive holds, file by file: where a path occurs in several runs, the latest counts."""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from pipeline.archive.archive import Archive
from schemas.commit import ShardRecord
from schemas.errors import FixityError, FormatError, SeecError
from schemas.manifest import Row


def current_rows(
    archive: Archive,
    include: Sequence[str] = (),
    on_damage: Callable[[ShardRecord, SeecError], None] | None = None,
) -> Iterator[tuple[ShardRecord, list[Row]]]:
    """Shard by shard, the rows that no later run replaced; the latest run first.

    include: shell patterns over paths, of which one must match (`*` matches `/` too); none
    means all. on_damage: told of a shard whose manifest part cannot be read, which is then left
    out; without it the error is raised. Rows of a shard are sorted by path. Memory grows with
    the number of paths only where there are several runs.
    """
    several = len(archive.state.runs) > 1
    seen: set[str] = set()
    for run_id in sorted(archive.state.runs, reverse=True):
        for shard in archive.state.shards_of(run_id):
            try:
                rows = [row for row in archive.rows(shard) if row.path not in seen]
            except (FixityError, FormatError) as error:
                if on_damage is None:
                    raise
                on_damage(shard, error)
                continue
            if several:
                seen.update(row.path for row in rows)
            yield shard, [row for row in rows if matches(row.path, include)]


def matches(path: str, include: Sequence[str]) -> bool:
    """Whether a path is asked for."""
    return not include or any(fnmatchcase(path, pattern) for pattern in include)
