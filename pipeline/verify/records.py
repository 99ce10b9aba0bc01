"""Check the records of an archive: archive.json, FORMAT.md.gz, commits, plans, models."""

import hashlib
import shlex
from dataclasses import dataclass, field

from seec.pipeline.archive.archive import Archive, read_object, read_recorded
from seec.pipeline.archive.history import Retained
from seec.pipeline.archive.models import load_any_model
from seec.pipeline.archive.state import State
from seec.pipeline.storage import Store
from seec.schemas.archive import ARCHIVE_JSON, COMMITS, FORMAT_MD, ArchiveHeader, commit_name
from seec.schemas.commit import FIRST, Changes, Commit, ObjectRecord, ShardRecord
from seec.schemas.errors import (
    BlobMissing,
    BlobUnreadable,
    FixityError,
    FormatError,
    ModelError,
    NotAnArchive,
    ObjectMissing,
    ObjectUnreadable,
    SeecError,
)
from seec.schemas.removal import parse_removed
from seec.schemas.report import Checked, Finding

Paths = tuple[str, ...]


@dataclass
class Records:
    """The readable records of an archive, and the result of each check.

    state: built from every sound commit, even if others are damaged. shards: of all kept states.
    models: ids of the models that load.
    """

    state: State
    shards: list[ShardRecord] = field(default_factory=list[ShardRecord])
    models: frozenset[str] = frozenset()
    checked: list[Checked] = field(default_factory=list)


def copy_back(store: Store) -> str:
    """The next step for an object that only another copy of the archive can mend."""
    return f"seec repair {shlex.quote(store.url)} --from COPY"


def mend(store: Store) -> str:
    """The next step for a part of a shard, which the source may mend."""
    return f"seec repair {shlex.quote(store.url)}"


def check_records(store: Store) -> Records:
    """Check all objects but blobs, manifest and quarantine parts.

    Raises NotAnArchive if there is neither archive.json nor a commit.
    """
    header, checked = _check_header(store)
    state, retained, commits = _check_commits(store)
    if header is None and not commits and checked[0].findings[0].kind.endswith("missing"):
        raise NotAnArchive(f"{store.url}: no {ARCHIVE_JSON} there; is this an archive?")
    checked += commits
    if header is not None:
        record = ObjectRecord(FORMAT_MD, -1, header.format_sha256)
        checked.append(check_object(store, record, "format-md")[0])
    checked += [check_object(store, run.plan, "plan")[0] for run in state.runs.values()]
    checked += [_check_removed(store, r.paths) for r in retained.removals.values()]
    models: set[str] = set()
    for record in retained.models():
        result, data = check_object(store, record, "model")
        if data is not None and not result.findings:
            try:
                models.add(load_any_model(data).id)
            except (ModelError, FormatError) as error:
                result = _damaged(store, record.name, "model", str(error))
        checked.append(result)
    return Records(state, retained.shards(), frozenset(models), checked)


def check_object(
    store: Store, record: ObjectRecord, kind: str, next_step: str | None = None
) -> tuple[Checked, bytes | None]:
    """Compare an object with its record; return the result, and the bytes if they are sound.

    kind: of the finding, see `fault`. next_step: the next command; None is that of `copy_back`.
    """
    try:
        return Checked(record.name), read_recorded(store, record)
    except (FixityError, FormatError) as error:
        return _fault(store, record.name, kind, error, next_step), None


def _check_removed(store: Store, record: ObjectRecord) -> Checked:
    checked, data = check_object(store, record, "removed")
    if data is None or checked.findings:
        return checked
    try:
        parse_removed(record.name, data)
    except FormatError as error:
        return _damaged(store, record.name, "removed", str(error))
    return checked


def _fault(
    store: Store, name: str, kind: str, error: SeecError, next_step: str | None = None
) -> Checked:
    """What is wrong with an object that cannot be had."""
    return Checked(name, findings=(fault(name, kind, error, next_step or copy_back(store)),))


