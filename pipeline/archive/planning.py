"""From a listing and what counts already to a plan. The same input gives the same plan."""

from collections.abc import Container, Iterable, Iterator, Mapping

from pipeline.archive.archive import Archive
from schemas.plan import PlanSettings, SourceFile


def seen_files(archive: Archive) -> dict[str, tuple[int, int | None]]:
    """Size and time of each file that the archive holds or has in quarantine, by path.

    Where a path occurs in several runs, the latest counts. Size grows with the collection, by
    a path and two integers per file.
    """
    seen: dict[str, tuple[int, int | None]] = {}
    for shard in archive.state.in_order():
        for row in (*archive.rows(shard), *archive.quarantine(shard)):
            seen[row.path] = (row.source_size_bytes, row.source_mtime_ns)
    return seen


def quarantined_files(archive: Archive) -> set[str]:
    """Paths whose latest row is in quarantine."""
    paths: set[str] = set()
    for run_id in sorted(archive.state.runs):
        shards = archive.state.shards_of(run_id)
        # A path is once in a run: only manifest parts of later runs can have taken it out.
        if paths:
            paths.difference_update(row.path for s in shards for row in archive.rows(s))
        paths.update(row.path for s in shards for row in archive.quarantine(s))
    return paths


def new_files(
    listing: Iterable[SourceFile],
    seen: Mapping[str, tuple[int, int | None]],
    retry: Container[str],
) -> list[SourceFile]:
    """The files of a listing that are new, changed, or to be tried again."""
    return [
        file
        for file in listing
        if file.path in retry or seen.get(file.path) != (file.size_bytes, file.mtime_ns)
    ]


def cut_shards(files: Iterable[SourceFile], settings: PlanSettings) -> Iterator[list[SourceFile]]:
    """Consecutive files, so many that neither bound is passed; a large file may be alone."""
    shard: list[SourceFile] = []
    size_bytes = 0
    for file in files:
        full = len(shard) == settings.shard_files
        if shard and (full or size_bytes + file.size_bytes > settings.shard_size_bytes):
            yield shard
            shard, size_bytes = [], 0
        shard.append(file)
        size_bytes += file.size_bytes
    if shard:
        yield shard
