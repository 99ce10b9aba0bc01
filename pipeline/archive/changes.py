"""What a writer wants to count from now on, and which commit says so."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.archive.state import State
from schemas.commit import FIRST, Commit, RemovalRecord, RunRecord, ShardRecord


@dataclass(frozen=True)
class Changes:
    """What a commit changes, in the words of `schemas.commit`."""

    runs: tuple[RunRecord, ...] = ()
    shards: tuple[ShardRecord, ...] = ()
    removed: tuple[RemovalRecord, ...] = ()
    dropped: tuple[str, ...] = ()
    repaired: tuple[ShardRecord, ...] = ()
    oldest: int | None = None

    def __bool__(self) -> bool:
        return self != Changes()

    def left(self, state: State) -> "Changes":
        """What of it is not so yet in `state`."""
        return Changes(
            runs=tuple(run for run in self.runs if run.run_id not in state.runs),
            shards=tuple(shard for shard in self.shards if shard.shard not in state.shards),
            removed=tuple(removal for removal in self.removed if removal not in state.removals),
            dropped=tuple(name for name in self.dropped if name in state.shards),
            repaired=tuple(
                shard for shard in self.repaired if state.shards.get(shard.shard) != shard
            ),
            oldest=self.oldest if (self.oldest or FIRST) > state.oldest else None,
        )

    def contradicts(self, before: State, now: State) -> bool:
        """Whether another writer, who led from one state to the other, is at odds with this."""
        mine = {run.run_id for run in self.runs} | {shard.run_id for shard in self.shards}
        return (
            bool(now.runs.keys() - before.runs.keys() - mine)
            or _differ({shard.shard: shard for shard in self.shards}, now.shards)
            or any(
                before.shards.get(shard.shard) != now.shards.get(shard.shard)
                for shard in self.repaired
            )
            or (bool(self.left(now).shards) and any(n not in now.shards for n in self.dropped))
        )

    def commit_after(self, state: State, checkpoint_every: int) -> Commit:
        """The commit that makes these changes count, a checkpoint if it is time for one."""
        sequence = state.sequence + 1
        changed = (sequence, state.last_commit_sha256)
        what = (self.dropped, self.repaired)
        if sequence % checkpoint_every:
            delta = (self.runs, self.shards, self.removed)
            return Commit(*changed, False, *delta, *what, self.oldest)
        kept = {s.shard: s for s in state.in_order() if s.shard not in self.dropped}
        kept.update((s.shard, s) for s in self.repaired if s.shard in kept)
        oldest = state.oldest if self.oldest is None else self.oldest
        return Commit(
            *changed,
            True,
            (*state.runs.values(), *self.runs),
            (*kept.values(), *self.shards),
            (*state.removals, *self.removed),
            *what,
            None if oldest == FIRST else oldest,
        )


def _differ(mine: Mapping[str, ShardRecord], theirs: Mapping[str, ShardRecord]) -> bool:
    return any(name in theirs and theirs[name] != shard for name, shard in mine.items())
