"""All commits of an archive: what each one changed, and what is needed for the states kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from seec.pipeline.archive.archive import Archive, beginning, read_object
from seec.pipeline.archive.state import State
from seec.pipeline.storage import Store
from seec.schemas.archive import PLAN, commit_name, parse_name
from seec.schemas.commit import (
    FIRST,
    Changes,
    Commit,
    ObjectRecord,
    RemovalRecord,
    RunRecord,
    ShardRecord,
    model_record,
)
from seec.schemas.errors import FixityError, FormatError


@dataclass(frozen=True)
class Step:
    """What one commit changed."""

    sequence: int
    runs: tuple[RunRecord, ...]
    shards: tuple[ShardRecord, ...]
    removed: tuple[RemovalRecord, ...]
    dropped: tuple[str, ...]
    repaired: tuple[ShardRecord, ...]
    oldest: int

    @property
    def changes(self) -> bool:
        """Whether it changed what counts, and not only which states are kept."""
        return bool(self.runs or self.shards or self.removed or self.dropped or self.repaired)

    def removed_files(self, *, quarantine_only: bool = False) -> int:
        """How many paths were removed; or, with quarantine_only, left quarantine."""
        return sum(r.files for r in self.removed if r.quarantine_only == quarantine_only)

    @classmethod
    def of(cls, commit: Commit, before: State) -> "Step":
        """before: the state that it changed."""
        changes = commit.changes
        return cls(
            sequence=commit.sequence,
            runs=changes.runs,
            shards=changes.shards,
            removed=changes.removed,
            dropped=changes.dropped,
            repaired=changes.repaired,
            oldest=before.oldest if changes.oldest is None else changes.oldest,
        )


class Retained:
    """The shards of all states that are kept, as they are repaired by now."""

    def __init__(self) -> None:
        self.runs: dict[str, RunRecord] = {}
        self.removals: dict[str, RemovalRecord] = {}
        self.oldest = FIRST
        self._records: dict[str, ShardRecord] = {}
        self._dropped_by: dict[str, int] = {}
        self.freed_by: dict[str, int] = {}  # commits, by the names of objects that they dropped

    def apply(self, commit: Commit) -> None:
        """Apply the next commit, and its recap of those before it, which may be damaged."""
        if commit.recap is not None:
            self._apply(commit.recap.changes, commit.sequence)
        self._apply(commit.changes, commit.sequence)

    def _apply(self, changes: Changes, sequence: int) -> None:
        self.runs.update((run.run_id, run) for run in changes.runs)
        self.removals.update((removal.paths.name, removal) for removal in changes.removed)
        for name in changes.dropped:
            if self._dropped_by.setdefault(name, sequence) == sequence and name in self._records:
                self._free(self._records[name], sequence)
        for shard in changes.repaired:
            if self._records.get(shard.shard, shard) != shard:
                self._free(self._records[shard.shard], sequence)
        self._records.update((s.shard, s) for s in (*changes.shards, *changes.repaired))
        self.oldest = max(self.oldest, changes.oldest or FIRST)

    def _free(self, shard: ShardRecord, sequence: int) -> None:
        models = map(model_record, shard.models)
        self.freed_by.update((record.name, sequence) for record in (*shard.objects, *models))

    def accounts_for(self, name: str) -> bool:
        """Whether a commit opens the run of an object that is written only after such a commit.

        Blobs, manifest parts and quarantine parts are: where one is that no commit accounts for,
        commits are missing at the end. True for other objects.
        """
        kind, run_id = parse_name(name) or (None, None)
        return run_id is None or kind == PLAN or run_id in self.runs

    def shards(self) -> list[ShardRecord]:
        """By name."""
        return [
            self._records[name]
            for name in sorted(self._records)
            if self._dropped_by.get(name, self.oldest + 1) > self.oldest
        ]

    def names(self) -> set[str]:
        """Names of all objects that these states need."""
        plans = {run.plan.name for run in self.runs.values()}
        models = {record.name for record in self.models()}
        parts = {record.name for shard in self.shards() for record in shard.objects}
        return plans | models | parts | self.removals.keys()

    def models(self) -> list[ObjectRecord]:
        """The models that rows of these shards need."""
        ids = {model_id for shard in self.shards() for model_id in shard.models}
        return [model_record(model_id) for model_id in sorted(ids)]


def read_commit(store: Store, sequence: int) -> Commit | None:
    """A commit; None if it is missing, damaged or not to be read."""
    try:
        return Commit.parse(sequence, read_object(store, commit_name(sequence)))
    except (FormatError, FixityError):
        return None


class History:
    """All commits from the first: what counts now, and all that the states kept need."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.state = beginning(archive.header)
        self.retained = Retained()

    def refresh(self) -> None:
        """Read what was committed since. FormatError or FixityError if one is damaged or gone."""
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[Step]:
        """Read what was committed since, and tell what each commit changed."""
        last = max(self._archive.sequences(), default=0)
        start = max(self.state.sequence + 1, FIRST)
        for commit, data in self._archive.commits(start, last):
            step = Step.of(commit, self.state)
            self.state = self.state.apply(commit, data)
            self.retained.apply(commit)
            yield step
