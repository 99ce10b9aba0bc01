"""Rows with members: files that hold images, as a manifest part has them, one record for each row.

The records of a tree are in the order of `Row.tree`: each row, and behind it its members. `depth`
says how many rows a record is below; `member` is what stands behind the path of the file and `/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from seec.schemas.errors import SectionCorrupt
from seec.schemas.kinds import FILE
from seec.schemas.limits import MAX_MEMBER_DEPTH, MAX_MEMBERS
from seec.schemas.names import is_safe, unescape
from seec.schemas.routes import PIECES, ROUTES, SPANS
from seec.schemas.spans import PACKINGS

if TYPE_CHECKING:
    from seec.schemas.rows import Row

Payload = TypeVar("Payload", bytes, memoryview, "bytes | memoryview")


def renamed(row: Row, path: str) -> Row:
    """The row of the same file at another path."""
    stem = len(row.path)
    members = tuple(renamed(one, path + one.path[stem:]) for one in row.members)
    return replace(row, path=path, members=members)


def in_blob(row: Row, blob: str | None) -> Row:
    """The row with its members, whose payloads are in this blob; None is that of its shard."""
    members = tuple(in_blob(one, blob) for one in row.members)
    return replace(row, blob=blob, members=members)


def with_depths(row: Row, depth: int = 0) -> Iterator[tuple[int, Row]]:
    """The rows of a tree, each with how many it is below."""
    yield depth, row
    for one in row.members:
        yield from with_depths(one, depth + 1)


def once_each(row: Row) -> Iterator[Row]:
    """The rows of a tree, but for those that have the payload of one before."""
    if not row.members:
        yield row
        return
    seen: set[tuple[int, bytes]] = set()
    for one in row.tree():
        key = one.length, one.blob_digest
        if key not in seen:
            seen.add(key)
            yield one


def with_payloads(row: Row, payloads: Payload) -> Iterator[tuple[Row, Payload]]:
    """The rows of a tree, each with its payload.

    payloads: those of `once_each`, one behind the other; slices of these are given.
    """
    if not row.members:
        yield row, payloads
        return
    places: dict[tuple[int, bytes], int] = {}
    end = 0
    for one in row.tree():
        key = one.length, one.blob_digest
        start = places.setdefault(key, end)
        end = max(end, start + one.length)
        yield one, cast("Payload", payloads[start : start + one.length])


def trees(name: str, rows: Iterable[tuple[int, Row]]) -> Iterator[Row]:
    """Rows with their members, from rows without, each with its depth.

    name: of the part, for messages. SectionCorrupt if they are no trees, or a tree is none of a
    file. Memory grows with one tree.
    """
    open_rows: list[tuple[Row, list[Row]]] = []

    def close(depth: int) -> Iterator[Row]:
        while len(open_rows) > depth:
            row, members = open_rows.pop()
            row = replace(row, members=tuple(members)) if members else row
            _check_members(f"{name}: {row.path}", row)
            if open_rows:
                open_rows[-1][1].append(row)
            else:
                yield row

    for depth, row in rows:
        if not 0 <= depth <= min(len(open_rows), MAX_MEMBER_DEPTH):
            raise SectionCorrupt(f"{name}: {row.path}: a member of nothing")
        yield from close(depth)
        if depth:
            _check_member(f"{name}: {row.path}", row, open_rows[0][0])
            if len(open_rows[-1][1]) == MAX_MEMBERS:
                raise SectionCorrupt(f"{name}: {row.path}: one member too many")
        elif (row.start is not None) != (row.piece is not None) or row.packing is not None:
            raise SectionCorrupt(f"{name}: {row.path}: what only members or pieces have")
        open_rows.append((row, []))
    yield from close(0)


def _check_member(where: str, row: Row, file: Row) -> None:
    """SectionCorrupt unless a member keeps the rules that have nothing to do with others."""
    prefix = f"{file.path}/"
    inside = row.path.removeprefix(prefix)
    if not row.path.startswith(prefix) or not is_safe(unescape(inside)):
        raise SectionCorrupt(f"{where}: no name of a member")
    bare = row.permissions is None and row.source_mtime_ns is None and row.same_file is None
    if row.kind != FILE or not bare or row.piece is not None or row.route == PIECES:
        raise SectionCorrupt(f"{where}: what no member has")
    if row.blob != file.blob:
        raise SectionCorrupt(f"{where}: in another blob than its file")
    if row.start is None or row.start < 0:
        raise SectionCorrupt(f"{where}: a member that begins nowhere")
    if row.packing is not None and (row.packing not in PACKINGS or row.route != SPANS):
        raise SectionCorrupt(f"{where}: packing {row.packing!r} is unknown, or is of no such row")


def _check_members(where: str, row: Row) -> None:
    """SectionCorrupt unless the members of a row are where they can be."""
    rules = ROUTES[row.route]
    # A repair may find the file nowhere, and some of its members are whole.
    if bool(row.members) != rules.members and not rules.lost:
        raise SectionCorrupt(f"{where}: members do not go with {row.route}")
    end = 0
    for one in row.members:
        start = one.start or 0
        if start < end:
            raise SectionCorrupt(f"{where}: members that overlap")
        end = start + (one.source_size_bytes if one.packing is None else 0)
    if row.members and end > row.source_size_bytes:
        raise SectionCorrupt(f"{where}: members that lead out of it")
