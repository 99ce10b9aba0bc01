"""Files of an archive in order, several of them read and decoded at a time."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.shard import payloads
from seec.pipeline.reading.contents import Held
from seec.schemas.errors import BlobMissing, ObjectMissing, ObjectUnreadable, SeecError
from seec.schemas.rows import Row

# Told the path of a file that cannot be had, and why.
OnError = Callable[[str, SeecError], None]

# Of one request to a store, for files that lie beside each other.
_GROUP_ROWS = 32
_GROUP_BYTES = 1 << 20
_MOST_THREADS = 32


def contents_ahead(
    rows: Iterable[Row],
    held: Callable[[Row], Held | None],
    content: Callable[[Held], Any],
    again: Callable[[str], Any],
    prefetch: int,
    on_error: OnError | None,
) -> Iterator[tuple[str, Any]]:
    """Path and content of each row, in order.

    held: the file of a row, or None. again: the content by path, where that is None or an object
    vanished. prefetch: how many are in work at a time. on_error: as in `OpenedArchive.iter`.
    """
    if prefetch < 0:
        raise ValueError(f"prefetch is {prefetch}, and must not be negative")

    def tried(item: tuple[Row, Held | None]) -> tuple[str, Any, SeecError | None]:
        row, one = item
        try:
            if one is not None:
                try:
                    return row.path, content(one), None
                except (BlobMissing, ObjectMissing):
                    pass  # a commit since may have dropped it
            return row.path, again(row.path), None
        except SeecError as error:
            return row.path, None, error

    for path, value, error in _ahead(tried, rows, held, prefetch):
        if error is None:
            yield path, value
        elif on_error is None:
            raise error
        else:
            on_error(path, error)


def _ahead(
    content: Callable[[tuple[Row, Held | None]], tuple[str, Any, SeecError | None]],
    rows: Iterable[Row],
    held: Callable[[Row], Held | None],
    prefetch: int,
) -> Iterator[tuple[str, Any, SeecError | None]]:
    groups = _groups(rows, min(_GROUP_ROWS, max(1, prefetch)))
    if prefetch == 0:
        yield from (content(item) for group in groups for item in _fetched(group, held))
        return
    threads = min(prefetch, _MOST_THREADS, (os.cpu_count() or 1) + 4)
    fetched = each_ahead(lambda group: _fetched(group, held), groups, threads=2, ahead=2)
    items = (item for group in fetched for item in group)
    yield from each_ahead(content, items, threads, ahead=prefetch)


def _groups(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    """Rows whose payloads lie beside each other, in lists of a bounded size.

    Rows may share a payload, as those of a stack do.
    """
    group: list[Row] = []
    end = 0
    for row in rows:
        row_end = row.offset + row.tree_length
        if group and (
            (group[0].shard, group[0].blob) != (row.shard, row.blob)
            or not group[0].offset <= row.offset <= end
            or len(group) == most
            or max(end, row_end) - group[0].offset > _GROUP_BYTES
        ):
            yield group
            group = []
        end = max(end, row_end) if group else row_end
        group.append(row)
    if group:
        yield group


def _fetched(group: list[Row], held: Callable[[Row], Held | None]) -> list[tuple[Row, Held | None]]:
    """Each row with its file, whose payload is there already where that is worth it."""
    files = [(row, held(row)) for row in group]
    first = files[0][1]
    # A cache may have them all, and of a large file a thread of its own takes care.
    if first is None or first.cache is not None or len(group) == 1:
        return files
    try:
        found = payloads(first.store, first.shard.blob.name, group)
        return [
            (row, None if one is None else replace(one, payload=payload))
            for (row, one), (_, payload) in zip(files, found, strict=True)
        ]
    except (BlobMissing, ObjectMissing, ObjectUnreadable):
        return files
