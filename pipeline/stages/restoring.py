"""Restoring: rows to files below a target, with a bounded amount of work in flight."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.pieces import holders
from seec.pipeline.archive.shard import by_blob, readable_payloads
from seec.pipeline.images.files import has_comments
from seec.pipeline.reading.pieces import contents
from seec.pipeline.routes.reading import restore
from seec.pipeline.stages.executor import Executor, Task, fetch
from seec.pipeline.stages.process import give_memory_back
from seec.pipeline.stages.verifying import group_rows
from seec.pipeline.stages.window import Failed, Steps, Window
from seec.pipeline.storage import Store, Target
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import (
    FormatError,
    ObjectExists,
    ObjectUnreadable,
    SeecError,
    StorageError,
    StoreUnavailable,
)
from seec.schemas.kinds import DIRECTORY, FILE, LINK
from seec.schemas.names import folded, key_as_path
from seec.schemas.routes import PIECES
from seec.schemas.rows import Row

RESTORED, KEPT, SKIPPED, FAILED = "restored", "kept", "skipped", "failed"


@dataclass(frozen=True)
class Restored:
    """What became of one path: outcome, its size, and the reason if it failed.

    background_error: of a file that came back with a lossy background, as in `seec.schemas.loss`.
    noted: whether the file itself says so. kind: as in `seec.schemas.kinds`. bare: whether the
    target did not keep permissions or time.
    """

    path: str
    outcome: str
    size_bytes: int = 0
    error: str = ""
    reason: str = ""
    background_error: int | None = None
    noted: bool = False
    kind: str = FILE
    bare: bool = False


@dataclass(frozen=True)
class Work:
    """Rows of one blob that are restored together.

    first_names: of a file that was restored under another path already, that path. collides: other
    files have the same names but for case and Unicode normal form, which the target may not tell
    apart. holders: shards that may hold pieces of the one file that this is, if it is in pieces.
    """

    blob: str
    rows: list[Row]
    first_names: dict[str, str] = field(default_factory=dict[str, str])
    collides: bool = False
    holders: tuple[ShardRecord, ...] = ()

    def parts(self) -> "list[Work]":
        """Each row alone."""
        return [replace(self, rows=[row]) for row in self.rows]


class Restoration:
    """Restores shards: files first, then what must not be there before them.

    Further names of a file need the file. A symbolic link may stand where another row, by mistake
    or malice, wants a folder: it comes after all files, so that none is written through it. The
    permissions and times of folders come last, from the inside out: they may forbid writing, and
    writing changes them. Until then nobody but its owner can enter a folder that is not for all,
    also if the restore never ends. Memory grows with the number of links and folders.

    lacks: whether the target has no place for some of what the rows say. written_as: of keys that
    are no paths of files, the path by the key; see `seec.schemas.names.key_as_path`.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        overwrite: bool,
        executor: Executor,
        kept: Collection[ShardRecord],
    ) -> None:
        """kept: the shards that count, among which those with pieces of files are."""
        self._executor, cpus = executor, executor.placement.cpus
        self._store, self._target = store.shared_by(cpus), target.shared_by(cpus)
        self._kept = kept
        self._overwrite = overwrite
        self._in_flight = 2 * cpus
        self.lacks = False
        self.written_as: dict[str, str] = {}
        self._hard_links: list[tuple[str, Row, str]] = []
        self._links: list[tuple[str, Row]] = []
        self._folders: list[Row] = []
        self._collisions: list[tuple[str, Row]] = []
        self._colliding_folders: set[str] = set()
        self._skipped: list[Restored] = []
        self._awaited: set[str] = set()
        self._named: set[str] = set()
        self._folded: set[str] | None = None

    def run(self, shards: Iterable[tuple[ShardRecord, list[Row]]]) -> Iterator[list[Restored]]:
        """Restore rows, and yield what became of each group as it is done.

        A group that takes its worker down is tried again row by row; a row that does so has failed.
        """
        if fetch(self._executor, _FOLDS_NAMES, self._target):
            self._folded = set()
        yield from self._carry_out(self._files(shards))
        yield from self._carry_out(_each(self._collisions, collides=True))
        yield from self._carry_out(self._further_names())
        yield from self._carry_out(_each(self._links))
        if self._folders:
            what = (self._target, self._folders, self._colliding_folders)
            made = fetch(self._executor, _FOLDERS, *what)
            self._note(made)
            yield made
        if self._skipped:
            yield self._skipped

    def _files(self, shards: Iterable[tuple[ShardRecord, list[Row]]]) -> Iterator[Work]:
        for shard, rows in shards:
            firsts: dict[str, str] = {}
            rows = [self._placed(row) for row in rows]
            private = [row for row in rows if row.kind == DIRECTORY and not _is_for_all(row)]
            if private and self._target.is_local:
                fetch(self._executor, _PRIVATE_FOLDERS, self._target, private)
            files = [row for row in rows if self._comes_first(shard, row, firsts)]
            for blob, some in by_blob(shard, files):
                yield from (Work(blob, group) for group in group_rows(some))

    def _placed(self, row: Row) -> Row:
        """A row by the path that it gets in the target."""
        if self._target.keeps_keys or not row.is_key:
            return row
        key = row.path[:-1] if row.is_marker else row.path
        path = key_as_path(key)
        if path != key:
            self.written_as[row.path] = path
        return row if path == row.path else replace(row, path=path)

    def _comes_first(self, shard: ShardRecord, row: Row, firsts: dict[str, str]) -> bool:
        """Whether to restore a row now; if not, remember it.

        firsts: of the files of this shard, the first path each that is restored.
        """
        blob = row.blob or shard.blob.name
        is_object = row.kind == FILE or (row.is_marker and self._target.keeps_keys)
        if not self._target.is_local and (not is_object or row.permissions is not None):
            self.lacks = True
        if not self._target.is_local and not is_object:
            self._skipped.append(Restored(row.path, SKIPPED, kind=row.kind))
        elif self._target.is_local and row.kind == DIRECTORY:
            self._folders.append(row)
            if self._collides(row):
                self._colliding_folders.add(row.path)
        elif self._collides(row):
            self._collisions.append((blob, row))
        elif row.kind == LINK:
            self._links.append((blob, row))
        elif self._target.is_local and row.same_file in firsts:
            self._hard_links.append((blob, row, firsts[row.same_file]))
            self._awaited.add(firsts[row.same_file])
        else:
            firsts.setdefault(row.same_file or row.path, row.path)
            return True
        return False

    def _collides(self, row: Row) -> bool:
        if self._folded is None:
            return False
        known = len(self._folded)
        self._folded.add(folded(row.path))
        return len(self._folded) == known

    def _further_names(self) -> Iterator[Work]:
        for blob, row, first in self._hard_links:
            names = {row.path: first} if first in self._named else {}
            yield Work(blob, [row], names)

    def _carry_out(self, works: Iterable[Work]) -> Iterator[list[Restored]]:
        todo = iter(works)
        window: Window[Work, list[Restored]] = Window(
            self._executor, self._steps, split=Work.parts, most=self._in_flight
        )
        for work, outcome in window.results(lambda: next(todo, None)):
            if isinstance(outcome, Failed):
                (row,) = work.rows
                crash = FormatError(f"{row.path}: decoding it takes the worker down")
                done = [_failed(row, crash)]
            else:
                done = outcome
            restored = {item.path for item in done if item.outcome == RESTORED}
            self._named |= restored & self._awaited
            self._note(done)
            yield done

    def _note(self, done: list[Restored]) -> None:
        self.lacks = self.lacks or (self._target.is_local and any(item.bare for item in done))

    def _steps(self, work: Work, suspect: bool) -> Steps[list[Restored]]:
        if any(row.route == PIECES for row in work.rows):
            found = holders(self._kept, work.rows[0].path)
            work = replace(work, holders=tuple(found))
        what = (self._store, work, self._target, self._overwrite)
        return (yield self._executor.submit(_ROWS, *what))


