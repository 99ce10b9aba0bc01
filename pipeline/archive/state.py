"""What counts in an archive after some commit: a value, built by applying commits in order."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce

from seec.schemas.commit import (
    FIRST,
    Changes,
    Commit,
    Recap,
    RemovalRecord,
    RunRecord,
    ShardRecord,
    SourceRecord,
)
from seec.schemas.errors import SectionCorrupt
from seec.schemas.merkle import NO_LEAVES, Tree, head_digest
from seec.schemas.plan import run_ordinal


@dataclass(frozen=True)
class Link:
    """A commit that has to be read to open an archive, and what changed with it.

    changes: from the state of the link before, or from nothing.
    """

    sequence: int
    sha256: str
    changes: Changes


@dataclass(frozen=True)
class State:
    """Runs and shards that count, by id and name; sequence 0 is an archive without commits.

    last_commit_sha256: hex SHA-256 of the bytes of the last commit, which covers all before it; of
    `archive.json` if there is none.
    removals: lists of paths that vanished, in the order of their commits. oldest: the first commit
    whose state is kept; objects that only earlier ones need may be gone. links: the commits that
    lead here, each from the state of the one before it: fewest where all recaps are used.
    header_sha256: hex SHA-256 of `archive.json`, with which the chain of commits begins.
    tree: of all shards that were added or repaired, as in the last commit.
    """

    sequence: int = 0
    last_commit_sha256: str = ""
    runs: dict[str, RunRecord] = field(default_factory=dict[str, RunRecord])
    shards: dict[str, ShardRecord] = field(default_factory=dict[str, ShardRecord])
    removals: tuple[RemovalRecord, ...] = ()
    oldest: int = FIRST
    links: tuple[Link, ...] = ()
    header_sha256: str = ""
    tree: Tree = NO_LEAVES

    @property
    def digest(self) -> str:
        """The archive digest; of an archive without commits, that of `archive.json`."""
        if not self.sequence:
            return self.header_sha256
        return head_digest(self.sequence, self.last_commit_sha256, self.tree.root)

    def apply(self, commit: Commit, data: bytes) -> "State":
        """The state after `commit`, whose bytes are `data`.

        This must be the state after the commit before it, or, if it has a recap, after the one that
        the recap begins with. SectionCorrupt if the commit does not follow, or contradicts it.
        """
        where = f"commit {commit.sequence}"
        changes, recap = commit.changes, commit.recap
        here = (self.sequence, self.last_commit_sha256)
        if (commit.sequence - 1, commit.previous) == here:
            if recap is not None and recap != self.recap(recap.since):
                raise SectionCorrupt(f"{where}: its recap is not what the commits before it say")
        elif recap is not None and (recap.since, recap.sha256) == here:
            changes = commit.changes_since_base
        else:
            raise SectionCorrupt(f"{where}: does not follow commit {self.sequence}")
        runs = _runs_after(where, self.runs, changes)
        last = next(reversed(runs), None)
        if any(shard.run_id != last for shard in commit.changes.shards):
            raise SectionCorrupt(f"{where}: adds shards to another run than the last one")
        if changes.oldest is not None and not self.oldest <= changes.oldest <= commit.sequence:
            raise SectionCorrupt(f"{where}: keeps states from commit {changes.oldest} on")
        for removal in changes.removed:
            if removal.up_to not in runs:
                raise SectionCorrupt(f"{where}: removes paths of {removal.up_to}, which is no run")
        shards = _shards_after(where, self.shards, changes, runs)
        follows = changes is commit.changes and commit.previous == self.last_commit_sha256
        if follows and commit.tree != self.tree.extended(changes.leaves):
            raise SectionCorrupt(f"{where}: its tree is not that of the shards before and in it")
        sha256 = hashlib.sha256(data).hexdigest()
        return State(
            commit.sequence,
            sha256,
            runs,
            shards,
            (*self.removals, *changes.removed),
            self.oldest if changes.oldest is None else changes.oldest,
            self.links_after(commit, sha256),
            self.header_sha256,
            commit.tree,
        )

    def links_after(self, commit: Commit, sha256: str) -> tuple[Link, ...]:
        """The links of the state after a commit, of whose bytes this is the digest."""
        before = (link for link in self.links if link.sequence <= commit.base)
        changes = commit.changes_since_base
        return (*before, Link(commit.sequence, sha256, changes))

    def bases(self) -> Iterator[int]:
        """The commits since which `recap` can tell the changes, from the first."""
        yield 0
        yield from (link.sequence for link in self.links)

    def recap(self, since: int) -> Recap | None:
        """What changed since a commit; None if the links do not tell."""
        if since not in self.bases():
            return None
        digests = {0: self.header_sha256} | {link.sequence: link.sha256 for link in self.links}
        changes = (link.changes for link in self.links if link.sequence > since)
        return Recap(since, digests[since], reduce(Changes.then, changes, Changes()))

    @property
    def sources(self) -> dict[str, SourceRecord]:
        """By name, the last source of each; runs that were given up before a shard counted do not.

        A run without shards says that a source has moved.
        """
        written = {shard.run_id for shard in self.shards.values()}
        return {
            run.source.name: run.source
            for run_id, run in self.runs.items()
            if run_id in written or not run.shards
        }

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
    def parity_share(self) -> int:
        """Of the last shard; as in `ParityRecord`, 0 without parity."""
        last = next(reversed([*self.in_order()]), None)
        return last.parity.share if last is not None and last.parity is not None else 0

    @property
    def models(self) -> frozenset[str]:
        """Ids of the models that rows of any shard need."""
        return frozenset(model_id for shard in self.shards.values() for model_id in shard.models)


def _runs_after(where: str, before: dict[str, RunRecord], changes: Changes) -> dict[str, RunRecord]:
    runs = dict(before)
    for run in changes.runs:
        if run_ordinal(run.run_id) != len(runs) + 1:
            raise SectionCorrupt(f"{where}: run {run.run_id} is out of order")
        runs[run.run_id] = run
    return runs


def _shards_after(
    where: str, before: dict[str, ShardRecord], changes: Changes, runs: dict[str, RunRecord]
) -> dict[str, ShardRecord]:
    shards = dict(before)
    for name in changes.dropped:
        if shards.pop(name, None) is None:
            raise SectionCorrupt(f"{where}: drops shard {name}, which does not count")
    for shard in changes.shards:
        if shard.run_id not in runs or shard.shard in shards:
            raise SectionCorrupt(f"{where}: shard {shard.shard} is out of place")
        shards[shard.shard] = shard
    shards.update((shard.shard, shard) for shard in changes.repaired if shard.shard in shards)
    return shards
