"""How earlier releases wrote commits: every so many repeated all that counts, none told paths."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from seec.pipeline.archive.state import State
from seec.schemas.commit import FIRST, Changes, Commit


def commit_after(state: State, changes: Changes, every: int) -> Commit:
    """The commit that makes these changes count, a checkpoint if it is time for one."""
    sequence = state.sequence + 1
    changes = replace(
        changes,
        shards=tuple(replace(shard, path_range=None) for shard in changes.shards),
        repaired=tuple(replace(shard, path_range=None) for shard in changes.repaired),
    )
    if sequence % every:
        return Commit(sequence, state.last_commit_sha256, changes)
    kept = {s.shard: s for s in state.in_order() if s.shard not in changes.dropped}
    kept.update((s.shard, s) for s in changes.repaired if s.shard in kept)
    oldest = state.oldest if changes.oldest is None else changes.oldest
    everything = Changes(
        (*state.runs.values(), *changes.runs),
        (*kept.values(), *changes.shards),
        (*state.removals, *changes.removed),
        changes.dropped,
        changes.repaired,
        None if oldest == FIRST else oldest,
    )
    return Commit(sequence, state.last_commit_sha256, everything, checkpoint=True)


@contextmanager
def release() -> Iterator[None]:
    """While the block runs, commits are written as earlier releases wrote them."""
    with patch("seec.pipeline.archive.archive.commit_after", commit_after):
        yield
