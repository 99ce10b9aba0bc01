"""From a listing and what counts already to a plan. The same input gives the same plan."""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from pipeline.archive.ahead import each_ahead
from pipeline.archive.archive import Archive
from pipeline.archive.catalogue import current_quarantine, vanished_after
from schemas.plan import PlanSettings, SourceFile


class Seen(NamedTuple):
    """What the archive knows of a file: size, time, digest (if asked for), URL of its source.

    digest: None for a file in quarantine, too.
    """

    size_bytes: int
    mtime_ns: int | None
    source: str
    digest: bytes | None = None


def seen_files(archive: Archive, digests: bool = False) -> dict[str, Seen]:
    """Each file that the archive holds or has in quarantine, by path.

    Where a path occurs in several runs, the latest counts. Size grows with the collection, by
    a path and two integers per file, and a digest if asked for.
    """
    seen: dict[str, Seen] = {}
    for run, shards in archive.state.by_run():
        for part in each_ahead(archive.identities, shards):
            for path, size_bytes, mtime_ns, digest in part:
                seen[path] = Seen(size_bytes, mtime_ns, run.source, digest if digests else None)
        for shard in shards:
            for row in archive.quarantine(shard):
                seen[row.path] = Seen(row.source_size_bytes, row.source_mtime_ns, run.source)
        for path in vanished_after(archive, run.run_id):
            seen.pop(path, None)
    return seen


def quarantined_files(archive: Archive) -> set[str]:
    """Paths whose latest row is in quarantine."""
    return {row.path for _, failed in current_quarantine(archive) for row in failed}


def new_files(
    listing: Iterable[SourceFile],
    seen: Mapping[str, Seen],
    retry: Container[str],
    same_content: Container[str] | None = None,
) -> list[SourceFile]:
    """The files of a listing that are new, changed, or to be tried again.

    same_content: of the files that were archived, those whose bytes were found to be the same; None
    to trust size and time.
    """
    return [
        file
        for file in listing
        if file.path in retry or not _unchanged(file, seen.get(file.path), same_content)
    ]


def _unchanged(file: SourceFile, known: Seen | None, same_content: Container[str] | None) -> bool:
    if known is None:
        return False
    if same_content is None or known.digest is None:
        return known[:2] == (file.size_bytes, file.mtime_ns)
    return file.path in same_content


def vanished_files(
    listing: Iterable[SourceFile], seen: Mapping[str, Seen], source_url: str
) -> list[str]:
    """Paths, sorted, that the archive has from this source and that are not there any more."""
    there = {file.path for file in listing}
    return sorted(
        path for path, known in seen.items() if known.source == source_url and path not in there
    )


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
