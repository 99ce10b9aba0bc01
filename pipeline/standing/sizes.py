"""What files take, by route and by folder; each byte of a blob counts once."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from seec.schemas.archive import shard_of
from seec.schemas.kinds import FILE
from seec.schemas.rows import Row

TOP = "(at the top)"


@dataclass
class Size:
    """Files, their bytes in the source, and their bytes in the archive."""

    files: int = 0
    source_bytes: int = 0
    stored_bytes: int = 0

    def add(self, source_bytes: int, stored_bytes: int) -> None:
        """Count a file more."""
        self.files += 1
        self.source_bytes += source_bytes
        self.stored_bytes += stored_bytes

    def __add__(self, other: "Size") -> "Size":
        """Both together."""
        return Size(
            self.files + other.files,
            self.source_bytes + other.source_bytes,
            self.stored_bytes + other.stored_bytes,
        )


@dataclass
class Sizes:
    """Of all files: by route, and by the first folder of their paths."""

    total: Size = field(default_factory=Size)
    by_route: dict[str, Size] = field(default_factory=dict[str, Size])
    by_folder: dict[str, Size] = field(default_factory=dict[str, Size])
    lossy: int = 0
    lost: int = 0

    def largest_folders(self, most: int) -> tuple[list[tuple[str, Size]], Size]:
        """The folders with the most bytes of source, and what all others hold together."""
        ranked = sorted(self.by_folder.items(), key=lambda item: (-item[1].source_bytes, item[0]))
        return ranked[:most], sum((size for _, size in ranked[most:]), Size())


class Held(NamedTuple):
    """A row of a file, with its members and pieces.

    stored_bytes: that all of these take in blobs. own_bytes: those of them that no earlier row has.
    """

    row: Row
    stored_bytes: int
    own_bytes: int


def held(rows: Iterable[Row]) -> Iterator[Held]:
    """What each file takes. rows: with those of pieces behind the rows of their files.

    Memory grows with the number of shards.
    """
    counted: dict[str, list[int]] = {}
    waiting: Held | None = None
    for row in rows:
        shard = row.shard if row.blob is None else shard_of(row.blob) or row.blob
        ends = counted.setdefault(shard, [])
        own_bytes = sum(
            one.length
            for one in row.tree()
            if one.length and add_once(ends, one.offset, one.offset + one.length)
        )
        found = Held(row, row.stored_bytes, own_bytes)
        if row.piece is not None and waiting is not None:
            stored_bytes = waiting.stored_bytes + found.stored_bytes
            waiting = Held(waiting.row, stored_bytes, waiting.own_bytes + own_bytes)
            continue
        if waiting is not None:
            yield waiting
        waiting = found
    if waiting is not None:
        yield waiting


def sizes_of(rows: Iterable[Row]) -> Sizes:
    """Add up rows, as `held` takes them. Memory grows with the folders at the top, and shards."""
    found = Sizes()
    for row, _, stored in held(rows):
        if row.kind != FILE:
            continue
        folder, slash, _ = row.path.partition("/")
        for size in (
            found.total,
            found.by_route.setdefault(row.route, Size()),
            found.by_folder.setdefault(folder if slash else TOP, Size()),
        ):
            size.add(row.source_size_bytes, stored)
        found.lossy += row.background_error is not None
        found.lost += row.lost
    return found


def add_once(ends: list[int], start: int, end: int) -> bool:
    """Add a range to those that begin and end at these numbers; False if its start is in one."""
    at = bisect_right(ends, start)
    if at % 2:
        return False
    follows, leads = ends[at - 1 : at] == [start], ends[at : at + 1] == [end]
    ends[at - follows : at + leads] = [start] * (not follows) + [end] * (not leads)
    return True
