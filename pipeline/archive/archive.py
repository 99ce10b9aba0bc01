"""An archive in a store: create, open, read what counts, commit more."""

import hashlib
from collections.abc import Iterator

from pipeline.archive.state import State
from pipeline.storage import Store
from schemas.archive import (
    ARCHIVE_JSON,
    COMMITS,
    FORMAT_MD,
    MODELS,
    ArchiveHeader,
    commit_name,
    commit_sequence,
)
from schemas.commit import FIRST, Commit, ObjectRecord, RunRecord, ShardRecord
from schemas.errors import (
    ArchiveLocked,
    BlobMissing,
    DigestMismatch,
    NotAnArchive,
    ObjectExists,
    ObjectMissing,
    StorageError,
)
from schemas.manifest import QuarantineRow, Row, parse_manifest, parse_quarantine
from schemas.plan import Plan, parse_plan

CHECKPOINT_EVERY = 16


class Archive:
    """An opened archive. `state` is what counted when it was opened or last refreshed."""

    def __init__(self, store: Store, header: ArchiveHeader, state: State) -> None:
        self.store = store
        self.header = header
        self.state = state

    @classmethod
    def open(cls, store: Store) -> "Archive":
        """Open for reading or writing.

        NotAnArchive if there is none; FormatError or FixityError if its records are damaged.
        """
        try:
            data = store.get(ARCHIVE_JSON)
        except ObjectMissing:
            raise NotAnArchive(
                f"{store.url}: no {ARCHIVE_JSON} there; is this an archive?"
            ) from None
        archive = cls(store, ArchiveHeader.parse(data), State())
        archive.refresh()
        return archive

    @classmethod
    def open_or_create(cls, store: Store, format_md: bytes) -> "Archive":
        """Open, or make an empty archive in an empty place.

        format_md: the bytes of FORMAT.md, which the archive carries from then on. StorageError if
        other things lie there already, or if the store does not honour put-if-absent.
        """
        try:
            return cls.open(store)
        except NotAnArchive:
            pass
        strangers = set(store.top_level()) - {FORMAT_MD, MODELS}
        if strangers:
            raise StorageError(
                f"{store.url}: holds {min(strangers)!r} but no {ARCHIVE_JSON}; "
                "give an empty or new place for the archive"
            )
        if not store.put_same(FORMAT_MD, format_md):
            raise StorageError(f"{store.url}: holds another FORMAT.md; give an empty or new place")
        digest = hashlib.sha256(format_md).hexdigest()
        header = ArchiveHeader(digest, CHECKPOINT_EVERY).serialise()
        store.put_same(ARCHIVE_JSON, header)
        _prove_put_if_absent(store, header)
        return cls.open(store)

    def refresh(self) -> None:
        """Read commits that were added since. Reads the last checkpoint and what follows."""
        last = max(self.sequences(), default=0)
        state = self.state
        checkpoint = last - last % self.header.checkpoint_every
        if checkpoint > state.sequence:
            state = State()
            start = max(checkpoint, FIRST)
        else:
            start = state.sequence + 1
        for commit, data in self.commits(start, last):
            state = state.apply(commit, data)
        self.state = state

    def commits(self, first: int, last: int) -> Iterator[tuple[Commit, bytes]]:
        """Commits first to last, each with its bytes.

        BlobMissing, FormatError or DigestMismatch if one is not there or damaged.
        """
        for sequence in range(first, last + 1):
            data = _get_recorded(self.store, commit_name(sequence))
            yield Commit.parse(sequence, data), data

    def commit(
        self, *, runs: tuple[RunRecord, ...] = (), shards: tuple[ShardRecord, ...] = ()
    ) -> None:
        """Make runs and shards count.

        If another writer was faster, its commit is read first; shards that it committed with the
        same bytes are left out. ArchiveLocked if it works on another run, or if shards are of a
        run that another one followed: gc relies on it that those never come to count.
        """
        while True:
            new = tuple(s for s in shards if s.shard not in self.state.shards)
            opened = tuple(r for r in runs if r.run_id not in self.state.runs)
            if not new and not opened:
                return
            before = self.state
            last = opened[-1] if opened else before.last_run
            if any(last is None or shard.run_id != last.run_id for shard in new):
                raise self._locked()
            commit, data = self._next_commit(opened, new)
            try:
                self.store.put_new(commit_name(commit.sequence), data)
            except ObjectExists:
                self.refresh()
                self._check_same_work(before, runs, shards)
            else:
                self.state = before.apply(commit, data)
                return

    def digest(self) -> str:
        """The archive digest; see `State.digest`."""
        return self.state.digest()

    def read(self, record: ObjectRecord) -> bytes:
        """See `read_recorded`."""
        return read_recorded(self.store, record)

    def rows(self, shard: ShardRecord) -> list[Row]:
        """The manifest rows of one shard, sorted by path."""
        return parse_manifest(shard.manifest.name, self.read(shard.manifest))

    def quarantine(self, shard: ShardRecord) -> list[QuarantineRow]:
        """The quarantine rows of one shard, sorted by path."""
        if shard.quarantine is None:
            return []
        return parse_quarantine(shard.quarantine.name, self.read(shard.quarantine))

    def plan(self, run: RunRecord) -> Plan:
        """The plan of a run."""
        return parse_plan(run.plan.name, self.read(run.plan))

    def sequences(self) -> list[int]:
        """The numbers of all commits there, sorted. Lists commits, never blobs."""
        numbers = (commit_sequence(name) for name in self.store.names(COMMITS))
        return sorted(number for number in numbers if number is not None)

    def _next_commit(
        self, runs: tuple[RunRecord, ...], shards: tuple[ShardRecord, ...]
    ) -> tuple[Commit, bytes]:
        sequence = self.state.sequence + 1
        checkpoint = sequence % self.header.checkpoint_every == 0
        if checkpoint:
            runs = (*self.state.runs.values(), *runs)
            shards = (*self.state.in_order(), *shards)
        commit = Commit(sequence, self.state.last_commit_sha256, checkpoint, runs, shards)
        return commit, commit.serialise()

    def _check_same_work(
        self, before: State, runs: tuple[RunRecord, ...], shards: tuple[ShardRecord, ...]
    ) -> None:
        mine = {run.run_id for run in runs} | {shard.run_id for shard in shards}
        theirs = self.state.runs.keys() - before.runs.keys()
        differing = any(
            shard.shard in self.state.shards and self.state.shards[shard.shard] != shard
            for shard in shards
        )
        if theirs - mine or differing:
            raise self._locked()

    def _locked(self) -> ArchiveLocked:
        last = self.state.last_run
        return ArchiveLocked(
            f"{self.store.url}: another writer is at work on run {last.run_id if last else '?'}; "
            "wait for it, then run again"
        )


def read_recorded(store: Store, record: ObjectRecord) -> bytes:
    """An object that counts; BlobMissing or DigestMismatch if it is not what was committed."""
    data = _get_recorded(store, record.name)
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise DigestMismatch(f"{record.name}: content differs from its digest; run seec verify")
    return data


def _get_recorded(store: Store, name: str) -> bytes:
    try:
        return store.get(name)
    except ObjectMissing:
        raise BlobMissing(f"{name}: is gone; run seec verify {store.url}") from None


def _prove_put_if_absent(store: Store, header: bytes) -> None:
    try:
        store.put_new(ARCHIVE_JSON, header)
    except ObjectExists:
        return
    raise StorageError(f"{store.url}: this store overwrites objects that exist; use another")
