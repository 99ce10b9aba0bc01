"""What a writer wants to count from now on, and which commit says so."""

from collections.abc import Iterable, Mapping

from seec.pipeline.archive.state import State
from seec.schemas.commit import FIRST, Changes, Commit, ObjectRecord, ShardRecord


def left(changes: Changes, state: State) -> Changes:
    """What of the changes is not so yet in a state."""
    return Changes(
        runs=tuple(run for run in changes.runs if run.run_id not in state.runs),
        shards=tuple(shard for shard in changes.shards if shard.shard not in state.shards),
        removed=tuple(removal for removal in changes.removed if removal not in state.removals),
        dropped=tuple(name for name in changes.dropped if name in state.shards),
        repaired=tuple(s for s in changes.repaired if state.shards.get(s.shard) != s),
        oldest=changes.oldest if (changes.oldest or FIRST) > state.oldest else None,
    )


def contradicts(changes: Changes, before: State, now: State) -> bool:
    """Whether another writer, who led from one state to the other, is at odds with the changes."""
    mine = {run.run_id for run in changes.runs} | {shard.run_id for shard in changes.shards}
    return (
        bool(now.runs.keys() - before.runs.keys() - mine)
        or _differ({shard.shard: shard for shard in changes.shards}, now.shards)
        or any(before.shards.get(s.shard) != now.shards.get(s.shard) for s in changes.repaired)
        or (bool(left(changes, now).shards) and any(n not in now.shards for n in changes.dropped))
        # A repair may have mended what was copied before, or is still referred to.
        or any(_rows_of(before, name) != _rows_of(now, name) for name in changes.dropped)
    )


def is_outdated(record: ShardRecord, state: State) -> bool:
    """Whether what a shard holds was replaced since its record was read, as by a repair."""
    return _rows_of(state, record.shard) != (record.manifest, record.blob)


def _rows_of(state: State, name: str) -> tuple[ObjectRecord, ObjectRecord] | None:
    """The objects that have the rows and payloads of a shard; None if it does not count."""
    shard = state.shards.get(name)
    return shard and (shard.manifest, shard.blob)


def uncounted(shards: Iterable[ShardRecord], state: State) -> list[str]:
    """The blobs of other shards that shards refer to, and that nothing which counts needs.

    Such a blob counted when its payloads were chosen. A repair has put another one in its place
    since, and gc may have removed it, or be about to.
    """
    wanted = {blob.name: blob for shard in shards for blob in shard.referenced}
    if not wanted:
        return []
    counting = (blob for one in state.shards.values() for blob in (one.blob, *one.referenced))
    for blob in counting:
        if wanted.get(blob.name) == blob:
            del wanted[blob.name]
    return sorted(wanted)


def commit_after(state: State, changes: Changes, every: int) -> Commit:
    """The commit that makes these changes count.

    Where its number is a multiple of `every`, to some power, its recap goes back by the largest
    such power. So a shard is named once for each power, and each digit of the number of commits,
    to the base `every`, tells how many of one power have to be read.
    """
    sequence, span = state.sequence + 1, 1
    while sequence % (span * every) == 0:
        span *= every
    recap = state.recap(sequence - span) if span > 1 else None
    tree = state.tree.extended(changes.leaves)
    return Commit(sequence, state.last_commit_sha256, changes, recap, tree)


def _differ(mine: Mapping[str, ShardRecord], theirs: Mapping[str, ShardRecord]) -> bool:
    return any(name in theirs and theirs[name] != shard for name, shard in mine.items())