def fault(name: str, kind: str, error: SeecError, next_step: str, paths: Paths = ()) -> Finding:
    """The finding `<kind>-missing`, `<kind>-unreadable` or `<kind>-damaged`, by what was raised."""
    if isinstance(error, BlobMissing | ObjectMissing):
        return Finding(f"{kind}-missing", name, "is gone", next_step, paths)
    if isinstance(error, BlobUnreadable | ObjectUnreadable):
        return Finding(f"{kind}-unreadable", name, str(error), next_step, paths)
    return Finding(f"{kind}-damaged", name, str(error), next_step, paths)


def _damaged(
    store: Store, name: str, kind: str, detail: str, next_step: str | None = None
) -> Checked:
    found = Finding(f"{kind}-damaged", name, detail, next_step or copy_back(store))
    return Checked(name, findings=(found,))


def _check_header(store: Store) -> tuple[ArchiveHeader | None, list[Checked]]:
    try:
        return ArchiveHeader.parse(read_object(store, ARCHIVE_JSON)), [Checked(ARCHIVE_JSON)]
    except (FormatError, FixityError) as error:
        return None, [_fault(store, ARCHIVE_JSON, "archive-json", error)]


def _check_commits(store: Store) -> tuple[State, Retained, list[Checked]]:
    """Check every commit from the first on; build the state from the sound ones."""
    present = Archive(store, ArchiveHeader("", 1), State()).sequences()
    state, retained = State(), Retained()
    checked: list[Checked] = []
    previous: str | None = ""
    whole, last = True, 0
    for sequence in present:
        name = commit_name(sequence)
        if sequence > last + 1:
            checked.append(_commits_gone(store, last + 1, sequence - 1))
            previous, whole = None, False
        last = sequence
        try:
            data = read_object(store, name)
            commit = Commit.parse(sequence, data)
        except (FormatError, FixityError) as error:
            checked.append(_fault(store, name, "commit", error))
            previous, whole = None, False
            continue
        digest = hashlib.sha256(data).hexdigest()
        detail = _contradiction(commit, state, previous)
        if whole:
            detail = detail or _told_wrong(commit, state)
        checked.append(_damaged(store, name, "commit", detail) if detail else Checked(name))
        state = _after(state, commit, digest)
        retained.note(commit)
        previous = digest
    return state, retained, checked


def _commits_gone(store: Store, first: int, last: int) -> Checked:
    """One finding for all of a gap: a number in a name says nothing of how many there were."""
    name = commit_name(first)
    detail = "is gone" if first == last else f"is gone, and all that follow up to {last}"
    return Checked(name, findings=(Finding("commit-missing", name, detail, copy_back(store)),))


def _after(before: State, commit: Commit, digest: str) -> State:
    """The state after a commit, as far as the sound commits before it tell."""
    recap = None if commit.recap is None else commit.recap.changes
    changes = commit.changes if recap is None else recap.then(commit.changes)
    shards = _expected(changes, before) | {shard.shard: shard for shard in changes.shards}
    known = before.removals
    return State(
        commit.sequence,
        digest,
        before.runs | {run.run_id: run for run in changes.runs},
        shards,
        (*known, *(removal for removal in changes.removed if removal not in known)),
        max(before.oldest, changes.oldest or FIRST),
        before.links_after(commit, digest),
    )


def _expected(changes: Changes, before: State) -> dict[str, ShardRecord]:
    """The shards of earlier commits that still count after changes."""
    dropped = set(changes.dropped)
    shards = {name: s for name, s in before.shards.items() if name not in dropped}
    return shards | {s.shard: s for s in changes.repaired if s.shard in shards}


def _contradiction(commit: Commit, before: State, previous: str | None) -> str | None:
    """How a commit contradicts earlier ones, None if not at all.

    previous: digest of the commit before, None if that commit is not sound.
    """
    if previous is not None and commit.previous != previous:
        return f"does not follow {COMMITS}/ as found: the commit before was replaced"
    expected = _expected(commit.changes, before)
    for shard in commit.changes.shards:
        if expected.get(shard.shard, shard) != shard:
            return f"names other objects for shard {shard.shard} than an earlier commit"
    return None


def _told_wrong(commit: Commit, before: State) -> str | None:
    """What a commit says wrongly of the commits before it, all of which are sound."""
    if commit.recap is not None and commit.recap != before.recap(commit.recap.since):
        return "its recap is not what the commits before it say"
    return None
