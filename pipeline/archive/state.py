"""What counts in an archive after some commit: a value, built by applying commits in order."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.commit import Commit, ObjectRecord, RunRecord, ShardRecord
from schemas.errors import SectionCorrupt


@dataclass(frozen=True)
class State:
    """Runs and shards that count, by id and name; sequence 0 is an archive without commits."""

    sequence: int = 0
    last_commit_sha256: str = ""
    runs: dict[str, RunRecord] = field(default_factory=dict[str, RunRecord])
    shards: dict[str, ShardRecord] = field(default_factory=dict[str, ShardRecord])

    def apply(self, commit: Commit, data: bytes) -> "State":
        """The state after `commit`, whose bytes are `data`.

        A checkpoint needs no state before it. SectionCorrupt if the commit does not follow.
        """
        where = f"commit {commit.sequence}"
        before = (self.sequence + 1, self.last_commit_sha256)
        follows = (commit.sequence, commit.previous) == before
        if not follows and not (commit.checkpoint and self.sequence == 0):
            raise SectionCorrupt(f"{where}: does not follow commit {self.sequence}")
        runs = {} if commit.checkpoint else dict(self.runs)
        shards = {} if commit.checkpoint else dict(self.shards)
        runs.update((run.run_id, run) for run in commit.runs)
        for shard in commit.shards:
            if shard.run_id not in runs or shard.shard in shards:
                raise SectionCorrupt(f"{where}: shard {shard.shard} is out of place")
            shards[shard.shard] = shard
        return State(commit.sequence, hashlib.sha256(data).hexdigest(), runs, shards)

    @property
    def open_run(self) -> RunRecord | None:
        """The last run, if some of its shards do not count yet. An older one was given up."""
        last = self.last_run
        if last is None or len(self.shards_of(last.run_id)) == last.shards:
            return None
        return last

    @property
    def last_run(self) -> RunRecord | None:
        """The run that was opened last. Shards are added to it alone."""
        return next(reversed(self.runs.values()), None)

    def shards_of(self, run_id: str) -> list[ShardRecord]:
        """The shards of one run that count, in the order of the plan."""
        return [shard for shard in self.in_order() if shard.run_id == run_id]

    def in_order(self) -> Iterator[ShardRecord]:
        """All shards, by run, then in the order of the plan."""
        return (self.shards[name] for name in sorted(self.shards))

    @property
    def models(self) -> dict[str, ObjectRecord]:
        """Models that any blob may need, by object name."""
        return {run.model.name: run.model for run in self.runs.values()}

    def digest(self) -> str:
        """The archive digest: hex SHA-256 over all shards and the digests of their objects.

        One line per shard, sorted by name: its name and the hex SHA-256 of blob, manifest part
        and quarantine part (`-` if none), separated by spaces, ended by a newline.
        """
        hasher = hashlib.sha256()
        for shard in self.in_order():
            quarantine = shard.quarantine.sha256 if shard.quarantine else "-"
            line = f"{shard.shard} {shard.blob.sha256} {shard.manifest.sha256} {quarantine}\n"
            hasher.update(line.encode())
        return hasher.hexdigest()
