"""How an archive grew, commit by commit."""

from dataclasses import dataclass

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.history import History
from seec.schemas.archive import COMMITS, commit_sequence
from seec.schemas.commit import ShardRecord


@dataclass(frozen=True)
class Point:
    """What the shards that count hold after a commit.

    moment_s: when the commit was written, by the store's clock, in seconds since 1970; None where
    the store gives no time. source_bytes counts older versions of files, too.
    """

    sequence: int
    moment_s: float | None
    source_bytes: int
    stored_bytes: int


def growth(archive: Archive) -> list[Point]:
    """A point for each commit. FormatError or FixityError if a commit cannot be read."""
    times = {
        commit_sequence(item.name): item.modified_s
        for item in archive.store.listed(COMMITS)
        if not item.partial
    }
    shards: dict[str, ShardRecord] = {}
    points: list[Point] = []
    source = stored = 0
    for step in History(archive).steps():
        gone = [shards.pop(name) for name in step.dropped if name in shards]
        new = [*step.shards, *step.repaired]
        gone += [shards[shard.shard] for shard in new if shard.shard in shards]
        shards.update((shard.shard, shard) for shard in new)
        source += sum(s.source_size_bytes for s in new) - sum(s.source_size_bytes for s in gone)
        stored += sum(s.blob.size_bytes for s in new) - sum(s.blob.size_bytes for s in gone)
        points.append(Point(step.sequence, times.get(step.sequence), source, stored))
    return points


def thinned(points: list[Point], most: int) -> list[Point]:
    """At most so many of the points, evenly spread, with the first and the last."""
    if len(points) <= most:
        return points
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]
