"""What counts in an archive after some commit: a value, built by applying commits in order."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.commit import FIRST, Commit, ObjectRecord, RemovalRecord, RunRecord, ShardRecord
from schemas.errors import SectionCorrupt


@dataclass(frozen=True)
class State:
    """Runs and shards that count, by id and name; sequence 0 is an archive without commits.

    removals: lists of paths that vanished, in the order of their commits. oldest: the first commit
    whose state is kept; objects that only earlier ones need may be gone.
    """

    sequence: int = 0
    last_commit_sha256: str = ""
    runs: dict[str, RunRecord] = field(default_factory=dict[str, RunRecord])
    shards: dict[str, ShardRecord] = field(default_factory=dict[str, ShardRecord])
    removals: tuple[RemovalRecord, ...] = ()
    oldest: int = FIRST

    def apply(self, commit: Commit, data: bytes) -> "State":
        """The state after `commit`, whose bytes are `data`.

        A checkpoint needs no state before it. SectionCorrupt if the commit does not follow.
        """
        where = f"commit {commit.sequence}"
        before = (self.sequence + 1, self.last_commit_sha256)
        follows = (commit.sequence, commit.previous) == before
        if not follows and not (commit.checkpoint and self.sequence == 0):
            raise SectionCorrupt(f"{where}: does not follow commit {self.sequence}")
        base = State() if commit.checkpoint else self
        runs = base.runs | {run.run_id: run for run in commit.runs}
        shards = dict(base.shards)
        if not commit.checkpoint:
            for name in commit.dropped:
                if shards.pop(name, None) is None:
                    raise SectionCorrupt(f"{where}: drops shard {name}, which does not count")
        for shard in commit.shards:
            if shard.run_id not in runs or shard.shard in shards:
                raise SectionCorrupt(f"{where}: shard {shard.shard} is out of place")
            shards[shard.shard] = shard
        shards.update((shard.shard, shard) for shard in commit.repaired if shard.shard in shards)
        for removal in commit.removed:
            if removal.up_to not in runs:
                raise SectionCorrupt(f"{where}: removes paths of {removal.up_to}, which is no run")
        return State(
            commit.sequence,
            hashlib.sha256(data).hexdigest(),
            runs,
            shards,
            (*base.removals, *commit.removed),
            base.oldest if commit.oldest is None else commit.oldest,
        )

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

    def by_run(self) -> Iterator[tuple[RunRecord, list[ShardRecord]]]:
        """Runs in the order in which they were opened, each with its shards in the plan's order."""
        shards: dict[str, list[ShardRecord]] = {run_id: [] for run_id in self.runs}
        for shard in self.in_order():
            shards[shard.run_id].append(shard)
        return ((run, shards[run_id]) for run_id, run in self.runs.items())

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
