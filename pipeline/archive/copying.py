"""A second copy of an archive, commit by commit; each object is compared with its digest.

The source may be written to, collected and repaired meanwhile. Why the copy is an archive at each
moment:

- *Objects first.* A commit is written once all that it names is in the copy, in the order of the
  numbers. So the copy is the archive as it was after some commit. An interrupted copy goes on: what
  lies there with its size is not read again, and becomes part of the copy with its commit.
- *What is gone.* The source may lack what only states need that were given up, and what a repair
  replaced. A copy that had the commits up to there would lack them, too. So these commits are
  written together with the one that says why, after all objects.
- *Damage* of the source goes not over: such an object is left out, named, and tried again the next
  time. All others are copied: a copy that lacks an object is better than one that lacks many.
- *One history.* The last commit of the copy must be that commit of the source, byte for byte. A
  source that was set back, or another archive, is refused; nobody else may commit to a copy.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.archive import (
    Archive,
    read_header,
    read_object,
    read_recorded,
    refuse_strangers,
)
from seec.pipeline.archive.history import Retained, read_commit
from seec.pipeline.archive.lease import Lease
from seec.pipeline.storage import Store
from seec.schemas.archive import (
    ARCHIVE_JSON,
    FORMAT_MD,
    MODEL,
    PLAN,
    REMOVED,
    ArchiveHeader,
    commit_name,
    has_suffix,
    parse_name,
)
from seec.schemas.commit import (
    FIRST,
    Commit,
    ObjectRecord,
    ShardRecord,
    model_record,
)
from seec.schemas.errors import (
    BlobMissing,
    BlobUnreadable,
    DigestMismatch,
    FixityError,
    FormatError,
    LimitExceeded,
    ObjectMissing,
    ObjectUnreadable,
)
from seec.schemas.signature import (
    MAX_BYTES,
    SIGNATURES,
    parse_signature_name,
    signature_name,
)

_PIECE_BYTES = 8 << 20
# Of objects that are in memory as a whole while they travel.
_THREADS = 6


@dataclass
class Copied:
    """What a copy took. missed: why an object is not in the copy, by its name."""

    commits: int = 0
    objects: int = 0
    size_bytes: int = 0
    missed: dict[str, str] = field(default_factory=dict[str, str])


class Copy:
    """Brings a copy up to date with an archive, as often as it is asked.

    Memory grows with the number of objects, and with a few of the largest.
    """

    def __init__(self, source: Store, target: Store, lease: Lease | None) -> None:
        """Begin a copy, or go on with one. lease: on the target, from `pipeline.archive.lease`.

        NotAnArchive, FormatError or FixityError if there is no archive, or its records are damaged;
        StorageError if the target holds other things, DigestMismatch if it is no copy of this.
        """
        self._source, self._target, self._lease = source, target, lease
        self._archive = Archive.open(source)
        _begin(source, target, self._archive.header.format_sha256)
        self._retained = Retained()
        self._sha256: dict[int, str] = {}
        self._heads: dict[int, str] = {}
        self._named: dict[int, list[ObjectRecord]] = {}
        self._oldest_by = 0
        self._read()
        self.last = self._last_of_copy()
        self._there = {one.name: one.size_bytes for one in target.listed() if not one.partial}

    @property
    def digest(self) -> str:
        """The archive digest of the copy."""
        return self._heads.get(self.last, self._archive.header.sha256)

    def go_on(
        self,
        on_plan: Callable[[int], None] = lambda _: None,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> Copied:
        """Copy what the archive has by now and the copy lacks.

        on_plan: told how many bytes that is, on_bytes: of each object that is done. Raises as the
        constructor, and ArchiveLocked if the copy is written to by somebody else.
        """
        self._read()
        work = list(self._work(self._retained.names()))
        on_plan(sum(max(0, one.size_bytes) for one in work if isinstance(one, ObjectRecord)))
        done = Copied()
        for item, problem in each_ahead(self._carry, work, _THREADS):
            if isinstance(item, int):
                self._commit(item)
                done.commits += 1
            elif problem is None:
                self._there[item.name] = item.size_bytes
                done.objects += 1
                done.size_bytes += max(0, item.size_bytes)
                on_bytes(max(0, item.size_bytes))
            else:
                done.missed[item.name] = problem
        done.objects += self._copy_signatures()
        if done.missed:
            self._read()
            needed = self._retained.names()
            done.missed = {name: why for name, why in done.missed.items() if name in needed}
        return done

    def _copy_signatures(self) -> int:
        """Copy signatures and time-stamps, which no commit names; how many were new."""
        there, count = set(self._target.names(SIGNATURES)), 0
        for name in self._source.names(SIGNATURES):
            sequence, kind = parse_signature_name(name) or (self.last + 1, "")
            if name in there or sequence > self.last:
                continue
            with suppress(ObjectMissing, ObjectUnreadable, LimitExceeded):
                data = self._source.get(name, MAX_BYTES)
                if signature_name(sequence, kind, data) == name:
                    self._target.put_same(name, data)
                    count += 1
        return count

    def _read(self) -> None:
        """Read the commits of the source that are new."""
        last = max(self._archive.sequences(), default=0)
        first = max(self._sha256, default=0) + 1
        for commit, data in self._archive.commits(first, last):
            self._retained.apply(commit)
            self._sha256[commit.sequence] = hashlib.sha256(data).hexdigest()
            self._heads[commit.sequence] = commit.head(data)
            self._named[commit.sequence] = _records(commit)
            if commit.changes.oldest is not None:
                self._oldest_by = commit.sequence

    def _work(self, needed: set[str]) -> Iterator[ObjectRecord | int]:
        """Objects to copy, and numbers of commits to write once those before them are there."""
        held, waiting = self._held_until(needed), list[int]()
        queued: set[str] = set()
        for sequence, records in self._named.items():
            for record in records:
                there = self._there.get(record.name)
                whole = there is not None and record.size_bytes in (there, -1)
                if record.name in needed and not whole and record.name not in queued:
                    queued.add(record.name)
                    yield record
            if sequence > self.last:
                waiting.append(sequence)
            if sequence >= held:
                yield from waiting
                waiting.clear()

    def _held_until(self, needed: set[str]) -> int:
        """The first commit after which the archive lacks nothing that is gone by now."""
        held = 0
        for sequence, records in self._named.items():
            if sequence <= self.last:
                continue
            for record in records:
                if record.name not in needed:
                    freed = self._retained.freed_by.get(record.name, 0)
                    held = max(held, freed, self._oldest_by)
        return held

    def _carry(self, item: ObjectRecord | int) -> tuple[ObjectRecord | int, str | None]:
        """Copy an object; it, and why that cannot be."""
        if isinstance(item, int):
            return item, None
        try:
            pieces = _proven(self._source, item)
        except (FixityError, FormatError) as error:
            return item, str(error)
        if not self._target.put_same(item.name, *pieces):
            self._target.put(item.name, *pieces)
        return item, None

    def _commit(self, sequence: int) -> None:
        name = commit_name(sequence)
        data = read_object(self._source, name)
        if hashlib.sha256(data).hexdigest() != self._sha256[sequence]:
            raise DigestMismatch(f"{name}: changed while it was copied; run seec verify")
        if self._lease is not None:
            self._lease.check()
        if not self._target.put_same(name, data):
            raise _another(self._source, self._target, sequence)
        if self._lease is not None:
            self._lease.check()
        self.last = sequence
        self._put_back(sequence)

    def _put_back(self, sequence: int) -> None:
        """Copy again what gc took from the copy before it could see the commit."""
        needed = self._retained.names()
        for record in self._named[sequence]:
            kind, _ = parse_name(record.name) or ("", None)
            loose = kind in (MODEL, PLAN, REMOVED) or has_suffix(record.name)
            copied = loose and record.name in needed and record.name in self._there
            if copied and not self._target.exists(record.name):
                self._carry(record)

    def _last_of_copy(self) -> int:
        """The last commit of the copy, if all of its commits are those of the source."""
        sequences = Archive(self._target, self._archive.header, self._archive.state).sequences()
        last = max(sequences, default=0)
        if sequences != list(range(FIRST, last + 1)):
            raise DigestMismatch(
                f"{self._target.url}: commits of the copy are gone; "
                f"seec repair {self._target.url} --from {self._source.url}"
            )
        if not last:
            return 0
        data = read_object(self._target, commit_name(last))
        if hashlib.sha256(data).hexdigest() == self._sha256.get(last):
            return last
        if read_commit(self._target, last) is None:
            raise DigestMismatch(
                f"{self._target.url}: {commit_name(last)} is damaged; "
                f"seec repair {self._target.url} --from {self._source.url}"
            )
        raise _another(self._source, self._target, last)


def _begin(source: Store, target: Store, format_sha256: str) -> None:
    """See that the copy has the header of the archive, and the description of its format."""
    if target.exists(ARCHIVE_JSON):
        found, own = read_header(target), read_header(source)
        if found != own:
            raise DigestMismatch(f"{target.url}: is no copy of {source.url}; give an empty place")
    else:
        refuse_strangers(target)
    if not target.exists(FORMAT_MD):
        target.put_same(FORMAT_MD, *_proven(source, ObjectRecord(FORMAT_MD, -1, format_sha256)))
    data = read_object(source, ARCHIVE_JSON)
    ArchiveHeader.parse(data)  # which raises if it was damaged on the way
    if not target.put_same(ARCHIVE_JSON, data):
        raise DigestMismatch(f"{target.url}: is no copy of {source.url}; give an empty place")


def _records(commit: Commit) -> list[ObjectRecord]:
    """What a commit names, each once; not what its recap says again."""
    changes = commit.changes
    found = {run.plan.name: run.plan for run in changes.runs}
    found |= {removal.paths.name: removal.paths for removal in changes.removed}
    for shard in (*changes.shards, *changes.repaired):
        found |= {record.name: record for record in _objects(shard) if record.name not in found}
    return list(found.values())


def _objects(shard: ShardRecord) -> list[ObjectRecord]:
    return [*shard.objects, *map(model_record, shard.models)]


def _proven(store: Store, record: ObjectRecord) -> list[bytes]:
    """The bytes of an object in pieces, compared with its digest while they come.

    FormatError or FixityError if it is not what was committed.
    """
    if record.size_bytes <= _PIECE_BYTES:
        return [read_recorded(store, record)]
    name, hashed, pieces = record.name, hashlib.sha256(), list[bytes]()
    try:
        if store.size(name) != record.size_bytes:
            raise DigestMismatch(f"{name}: has another size than recorded; run seec verify")
        for start in range(0, record.size_bytes, _PIECE_BYTES):
            length = min(_PIECE_BYTES, record.size_bytes - start)
            pieces.append(store.get_range(name, start, length))
            hashed.update(pieces[-1])
    except ObjectMissing:
        raise BlobMissing(f"{name}: is gone; run seec verify {store.url}") from None
    except ObjectUnreadable as error:
        raise BlobUnreadable(f"{name}: cannot be read ({error}); run seec verify") from None
    if hashed.hexdigest() != record.sha256:
        raise DigestMismatch(f"{name}: content differs from its digest; run seec verify")
    return pieces


def _another(source: Store, target: Store, sequence: int) -> DigestMismatch:
    return DigestMismatch(
        f"{target.url}: {commit_name(sequence)} is not that of {source.url}: one of both was set "
        "back, or committed to by another command than seec copy; nothing was copied. Compare them "
        "with seec ls --commits and copy to an empty place"
    )
