"""Check the records of an archive: archive.json, FORMAT.md.gz, commits, plans, models."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from seec.pipeline.archive.archive import Archive, beginning, read_object, read_recorded
from seec.pipeline.archive.history import Retained, read_commit
from seec.pipeline.archive.models import load_any_model
from seec.pipeline.archive.state import State
from seec.pipeline.storage import Store
from seec.pipeline.verify.faults import copy_back, fault
from seec.pipeline.verify.spares import check_spares
from seec.schemas.archive import (
    ARCHIVE_JSON,
    COMMITS,
    FORMAT_MD,
    ArchiveHeader,
    commit_name,
    commit_sequence,
    spared,
)
from seec.schemas.commit import FIRST, Changes, Commit, ObjectRecord, ShardRecord
from seec.schemas.errors import (
    FixityError,
    FormatError,
    ModelError,
    NotAnArchive,
    SectionCorrupt,
    SeecError,
    UnsupportedVersion,
)
from seec.schemas.removal import parse_removed
from seec.schemas.report import Checked, Finding
from seec.schemas.signature import parse_signature_name


@dataclass
class Records:
    """The readable records of an archive, and the result of each check.

    archive: in the state that all sound commits make, even if others are damaged. shards: of all
    kept states. models: ids of the models that load. expected_at: the commit after which the
    archive had the expected digest. heads: archive digests after commits, by number, as far as
    all commits are sound.
    """

    archive: Archive
    shards: list[ShardRecord] = field(default_factory=list[ShardRecord])
    models: frozenset[str] = frozenset()
    expected_at: int | None = None
    heads: dict[int, str] = field(default_factory=dict[int, str])
    checked: list[Checked] = field(default_factory=list)

    @property
    def state(self) -> State:
        """What counts."""
        return self.archive.state


def opened(store: Store, at: int | None = None) -> tuple[Archive, list[Finding]]:
    """The archive as of a commit, None is the last; and what is wrong with its commits.

    Without findings this is the state that counts. Where a commit that opening needs is damaged,
    this is the state that the sound commits make; not so with `at`, and not where a later version
    of SEEC wrote the archive: then the error is raised.
    """
    try:
        archive = Archive.open(store)
        return archive if at is None else archive.at(at), []
    except UnsupportedVersion:
        raise
    except (FixityError, FormatError):
        if at is not None:
            raise
        header, checked = _check_header(store)
        state, _, commits, _ = _check_commits(store, header)
        findings = [found for item in (*checked, *commits) for found in item.findings]
        if not findings:  # damage that did not last
            raise
        return Archive(store, header or ArchiveHeader("", 2), state), findings


def check_records(store: Store, expect: str | None = None) -> Records:
    """Check all objects but blobs, manifest and quarantine parts; and that no commits are missing.

    expect: what the archive digest must begin with, now or after an earlier commit that all later
    ones follow, or there is a finding.
    Raises NotAnArchive if there is neither archive.json nor a commit.
    """
    names = [item.name for item in store.listed()]  # before the commits, for the reason gc has
    header, checked = _check_header(store)
    state, retained, commits, heads = _check_commits(store, header)
    if header is None and not commits and checked[0].findings[0].kind.endswith("missing"):
        raise NotAnArchive(f"{store.url}: no {ARCHIVE_JSON} there; is this an archive?")
    checked += commits
    if not any(item.findings for item in commits):
        checked += _check_end(store, state, retained, names)
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
    digests = {record.name: record.sha256 for record in _named(header, state, retained)}
    sound = {item.object: not item.findings for item in checked}
    checked += check_spares(store, names, digests, sound)
    archive = Archive(store, header or ArchiveHeader("", 2), state)
    heads = {0: state.header_sha256, **heads} if header is not None else heads
    fits = [number for number, head in heads.items() if expect and head.startswith(expect)]
    if expect is not None and not fits:
        name, detail = commit_name(state.sequence), archive.unexpected(expect)
        found = Finding("digest-differs", name, detail, copy_back(store))
        checked.append(Checked(name, findings=(found,)))
    expected_at = max(fits, default=None)
    return Records(archive, retained.shards(), frozenset(models), expected_at, heads, checked)


def _named(
    header: ArchiveHeader | None, state: State, retained: Retained
) -> Iterator[ObjectRecord]:
    """What is named with a digest, beside shards."""
    if header is not None:
        yield ObjectRecord(FORMAT_MD, -1, header.format_sha256)
    yield from (run.plan for run in state.runs.values())
    yield from (removal.paths for removal in retained.removals.values())
    yield from retained.models()


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


def _damaged(
    store: Store, name: str, kind: str, detail: str, next_step: str | None = None
) -> Checked:
    found = Finding(f"{kind}-damaged", name, detail, next_step or copy_back(store))
    return Checked(name, findings=(found,))


def _check_header(store: Store) -> tuple[ArchiveHeader | None, list[Checked]]:
    try:
        header = ArchiveHeader.parse(read_object(store, ARCHIVE_JSON))
    except (FormatError, FixityError) as error:
        return None, [_fault(store, ARCHIVE_JSON, "archive-json", error)]
    first = read_commit(store, FIRST)
    if first is None or first.previous == header.sha256:
        return header, [Checked(ARCHIVE_JSON)]
    detail = "is not what the first commit says"
    return None, [_damaged(store, ARCHIVE_JSON, "archive-json", detail)]


def _check_end(
    store: Store, state: State, retained: Retained, names: Iterable[str]
) -> Iterator[Checked]:
    """A finding if objects tell that there were more commits. names: of all objects."""
    for name in names:
        commit = commit_sequence(spared(name) or "") or (parse_signature_name(name) or (0,))[0]
        if not retained.accounts_for(name) or commit > state.sequence:
            why = f"there is {name}" if commit else f"no commit opens the run of {name}"
            detail = f"is gone, and so may be later ones: {why}"
            missing = commit_name(state.sequence + 1)
            found = Finding("commit-missing", missing, detail, copy_back(store))
            yield Checked(missing, findings=(found,))
            return


def _check_commits(
    store: Store, header: ArchiveHeader | None
) -> tuple[State, Retained, list[Checked], dict[int, str]]:
    """Check every commit from the first on; build the state from the sound ones.

    Also the archive digest after each commit, as long as all are sound and follow each other.

    As long as all are sound, one that `State.apply` refuses is not.
    """
    present = Archive(store, ArchiveHeader("", 2), State()).sequences()
    if header is not None:
        state = beginning(header)
    else:
        first = read_commit(store, FIRST)
        previous = "" if first is None else first.previous
        state = State(last_commit_sha256=previous, header_sha256=previous)
    retained, checked, heads = Retained(), list[Checked](), dict[int, str]()
    previous, whole, last = state.last_commit_sha256, True, 0
    for sequence in present:
        name = commit_name(sequence)
        if sequence > last + 1:
            checked.append(_commits_gone(store, last + 1, sequence - 1))
            previous, whole = "", False
        last = sequence
        try:
            data = read_object(store, name)
            commit = Commit.parse(sequence, data)
        except (FormatError, FixityError) as error:
            checked.append(_fault(store, name, "commit", error))
            previous, whole = "", False
            continue
        digest = hashlib.sha256(data).hexdigest()
        detail = _refusal(commit, data, state) if whole else _contradiction(commit, state, previous)
        checked.append(_damaged(store, name, "commit", detail) if detail else Checked(name))
        whole = whole and not detail
        if whole:
            heads[sequence] = commit.head(data)
        state = _after(state, commit, digest)
        retained.apply(commit)
        previous = digest
    return state, retained, checked, heads


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
        before.header_sha256,
        commit.tree,
    )


def _expected(changes: Changes, before: State) -> dict[str, ShardRecord]:
    """The shards of earlier commits that still count after changes."""
    dropped = set(changes.dropped)
    shards = {name: s for name, s in before.shards.items() if name not in dropped}
    return shards | {s.shard: s for s in changes.repaired if s.shard in shards}


def _refusal(commit: Commit, data: bytes, before: State) -> str | None:
    """Why a commit cannot come after others, all of which are sound; None if it can."""
    try:
        before.apply(commit, data)
    except SectionCorrupt as error:
        return str(error)
    return None


def _contradiction(commit: Commit, before: State, previous: str) -> str | None:
    """How a commit contradicts earlier ones, None if not at all.

    previous: digest of the commit before, '' if that commit is not sound.
    """
    if previous and commit.previous != previous:
        return f"does not follow {COMMITS}/ as found: the commit before was replaced"
    expected = _expected(commit.changes, before)
    for shard in commit.changes.shards:
        if expected.get(shard.shard, shard) != shard:
            return f"names other objects for shard {shard.shard} than an earlier commit"
    return None
