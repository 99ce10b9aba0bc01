"""Find and remove what no commit names: leftovers of runs that were interrupted or given up.

No lock is taken: readers and a writer may be at work. Why what counts is never removed:

- *Listed first, commits read after.* A writer puts objects first and the commit that names them
  last. So whatever a later commit names was either there when we listed, and then the question
  is whether it can still come to count, or it came after, and then we do not know of it.
- *What can still come to count?* Blobs, manifest parts and quarantine parts are written only
  after the commit that opens their run, and commits add shards to the last run only. So those of
  the last run, while it is unfinished, stay: a rerun finds them and goes on. Those of a run that is
  complete, or that another run followed, cannot be named by any commit to come: a commit may name
  the blob of an earlier shard again, but only one that counts in the state before that commit.
- *Models* count while a shard of a state that is kept has rows that need them.
- *Models, plans, parity and lists of removed paths* that do not count may be taken up at any time
  by a writer that finds the same bytes there and names them. So may what a repair puts beside a
  damaged object, under a name with a suffix. Both sides look again: we remove such an object, then
  read the commits, and put it back if one names it; the writer commits, then looks whether the
  object is there, and puts it back if not. Whichever of the two comes first, the other one sees it.
- *Spares* stay as long as what they are of is there, and can be made again from that.
- *States that are kept* are those of all commits, or of those from the `oldest` that a commit
  states. What was dropped before that, and what was damaged before it was repaired, no state needs.
- *Uploads* that were begun and not completed are no objects, and nothing goes on with them: a rerun
  begins anew. Should one be given up while its writer is at it, the writer begins anew, too.
- *Grace.* What is young stays, by the times the store gives: of the object, or of the commit that
  dropped it, if that is later. This is for readers, who may still be at what they saw when they
  opened the archive; for partial files, which a writer may be writing now; and for the mistakes of
  people and clocks. What counts stays without it.

History must be whole to say what does not count. Every commit is read, from the first, and a
damaged or missing one is an error. Should the last ones be gone, nothing in the commits tells;
but blobs of a run that no commit names do, and they are an error too: no crash leaves such.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from seec.pipeline.archive.archive import Archive, read_object
from seec.pipeline.archive.history import History
from seec.pipeline.storage import Listed, Store, Upload
from seec.schemas.archive import (
    ARCHIVE_JSON,
    COMMITS,
    FORMAT_MD,
    MODEL,
    PARITY,
    PLAN,
    REMOVED,
    REPORTS,
    SPARE,
    commit_name,
    commit_sequence,
    has_suffix,
    parse_name,
    spared,
)
from seec.schemas.commit import FIRST
from seec.schemas.errors import (
    BlobMissing,
    FixityError,
    FormatError,
    StorageError,
    StoreUnavailable,
    TransientStorageError,
)
from seec.schemas.signature import parse_signature_name

PARTIAL, REPORT, UPLOAD = "partial", "report", "upload"


@dataclass(frozen=True)
class Leftover:
    """An object that no commit names, and its kind.

    age_s: since it was written, or since a commit dropped it; None where the store gives no time.

    upload_id: of an upload that was begun, and would have become an object of this name.
    """

    name: str
    kind: str
    size_bytes: int
    age_s: float | None
    upload_id: str | None = None


@dataclass
class Survey:
    """What lies in an archive and does not count.

    garbage: may be removed. young: may be removed once it is older. unfinished: of the run that
    is not complete. strangers: names that are not ours, which nothing here removes. unlisted: why
    uploads that were begun are not known, None if they are.
    """

    garbage: list[Leftover] = field(default_factory=list[Leftover])
    young: list[Leftover] = field(default_factory=list[Leftover])
    unfinished: list[Leftover] = field(default_factory=list[Leftover])
    strangers: list[str] = field(default_factory=list[str])
    unfinished_run: str | None = None
    unlisted: str | None = None

    def sort_by_age(self, leftover: Leftover, older_than_s: float) -> None:
        """Take in one more that does not count; with 0, whatever its age, as garbage."""
        age_s = leftover.age_s
        young = older_than_s > 0 and (age_s is None or age_s < older_than_s)
        (self.young if young else self.garbage).append(leftover)


def oldest_kept(archive: Archive, count: int | None, since_s: float | None) -> int:
    """The first commit whose state is kept if the last so many are, and those since a time.

    count, since_s: None keeps none for that reason; the last one is kept all the same. since_s:
    seconds since 1970, by the store's clock; a commit of which that says nothing is kept. Commits
    that only gave up states do not count: to ask for the same once more gives up nothing.
    """
    changing = [step.sequence for step in History(archive).steps() if step.changes]
    keep = min(len(changing), max(1, count or 0))
    if since_s is not None:
        times = {item.name: item.modified_s for item in archive.store.listed(COMMITS)}
        written = [times.get(commit_name(sequence)) for sequence in changing]
        late = (i for i, time_s in enumerate(written) if time_s is None or time_s >= since_s)
        keep = max(keep, len(changing) - next(late, len(changing)))
    return changing[-keep] if keep < len(changing) else FIRST


def survey(store: Store, older_than_s: float, reports: bool = False, oldest: int = FIRST) -> Survey:
    """What no state that is kept needs. Changes nothing.

    oldest: as if states of commits before this one were given up.

    older_than_s: younger objects are none of the garbage; 0 means whatever their age. reports:
    old reports are garbage, too. NotAnArchive if there is none; FormatError or FixityError if
    a commit is damaged or gone.
    """
    archive = Archive.open(store)
    listing = store.listed()
    history = History(archive)
    history.refresh()
    history.retained.oldest = max(history.retained.oldest, oldest)
    named = history.retained.names()
    unfinished = history.state.open_run
    found = Survey(unfinished_run=unfinished.run_id if unfinished else None)
    now = time.time()
    for upload in _uploads(store, found):
        age_s = now - upload.begun_s
        leftover = Leftover(upload.name, UPLOAD, upload.size_bytes, age_s, upload.id)
        found.sort_by_age(leftover, older_than_s)
    times = {item.name: item.modified_s for item in listing}
    for item in listing:
        of = spared(item.name) or item.name
        if of in named or _always_there(of):
            continue
        kind, run_id = _kind(item)
        if kind is None:
            found.strangers.append(item.name)
            continue
        if kind == REPORT and not reports:
            continue
        if not history.retained.accounts_for(item.name):
            raise _commits_missing(store, history, item.name)
        since_s = _unneeded_since(item, history, times)
        age_s = None if since_s is None else now - since_s
        leftover = Leftover(item.name, kind, item.size_bytes, age_s)
        if run_id is not None and run_id == found.unfinished_run:
            found.unfinished.append(leftover)
        else:
            found.sort_by_age(leftover, older_than_s)
    return found


def remove(
    store: Store, garbage: list[Leftover], on_object: Callable[[], None] = lambda: None
) -> list[Leftover]:
    """Remove the garbage of a survey. Returns what was removed: all that does not count by now.

    on_object: told of each object that was looked at. May be interrupted at any point, and done
    again.
    """
    history = History(Archive.open(store))
    removed: list[Leftover] = []
    for item in garbage:
        if item.upload_id is not None:
            store.abort(item.name, item.upload_id)
            removed.append(item)
        elif item.kind not in (MODEL, PARITY, PLAN, REMOVED) and not has_suffix(item.name):
            store.remove(item.name)
            removed.append(item)
        elif _remove_unless_named(store, history, item.name):
            removed.append(item)
        on_object()
    return removed


def _remove_unless_named(store: Store, history: History, name: str) -> bool:
    """Remove an object, and put it back if a commit came to name it."""
    history.refresh()
    if name in history.retained.names():
        return False
    try:
        data = read_object(store, name)  # to put it back
    except (FixityError, FormatError):
        return False
    store.remove(name)
    history.refresh()
    if name in history.retained.names():
        store.put_same(name, data)
        return False
    return True


def _uploads(store: Store, found: Survey) -> list[Upload]:
    """Uploads that were begun; none, and a note of why, if this store does not tell."""
    try:
        return store.uploads()
    except (StoreUnavailable, TransientStorageError):
        raise
    except StorageError as error:
        found.unlisted = str(error)
        return []


def _unneeded_since(
    item: Listed, history: History, times: Mapping[str, float | None]
) -> float | None:
    """From when on no state names an object; times: of commits, when they were written."""
    sequence = history.retained.freed_by.get(item.name)
    dropped_s = item.modified_s if sequence is None else times.get(commit_name(sequence))
    if item.modified_s is None or dropped_s is None:
        return None
    return max(item.modified_s, dropped_s)


def _always_there(name: str) -> bool:
    numbered = commit_sequence(name) is not None or parse_signature_name(name) is not None
    return name in (ARCHIVE_JSON, FORMAT_MD) or numbered


def _kind(item: Listed) -> tuple[str | None, str | None]:
    """Kind and run of an object; no kind for what is not ours."""
    if item.partial:
        return PARTIAL, None
    if item.name.startswith(f"{REPORTS}/"):
        return REPORT, None
    if spared(item.name) is not None:
        return SPARE, None
    return parse_name(item.name) or (None, None)


def _commits_missing(store: Store, history: History, name: str) -> BlobMissing:
    following = commit_name(history.state.sequence + 1)
    return BlobMissing(
        f"{name}: no commit opens its run, so {following} or what replaced it is gone; copy "
        f"commits from another copy of the archive, then: seec verify {store.url}"
    )