def _each(rows: Iterable[tuple[str, Row]], *, collides: bool = False) -> Iterator[Work]:
    """Work on rows in the order in which they were put aside; neighbours of one blob together."""
    for blob, group in groupby(rows, key=lambda pair: pair[0]):
        for part in group_rows(row for _, row in group):
            yield Work(blob, part, collides=collides)


def _restore_rows(store: Store, work: Work, target: Target, overwrite: bool) -> list[Restored]:
    done = list(restore_rows(store, work, target, overwrite))
    give_memory_back()
    return done


def _restore_folders(target: Target, rows: list[Row], colliding: set[str]) -> list[Restored]:
    # A path comes before those below it, so backwards is from the inside out.
    in_order = sorted(rows, key=lambda row: row.path, reverse=True)
    attempts = (_attempt(row, _make_folder, target, row.path in colliding) for row in in_order)
    return [done for done in attempts if done is not None]


def _make_private(target: Target, rows: list[Row]) -> None:
    # What cannot be made is told when the folder gets its permissions.
    for row in rows:
        with suppress(SeecError):
            target.make_private(row.path)


def _is_for_all(row: Row) -> bool:
    """Whether everyone may list and enter a directory."""
    return row.permissions is None or row.permissions & 0o055 == 0o055


_ROWS, _FOLDERS = Task(_restore_rows), Task(_restore_folders)
_PRIVATE_FOLDERS = Task(_make_private)
_FOLDS_NAMES = Task(Target.folds_names)


