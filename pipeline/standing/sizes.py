"""What files take, by route and by folder; each byte of a blob counts once."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from seec.schemas.kinds import FILE
from seec.schemas.manifest import Row

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


def sizes_of(rows: Iterable[Row]) -> Sizes:
    """Add up rows. Memory grows with the number of folders at the top, and of shards."""
    found = Sizes()
    counted: dict[str, list[int]] = {}
    for row in rows:
        if row.kind != FILE:
            continue
        ends = counted.setdefault(row.shard, [])
        own = bool(row.length) and add_once(ends, row.offset, row.offset + row.length)
        stored = row.length if own else 0
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
