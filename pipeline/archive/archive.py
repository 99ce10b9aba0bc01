"""An archive in a store: create, open, read what counts, commit more."""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.changes import commit_after, contradicts, is_outdated, left, uncounted
from seec.pipeline.archive.lease import Lease, Terms, writer
from seec.pipeline.archive.state import State
from seec.pipeline.storage import Store
from seec.pipeline.storage.opening import refuse_unlisted
from seec.schemas.archive import (
    ARCHIVE_JSON,
    COMMITS,
    FORMAT_MD,
    LOCKS,
    MODELS,
    ArchiveHeader,
    commit_name,
    commit_sequence,
    most_bytes,
)
from seec.schemas.commit import (
    Changes,
    Commit,
    ObjectRecord,
    RemovalRecord,
    RunRecord,
    ShardRecord,
)
from seec.schemas.errors import (
    ArchiveLocked,
    BlobMissing,
    BlobReplaced,
    BlobUnreadable,
    DigestMismatch,
    FixityError,
    FormatError,
    LimitExceeded,
    NotAnArchive,
    ObjectExists,
    ObjectMissing,
    ObjectUnreadable,
    SectionCorrupt,
    StorageError,
    UnknownCommit,
)
from seec.schemas.limits import MAX_COMMIT_BYTES
from seec.schemas.manifest import parse_manifest, parse_paths
from seec.schemas.plan import Plan, parse_plan
from seec.schemas.quarantine import QuarantineRow, parse_quarantine
from seec.schemas.removal import parse_removed
from seec.schemas.rows import Row

RECAP_EVERY = 16
# How often a reader opens an archive again whose objects vanish, before that is damage.
REOPENINGS = 3
# Why an object that counts cannot be had.
Unread = FixityError | FormatError