def restore_rows(store: Store, work: Work, target: Target, overwrite: bool) -> Iterator[Restored]:
    """Restore rows of one blob; what cannot be restored is reported, not raised.

    StoreUnavailable is: it is about no file.
    """
    wanted: deque[Row] = deque()
    for row in work.rows:
        done = _attempt(row, _without_content, work, target, overwrite)
        if done is None:
            wanted.append(row)
        else:
            yield done
    try:
        for row, payload in readable_payloads(store, work.blob, list(wanted)):
            done = _attempt(row, _with_content, store, work, payload, target, overwrite)
            assert done is not None
            yield done
            wanted.popleft()
    except StoreUnavailable:
        raise
    except StorageError as error:
        yield from (_failed(row, error) for row in wanted)


def _attempt(row: Row, action: Callable[..., Restored | None], *rest: Any) -> Restored | None:
    """What became of a row by this action, or by what it raised."""
    try:
        return action(row, *rest)
    except ObjectExists:
        return Restored(row.path, KEPT, kind=row.kind)
    except StoreUnavailable:
        raise
    except SeecError as error:
        return _failed(row, error)
    except MemoryError:
        return _failed(row, FormatError(f"{row.path}: takes more memory than there is"))


def _without_content(row: Row, work: Work, target: Target, overwrite: bool) -> Restored | None:
    """What became of a row for which no payload is needed; None if one is."""
    if work.collides:
        target.check_collision(row.path)
    if not overwrite and target.exists(row.path):
        return Restored(row.path, KEPT, kind=row.kind)
    first = work.first_names.get(row.path)
    if first is not None and target.write_hard_link(row.path, first, overwrite=overwrite):
        return _restored(row, 0)
    return None


def _with_content(
    row: Row,
    store: Store,
    work: Work,
    payload: bytes | ObjectUnreadable,
    target: Target,
    overwrite: bool,
) -> Restored:
    if isinstance(payload, ObjectUnreadable):
        raise payload
    if row.route == PIECES:
        kept = target.write_chunks(
            row.path,
            lambda: contents(store, work.holders, row, payload),
            row.source_size_bytes,
            permissions=row.permissions,
            mtime_ns=row.source_mtime_ns,
            overwrite=overwrite,
        )
        return replace(_restored(row, row.source_size_bytes), bare=not kept)
    data = restore(row, payload, archived_models(store, [row]))
    mtime_ns = row.source_mtime_ns
    if row.kind == LINK:
        target.write_link(row.path, data, mtime_ns=mtime_ns, overwrite=overwrite)
        return _restored(row, len(data))
    permissions = row.permissions
    kept = target.write_file(
        row.path, data, permissions=permissions, mtime_ns=mtime_ns, overwrite=overwrite
    )
    return replace(_restored(row, len(data)), bare=not kept)


def _make_folder(row: Row, target: Target, collides: bool) -> Restored:
    if collides:
        target.check_collision(row.path)
    kept = target.make_folder(row.path, row.permissions, row.source_mtime_ns)
    return replace(_restored(row, 0), bare=not kept)


def _restored(row: Row, size_bytes: int) -> Restored:
    lossy = row.background_error is not None
    return Restored(
        path=row.path,
        outcome=RESTORED,
        size_bytes=size_bytes,
        background_error=row.background_error,
        noted=lossy and row.image is not None and has_comments(row.image.format),
        kind=row.kind,
    )


def _failed(row: Row, error: SeecError) -> Restored:
    return Restored(row.path, FAILED, 0, type(error).__name__, str(error), kind=row.kind)
