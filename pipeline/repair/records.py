"""Put back objects from the same bytes elsewhere, which a recorded digest proves."""

import hashlib
from collections.abc import Collection, Iterator

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.history import Retained, read_commit
from seec.pipeline.archive.state import State
from seec.pipeline.repair.copies import objects_named, same_object, there, whole
from seec.pipeline.repair.parity import from_spare
from seec.pipeline.repair.parity import put as _put
from seec.pipeline.storage import Store
from seec.schemas.archive import (
    ARCHIVE_JSON,
    FORMAT_MD,
    SPARE,
    ArchiveHeader,
    commit_name,
    commit_sequence,
    spared,
)
from seec.schemas.commit import FIRST, Commit, ObjectRecord
from seec.schemas.errors import FixityError, FormatError
from seec.schemas.signature import parse_signature_name


def put_back_records(
    store: Store, copies: Collection[Store], format_md: bytes, models: Collection[bytes]
) -> Iterator[str]:
    """Mend all objects but blobs, manifest parts and quarantine parts; give the mended names.

    format_md: the description in this release. models: weights in this release. Both are used where
    their digests are the recorded ones. Spares of the archive itself come before copies.
    """
    spare = store.folder(SPARE)
    own_first = [spare, *copies]
    if _put_back_header(store, spare, copies):
        yield ARCHIVE_JSON
    yield from _put_back_commits(store, own_first)
    for record in _records(store):
        own = [data for data in (format_md, *models) if _sha256(data) == record.sha256]
        if whole(store, record) is not None:
            continue
        data = own[0] if own else from_spare(store, record) or same_object(copies, record)
        if data is not None and _put(store, record.name, data):
            yield record.name


def put_back(store: Store, copies: Collection[Store], record: ObjectRecord) -> bool:
    """Write a damaged object again if a copy has the recorded bytes. True if it is whole now."""
    if whole(store, record) is not None:
        return True
    data = same_object(copies, record)
    return data is not None and _put(store, record.name, data)


def _put_back_header(store: Store, spare: Store, copies: Collection[Store]) -> bool:
    """Take `archive.json` from a copy: the first commit, ours or that copy's, names its digest.

    spare: where the archive's own copies are; nothing has to prove that these are its own.
    """
    first = read_commit(store, FIRST)
    own = there(store, ARCHIVE_JSON) or b""
    if _header(own) is not None and (first is None or first.previous == _sha256(own)):
        return False
    for copy in (spare, *copies):
        data = there(copy, ARCHIVE_JSON) or b""
        ours = copy is spare or _share_a_commit(store, copy)
        known = first or (read_commit(copy, FIRST) if ours else None)
        if known is not None and known.previous == _sha256(data):
            return _put(store, ARCHIVE_JSON, data)
    return False


def _share_a_commit(store: Store, copy: Store) -> bool:
    names = (commit_name(sequence) for sequence in _sequences(store))
    mine = ((name, there(store, name)) for name in names)
    return any(data is not None and data == there(copy, name) for name, data in mine)


def _put_back_commits(store: Store, copies: Collection[Store]) -> Iterator[str]:
    """Take commits from copies: each names the digest of the one before, which proves the bytes.

    Also those that are missing at the end, if objects tell that there were some.
    """
    names = [item.name for item in store.listed()]
    retained, last = _retained(store), max(_sequences(store), default=0)
    spares = (commit_sequence(spared(name) or "") or 0 for name in names)
    signed = ((parse_signature_name(name) or (0,))[0] for name in names)
    told = max((*spares, *signed), default=0)
    more = not all(map(retained.accounts_for, names)) or told > last
    # Not all numbers up to the last one: a stray name may have any.
    known = {number for one in (store, *copies) for number in _sequences(one)}
    for sequence in sorted(number for number in known if number >= FIRST):
        if (sequence <= last or more) and read_commit(store, sequence) is None:
            data = _proven_commit(store, copies, sequence)
            if data is not None and _put(store, commit_name(sequence), data):
                yield commit_name(sequence)


def _proven_commit(store: Store, copies: Collection[Store], sequence: int) -> bytes | None:
    """A commit of a copy that the one after it, or the one before, says is ours."""
    before = there(store, commit_name(sequence - 1) if sequence > FIRST else ARCHIVE_JSON)
    after = read_commit(store, sequence + 1)
    for data in objects_named(copies, commit_name(sequence)):
        commit = _parse(sequence, data)
        follows = commit is not None and commit.previous == (_sha256(before) if before else "")
        if commit is not None and (after.previous == _sha256(data) if after else follows):
            return data
    return None


def _retained(store: Store) -> Retained:
    """What all sound commits name."""
    retained = Retained()
    for sequence in _sequences(store):
        commit = read_commit(store, sequence)
        if commit is not None:
            retained.apply(commit)
    return retained


def _records(store: Store) -> list[ObjectRecord]:
    """The objects beside shards that commits and `archive.json` name, each once."""
    retained = _retained(store)
    header = _header(there(store, ARCHIVE_JSON) or b"")
    found = {} if header is None else {FORMAT_MD: ObjectRecord(FORMAT_MD, -1, header.format_sha256)}
    found |= {run.plan.name: run.plan for run in retained.runs.values()}
    found |= {record.name: record for record in retained.models()}
    return [*found.values(), *(removal.paths for removal in retained.removals.values())]


def _sequences(store: Store) -> list[int]:
    return Archive(store, ArchiveHeader("", 2), State()).sequences()


def _header(data: bytes) -> ArchiveHeader | None:
    try:
        return ArchiveHeader.parse(data)
    except (FormatError, FixityError):
        return None


def _parse(sequence: int, data: bytes) -> Commit | None:
    try:
        return Commit.parse(sequence, data)
    except (FormatError, FixityError):
        return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