class Archive:
    """An opened archive. `state` is what counted when it was opened or last refreshed.

    Or, with `at`, what counted after that commit, where a later one of digest `head` is the last.
    """

    def __init__(
        self,
        store: Store,
        header: ArchiveHeader,
        state: State,
        at: int | None = None,
        head: str | None = None,
    ) -> None:
        self.store = store
        self.header = header
        self.state = state
        self._at, self._head = at, head
        self._lease: Lease | None = None

    @classmethod
    def open(cls, store: Store) -> "Archive":
        """Open for reading or writing.

        NotAnArchive if there is none; FormatError or FixityError if its records are damaged.
        """
        refuse_unlisted(store.url)
        header = read_header(store)
        archive = cls(store, header, beginning(header))
        archive.refresh()
        return archive

    @classmethod
    def open_or_create(cls, store: Store, format_md: bytes) -> "Archive":
        """Open, or make an empty archive in an empty place.

        format_md: the bytes of FORMAT.md.gz, which the archive carries from then on. StorageError
        if other things lie there already.
        """
        try:
            return cls.open(store)
        except NotAnArchive:
            refuse_strangers(store)
        if not store.put_same(FORMAT_MD, format_md):
            raise StorageError(
                f"{store.url}: holds another {FORMAT_MD}; give an empty or new place"
            )
        digest = hashlib.sha256(format_md).hexdigest()
        header = ArchiveHeader(digest, RECAP_EVERY).serialise()
        store.put_same(ARCHIVE_JSON, header)
        return cls.open(store)

    @classmethod
    @contextmanager
    def writing(
        cls, store: Store, format_md: bytes | None = None, terms: Terms | None = None
    ) -> Generator["Archive"]:
        """The archive, to commit to while the block runs.

        format_md: as in `open_or_create`; None makes none, and raises NotAnArchive where there is
        none. Proves first that the store keeps writers apart, or takes a lease where it does not:
        see `pipeline.archive.lease`. ArchiveLocked if another writer has that. terms: of such a
        lease.
        """
        store.check_writable()
        if not store.exists(ARCHIVE_JSON):
            if format_md is None:
                raise _no_archive(store)
            refuse_strangers(store)
        with writer(store, terms) as lease:
            archive = cls.open(store) if format_md is None else cls.open_or_create(store, format_md)
            archive._lease = lease
            yield archive

    def refresh(self) -> None:
        """Read commits that were added since: for each power of `recap_every`, few."""
        last = max(self.sequences(), default=0)
        if last > self.state.sequence:
            self.state = self._state_after(last, self.state)

    def at(self, sequence: int) -> "Archive":
        """The archive as it was after a commit; later repairs of its shards are in it.

        UnknownCommit if there is none of this number, or its state was given up.
        """
        self._check_kept(sequence)
        state = self._state_after(sequence, beginning(self.header))
        repaired = self._repaired_between(sequence, self.state.sequence)
        shards = {name: repaired.get(name, shard) for name, shard in state.shards.items()}
        state = replace(state, shards=shards)
        return Archive(self.store, self.header, state, sequence, self.digest())

    def as_committed(self, sequence: int) -> "Archive":
        """The archive as it was after a commit, without later repairs. Raises as `at`."""
        self._check_kept(sequence)
        state = self._state_after(sequence, beginning(self.header))
        return Archive(self.store, self.header, state, sequence, state.digest)

    def _check_kept(self, sequence: int) -> None:
        last = self.state.sequence
        if not self.state.oldest <= sequence <= last:
            raise UnknownCommit(
                f"{self.store.url}: no state of commit {sequence} is kept; there are "
                f"{self.state.oldest} to {last}"
            )

    def moved_on(self) -> "Archive | None":
        """The archive as it is by now, or as of the same commit; None if that is the same state.

        For readers that miss an object: it may be gone because a commit since dropped it. None,
        too, if a commit is damaged, so that nobody can tell. Raises UnknownCommit if the state was
        given up.
        """
        try:
            newer = Archive.open(self.store)
            newer = newer if self._at is None else newer.at(self._at)
        except (FixityError, FormatError):
            return None
        return None if newer.state == self.state else newer

    def through(self, store: Store) -> "Archive":
        """The same state, for reading through another store of the same URL."""
        return Archive(store, self.header, self.state, self._at, self._head)

    def commits(self, first: int, last: int) -> Iterator[tuple[Commit, bytes]]:
        """Commits first to last, each with its bytes.

        FormatError or FixityError if one is not there, cannot be read or is damaged.
        """
        return map(self._read_commit, range(first, last + 1))

    def commit(
        self,
        *,
        runs: tuple[RunRecord, ...] = (),
        shards: tuple[ShardRecord, ...] = (),
        removed: tuple[RemovalRecord, ...] = (),
        dropped: tuple[str, ...] = (),
        repaired: tuple[ShardRecord, ...] = (),
        oldest: int | None = None,
        made_from: tuple[ShardRecord, ...] = (),
    ) -> None:
        """Make changes count; what they are is in `seec.schemas.commit`.

        made_from: the records of shards from which those to add, or to repair, were made. They may
        have been read long ago, before commits that were read since.

        If another writer was faster, its commit is read first; what is so by then is left out.
        ArchiveLocked if it works on another run, or changed what this changes, or if shards are of
        a run that another one followed: gc relies on it that those never come to count. For the
        same reason BlobReplaced if shards refer to a blob that counts no more.
        """
        changes = Changes(runs, shards, removed, dropped, repaired, oldest)
        while True:
            before = self.state
            todo = left(changes, before)
            if not todo:
                return
            if any(is_outdated(record, before) for record in made_from):
                raise self._locked()
            last = todo.runs[-1] if todo.runs else before.last_run
            if any(last is None or shard.run_id != last.run_id for shard in todo.shards):
                raise self._locked()
            self.check_counting(todo.shards)
            commit = commit_after(before, todo, self.header.recap_every)
            data = commit.serialise()
            if len(data) > MAX_COMMIT_BYTES:  # then opening reads more commits
                commit = replace(commit, recap=None)
                data = commit.serialise()
            after = before.apply(commit, data)
            try:
                self._put_commit(commit_name(commit.sequence), data)
            except ObjectExists:
                self.refresh()
                if self.state.sequence == before.sequence:
                    raise _taken(self.store, commit_name(commit.sequence)) from None
                if contradicts(changes, before, self.state):
                    raise self._locked() from None
            else:
                self.state = after
                return

    def check_counting(self, shards: Sequence[ShardRecord]) -> None:
        """BlobReplaced if any of these shards refers to a blob that does not count."""
        for name in uncounted(shards, self.state):
            raise BlobReplaced(
                f"{self.store.url}: {name}, in which files of this run are, was replaced by a "
                "repair; run again"
            )

    def digest(self) -> str:
        """The archive digest: after the last commit, also of the archive as it was before."""
        return self._head or self.state.digest

    def expect(self, digest: str) -> None:
        """DigestMismatch unless the archive digest begins with these hexadecimal digits."""
        if not self.digest().startswith(digest):
            raise DigestMismatch(f"{self.store.url}: {self.unexpected(digest)}")

    def unexpected(self, digest: str) -> str:
        """What another archive digest than this one means, for people."""
        found = f"the archive digest is {self.digest()}, not {digest}"
        with suppress(FixityError, FormatError):
            for commit, data in self.commits(1, max(self.sequences(), default=0)):
                if commit.head(data).startswith(digest):
                    return (
                        f"{found}, which it was after commit {commit.sequence}; seec ls --commits "
                        "tells what was committed since"
                    )
        return f"{found}, which it was after no commit: this is another archive, or was changed"

    def read(self, record: ObjectRecord) -> bytes:
        """See `read_recorded`."""
        return read_recorded(self.store, record)

    def rows(self, shard: ShardRecord) -> list[Row]:
        """The manifest rows of one shard, sorted by path."""
        return parse_manifest(shard.manifest.name, self.read(shard.manifest))

    def paths(self, shard: ShardRecord) -> list[str]:
        """The paths of these rows, without the cost of all that rows hold."""
        return parse_paths(shard.manifest.name, self.read(shard.manifest))

    def parts(self, shards: Sequence[ShardRecord]) -> Iterator[tuple[ShardRecord, bytes | Unread]]:
        """The manifest part of each shard, or why it cannot be had; a few read ahead."""

        def part(shard: ShardRecord) -> bytes | Unread:
            try:
                return self.read(shard.manifest)
            except (FixityError, FormatError) as error:
                return error

        return zip(shards, each_ahead(part, shards), strict=True)

    def quarantine(self, shard: ShardRecord) -> list[QuarantineRow]:
        """The quarantine rows of one shard, sorted by path."""
        if shard.quarantine is None:
            return []
        return parse_quarantine(shard.quarantine.name, self.read(shard.quarantine))

    def removed(self, removal: RemovalRecord) -> list[str]:
        """Paths that vanished, sorted."""
        return parse_removed(removal.paths.name, self.read(removal.paths))

    def plan(self, run: RunRecord) -> Plan:
        """The plan of a run."""
        return parse_plan(run.plan.name, self.read(run.plan))

    def sequences(self) -> list[int]:
        """The numbers of all commits there, sorted. Lists commits, never blobs."""
        numbers = (commit_sequence(name) for name in self.store.names(COMMITS))
        return sorted(number for number in numbers if number is not None)

    def _read_commit(self, sequence: int) -> tuple[Commit, bytes]:
        data = read_object(self.store, commit_name(sequence))
        return Commit.parse(sequence, data), data

    def _state_after(self, sequence: int, known: State) -> State:
        """The state after a commit, read from the last one back, until there is none or a known."""
        way: list[tuple[Commit, bytes]] = []
        while sequence not in (0, known.sequence):
            commit, data = self._read_commit(sequence)
            way.append((commit, data))
            sequence = sequence - 1 if sequence - 1 == known.sequence else commit.base
        state = known if sequence else beginning(self.header)
        for commit, data in reversed(way):
            state = state.apply(commit, data)
        return state

    def _repaired_between(self, sequence: int, last: int) -> dict[str, ShardRecord]:
        """The last records of the shards that commits after `sequence`, up to `last`, repaired."""
        repaired: dict[str, ShardRecord] = {}
        while last > sequence:
            commit, _ = self._read_commit(last)
            whole = commit.recap is not None and commit.recap.since >= sequence
            changes = commit.changes_since_base if whole else commit.changes
            repaired = {shard.shard: shard for shard in changes.repaired} | repaired
            last = commit.base if whole else last - 1
        return repaired

    def _put_commit(self, name: str, data: bytes) -> None:
        if self._lease is None:
            self.store.put_new(name, data)
            return
        self._lease.check()
        self.store.put_new(name, data)
        self._lease.check()

    def _locked(self) -> ArchiveLocked:
        last = self.state.last_run
        return ArchiveLocked(
            f"{self.store.url}: another writer is at work on run {last.run_id if last else '?'}; "
            "wait for it, then run again"
        )


