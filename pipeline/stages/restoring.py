"""Restoring on Ray: rows to files below a target, with a bounded amount of work in flight."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from pipeline.archive.shard import payloads
from pipeline.images import png
from pipeline.routes.rebuild import rebuild
from pipeline.stages.cluster import CRASHES, fetch
from pipeline.stages.verifying import archived_model, group_rows
from pipeline.storage import Store
from schemas.commit import ShardRecord
from schemas.errors import (
    FormatError,
    ObjectExists,
    SeecError,
    SourceError,
    StorageError,
    StoreUnavailable,
)
from schemas.manifest import Row
from schemas.names import is_safe, unescape

RESTORED, KEPT, FAILED = "restored", "kept", "failed"


@dataclass(frozen=True)
class Restored:
    """What became of one file: outcome, its size, and the reason if it failed.

    background_error: of a file that came back with a lossy background, as in `schemas.loss`.
    noted: whether the file itself says so.
    """

    path: str
    outcome: str
    size_bytes: int = 0
    error: str = ""
    reason: str = ""
    background_error: int | None = None
    noted: bool = False


def restore_shards(
    store: Store,
    shards: Iterable[tuple[ShardRecord, list[Row]]],
    target: Store,
    overwrite: bool,
    cpus: int,
) -> Iterator[list[Restored]]:
    """Restore rows, and yield what became of each group as it is done.

    A group that takes its worker down is tried again row by row; a row that does so has failed.
    """
    groups = ((shard.blob.name, group) for shard, rows in shards for group in group_rows(rows))
    again: deque[tuple[str, list[Row]]] = deque()
    flights: dict[Any, tuple[str, list[Row]]] = {}
    more = True
    while more or again or flights:
        while len(flights) < 2 * cpus:
            work = again.popleft() if again else next(groups, None)
            if work is None:
                more = False
                break
            blob, rows = work
            flights[_restore_rows.remote(store, blob, rows, target, overwrite)] = work
        if not flights:
            continue
        (ref,), _ = ray.wait(list(flights), num_returns=1)
        blob, rows = flights.pop(ref)
        try:
            yield fetch(ref)
        except CRASHES:
            if len(rows) == 1:
                crash = FormatError(f"{rows[0].path}: decoding it takes the worker down")
                yield [_failed(rows[0], crash)]
            else:
                again.extend((blob, [row]) for row in rows)


@ray.remote
def _restore_rows(
    store: Store, blob: str, rows: list[Row], target: Store, overwrite: bool
) -> list[Restored]:
    return list(restore_rows(store, blob, rows, target, overwrite))


def restore_rows(
    store: Store, blob: str, rows: list[Row], target: Store, overwrite: bool
) -> Iterator[Restored]:
    """Restore rows of one blob; a file that cannot be restored is reported, not raised.

    StoreUnavailable is: it is about no file.
    """
    wanted: list[Row] = []
    for row in rows:
        try:
            name = _target_name(target, row)
            if not overwrite and target.exists(name):
                yield Restored(row.path, KEPT)
            else:
                wanted.append(row)
        except StoreUnavailable:
            raise
        except SeecError as error:
            yield _failed(row, error)
    try:
        for row, payload in payloads(store, blob, wanted):
            yield _restore_row(store, row, payload, target, overwrite)
            wanted = wanted[1:]
    except StoreUnavailable:
        raise
    except StorageError as error:
        yield from (_failed(row, error) for row in wanted)


def _restore_row(
    store: Store, row: Row, payload: bytes, target: Store, overwrite: bool
) -> Restored:
    try:
        models = {row.model_id: archived_model(store.url, row.model_id)} if row.model_id else {}
        data = rebuild(row, payload, models)
        name = _target_name(target, row)
        if overwrite:
            target.put(name, data)
        else:
            target.put_new(name, data)
        if target.is_local and row.source_mtime_ns is not None:
            times = (row.source_mtime_ns, row.source_mtime_ns)
            os.utime(target.path(name), ns=times, follow_symlinks=False)
    except ObjectExists:
        return Restored(row.path, KEPT)
    except StoreUnavailable:
        raise
    except SeecError as error:
        return _failed(row, error)
    lossy = row.background_error is not None
    return Restored(
        path=row.path,
        outcome=RESTORED,
        size_bytes=len(data),
        background_error=row.background_error,
        noted=lossy and row.format == png.FORMAT,
    )


def _failed(row: Row, error: SeecError) -> Restored:
    return Restored(row.path, FAILED, 0, type(error).__name__, str(error))


def _target_name(target: Store, row: Row) -> str:
    """Where a file goes; SourceError if that would not be below the target."""
    raw = unescape(row.path)
    name = os.fsdecode(raw)
    if not is_safe(raw):
        raise SourceError(f"{row.path}: leads out of the target; not restored")
    if target.is_local:
        parent = Path(target.path(name)).parent.resolve()
        if not parent.is_relative_to(Path(target.root).resolve()):
            raise SourceError(f"{row.path}: a link in the target leads out of it; not restored")
    return name
