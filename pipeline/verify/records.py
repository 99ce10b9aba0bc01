"""Check what an archive says of itself: archive.json, FORMAT.md, commits, plans, models."""

import hashlib
import shlex
from dataclasses import dataclass, field

from pipeline.archive.archive import Archive
from pipeline.archive.state import State
from pipeline.codec.weights import load_model
from pipeline.storage import Store
from schemas.archive import ARCHIVE_JSON, COMMITS, FORMAT_MD, ArchiveHeader, commit_name
from schemas.commit import Commit, ObjectRecord
from schemas.errors import FixityError, FormatError, ModelError, NotAnArchive, ObjectMissing
from schemas.report import Checked, Finding


@dataclass
class Records:
    """What could be read of the records, and everything checked on the way.

    state: built from every sound commit, also where others are damaged. models: ids of the
    models that load.
    """

    state: State
    models: frozenset[str] = frozenset()
    checked: list[Checked] = field(default_factory=list)


def copy_back(store: Store, name: str) -> str:
    """The next step for an object of which only another copy of the archive can help."""
    url = shlex.quote(store.url)
    return f"copy {shlex.quote(name)} from another copy of the archive, then: seec verify {url}"


def check_records(store: Store) -> Records:
    """Check all objects but blobs, manifest and quarantine parts.

    NotAnArchive if there is neither archive.json nor a commit.
    """
    header, checked = _check_header(store)
    state, commits = _check_commits(store)
    if header is None and not commits and not checked[0].findings[0].kind.endswith("damaged"):
        raise NotAnArchive(f"{store.url}: no {ARCHIVE_JSON} there; is this an archive?")
    checked += commits
    if header is not None:
        record = ObjectRecord(FORMAT_MD, -1, header.format_md_sha256)
        checked.append(check_object(store, record, "format-md")[0])
    checked += [check_object(store, run.plan, "plan")[0] for run in state.runs.values()]
    models: set[str] = set()
    for record in state.models.values():
        result, data = check_object(store, record, "model")
        if data is not None and not result.findings:
            try:
                models.add(load_model(data).id)
            except (ModelError, FormatError) as error:
                result = _damaged(store, record.name, "model", str(error))
        checked.append(result)
    return Records(state, frozenset(models), checked)


def check_object(store: Store, record: ObjectRecord, kind: str) -> tuple[Checked, bytes | None]:
    """Compare an object with its record; returns its bytes if it is there.

    kind: makes the finding `<kind>-missing` or `<kind>-damaged`.
    """
    try:
        data = store.get(record.name)
    except ObjectMissing:
        gone = Finding(f"{kind}-missing", record.name, "is gone", copy_back(store, record.name))
        return Checked(record.name, findings=(gone,)), None
    if hashlib.sha256(data).hexdigest() != record.sha256:
        return _damaged(store, record.name, kind, "content differs from its digest"), data
    return Checked(record.name), data


def _damaged(store: Store, name: str, kind: str, detail: str) -> Checked:
    found = Finding(f"{kind}-damaged", name, detail, copy_back(store, name))
    return Checked(name, findings=(found,))


def _check_header(store: Store) -> tuple[ArchiveHeader | None, list[Checked]]:
    try:
        return ArchiveHeader.parse(store.get(ARCHIVE_JSON)), [Checked(ARCHIVE_JSON)]
    except ObjectMissing:
        kind, detail = "archive-json-missing", "is gone"
    except (FormatError, FixityError) as error:
        kind, detail = "archive-json-damaged", str(error)
    found = Finding(kind, ARCHIVE_JSON, detail, copy_back(store, ARCHIVE_JSON))
    return None, [Checked(ARCHIVE_JSON, findings=(found,))]


def _check_commits(store: Store) -> tuple[State, list[Checked]]:
    """Every commit from the first on. Commits only add, so each sound one can be used."""
    present = set(Archive(store, ArchiveHeader("", 1), State()).sequences())
    state = State()
    checked: list[Checked] = []
    previous: str | None = ""
    for sequence in range(1, max(present, default=0) + 1):
        name = commit_name(sequence)
        if sequence not in present:
            gone = Finding("commit-missing", name, "is gone", copy_back(store, name))
            checked.append(Checked(name, findings=(gone,)))
            previous = None
            continue
        data = store.get(name)
        digest = hashlib.sha256(data).hexdigest()
        try:
            commit = Commit.parse(sequence, data)
        except (FormatError, FixityError) as error:
            checked.append(_damaged(store, name, "commit", str(error)))
            previous = None
            continue
        runs = state.runs | {run.run_id: run for run in commit.runs}
        shards = state.shards | {shard.shard: shard for shard in commit.shards}
        detail = _contradiction(commit, state, previous)
        checked.append(_damaged(store, name, "commit", detail) if detail else Checked(name))
        state = State(sequence, digest, runs, shards)
        previous = digest
    return state, checked


def _contradiction(commit: Commit, before: State, previous: str | None) -> str | None:
    """In what a commit contradicts the ones before it; previous is None if that is not sound."""
    if previous is not None and commit.previous != previous:
        return f"does not follow {COMMITS}/ as found: the commit before was replaced"
    for shard in commit.shards:
        if before.shards.get(shard.shard, shard) != shard:
            return f"names other objects for shard {shard.shard} than an earlier commit"
    if commit.checkpoint and before.shards.keys() - {shard.shard for shard in commit.shards}:
        return "a checkpoint that leaves out shards of earlier commits"
    return None