def read_header(store: Store) -> ArchiveHeader:
    """What archive.json says. NotAnArchive if there is none; FormatError or FixityError."""
    try:
        return ArchiveHeader.parse(read_object(store, ARCHIVE_JSON))
    except BlobMissing:
        raise _no_archive(store) from None


def beginning(header: ArchiveHeader) -> State:
    """The state of an archive without commits."""
    return State(last_commit_sha256=header.sha256, header_sha256=header.sha256)


def read_recorded(store: Store, record: ObjectRecord) -> bytes:
    """An object that counts, and is read as a whole.

    BlobMissing, BlobUnreadable or DigestMismatch if it is not what was committed; LimitExceeded if
    what was committed is more than a reader takes.
    """
    most = most_bytes(record.name)
    if record.size_bytes > most:
        raise LimitExceeded(f"{record.name}: {record.size_bytes} bytes, over the limit of {most}")
    known = record.size_bytes >= 0
    try:
        data = read_object(store, record.name, record.size_bytes if known else most)
    except LimitExceeded:
        raise DigestMismatch(f"{record.name}: is larger than recorded; run seec verify") from None
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise DigestMismatch(f"{record.name}: content differs from its digest; run seec verify")
    return data


def read_object(store: Store, name: str, most: int | None = None) -> bytes:
    """An object that should be there, with the errors of `read_recorded`.

    most: bytes of it; None takes the limit for objects of this name, and a longer one is damaged.
    """
    limit = most_bytes(name) if most is None else most
    try:
        return store.get(name, limit)
    except LimitExceeded:
        if most is not None:
            raise
        raise SectionCorrupt(
            f"{name}: is longer than {limit} bytes, which no such object is; run seec verify "
            f"{store.url}"
        ) from None
    except ObjectMissing:
        raise BlobMissing(f"{name}: is gone; run seec verify {store.url}") from None
    except ObjectUnreadable as error:
        raise BlobUnreadable(f"{name}: cannot be read ({error}); run seec verify") from None


def _taken(store: Store, name: str) -> StorageError:
    return StorageError(
        f"{store.url}: {name} is taken by something that is no commit; run seec verify {store.url}"
    )


def _no_archive(store: Store) -> NotAnArchive:
    return NotAnArchive(f"{store.url}: no {ARCHIVE_JSON} there; is this an archive?")


def refuse_strangers(store: Store) -> None:
    """StorageError if a place holds something, and that is no archive and no beginning of one."""
    strangers = set(store.top_level()) - {FORMAT_MD, LOCKS, MODELS}
    # Another writer may have made the archive since we looked.
    if strangers and ARCHIVE_JSON not in strangers:
        raise StorageError(
            f"{store.url}: holds {min(strangers)!r} but no {ARCHIVE_JSON}; "
            "give an empty or new place for the archive"
        )
