"""A manifest part of which few rows are wanted."""

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from seec.schemas import tables
from seec.schemas.manifest import MANIFEST, from_records, parse_manifest
from seec.schemas.rows import Row


def parse_matching(
    name: str, data: bytes, wanted: Callable[[Sequence[str]], list[int]]
) -> tuple[list[str], list[Row]]:
    """All paths of a manifest part, and the rows of those that are wanted.

    wanted: gives the indices of these among all paths. Only those rows are parsed and checked, as
    far as a row can be checked without the others; where it cannot, all are. Raises as
    `parse_manifest`.
    """
    return Part(name, data).matching(wanted)


class Part:
    """A manifest part of which few rows are wanted. Raises as `parse_manifest`.

    Safe to use from several threads, of which one at a time reads.

    paths: of all files, in order; each is made when it is asked for where there are neither members
    nor pieces. path_range: the first and the last path, also of pieces; None without rows.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self._name, self._data = name, data
        # Arrow's readers keep what they have read, and are for one thread.
        self._guard = threading.Lock()
        self._excerpt = tables.Excerpt(name, data, MANIFEST)
        self._all: Sequence[str] = self._excerpt.values("path")
        self.paths: Sequence[str] = self._all
        self._files: list[int] | None = None
        self.path_range = (self._all[0], self._all[-1]) if len(self._all) else None
        depths, pieces = self._excerpt.column("depth"), self._excerpt.column("piece")
        self._depths = array("h")
        if any(depths) or pieces.count(None) < len(pieces):
            self._depths = array("h", depths)
            within = zip(depths, pieces, strict=True)
            self._files = [at for at, one in enumerate(within) if one == (0, None)]
            self.paths = [self._all[at] for at in self._files]

    def __len__(self) -> int:
        """How many rows there are, members among them."""
        return len(self._all)

    def kinds(self) -> Sequence[str]:
        """The kinds of all files, whose rows are not checked."""
        with self._guard:
            kinds = self._excerpt.column("kind")
        return kinds if self._files is None else [kinds[at] for at in self._files]

    def table(self, names: Sequence[str], indices: Sequence[int]) -> Any:
        """Columns of the files of these numbers, whose rows are not checked: a `pyarrow.Table`.

        The length of a file is that of its tree.
        """
        with self._guard:
            return self._table(names, indices)

    def _table(self, names: Sequence[str], indices: Sequence[int]) -> Any:
        if self._files is None:
            return self._excerpt.table(names, indices)
        files = [self._files[at] for at in indices]
        found = self._excerpt.table(names, files)
        if "length" not in names:
            return found
        totals: dict[int, int] = {}
        top = 0
        columns = (self._excerpt.column(name) for name in ("depth", "length"))
        for at, (depth, length) in enumerate(zip(*columns, strict=True)):
            top = top if depth else at
            totals[top] = totals.get(top, 0) + length
        return tables.with_numbers(found, "length", [totals[at] for at in files])

    def rows(self, indices: Sequence[int]) -> list[Row]:
        """The rows of the files of these numbers, which rise; with their members."""
        files = indices if self._files is None else [self._files[at] for at in indices]
        return [row for row in self._rows(files) if row.piece is None]

    def matching(self, wanted: Callable[[Sequence[str]], list[int]]) -> tuple[list[str], list[Row]]:
        """As `parse_matching`."""
        paths = list(self._all)
        return paths, self._rows(wanted(paths))

    def row_of(self, path: str) -> Row | None:
        """The row of a file with its members, but not those of pieces of it."""
        at = bisect_left(self.paths, path)
        if at == len(self.paths) or self.paths[at] != path:
            return None
        if self._files is not None:
            (row,) = self._trees([self._files[at]])
            if row.same_file is None:
                return row
        return next(row for row in self.rows_of(path) if row.piece is None)

    def rows_of(self, path: str) -> list[Row]:
        """All rows of a path: that of a file, and those of pieces of it."""
        at = bisect_left(self._all, path)
        return self._rows([at] if at < len(self._all) and self._all[at] == path else [])

    def pieces_with(self, path: str, member: str) -> list[Row]:
        """The rows of those pieces of a file that have a member of this name.

        The rows of other pieces are not made.
        """
        mark = hash(member)
        at = bisect_left(self._marks, mark)
        if at == len(self._marks) or self._marks[at] != mark:
            return []
        with self._guard:
            names = self._excerpt.column("member")
        found = [at for at, name in enumerate(names) if name == member and self._all[at] == path]
        return [row for row in self._trees(found) if row.piece is not None]

    def _trees(self, indices: Iterable[int]) -> list[Row]:
        """The rows of the trees that some rows are in; no row has the file of another one."""
        wanted = sorted({at for index in indices for at in _tree_at(self._depths, index)})
        with self._guard:
            records = self._excerpt.rows(wanted)
        return list(from_records(self._name, records))

    @cached_property
    def _marks(self) -> "array[int]":
        """Hashes of the names of all members, sorted: 8 bytes each, where a name takes 70."""
        with self._guard:
            names = self._excerpt.column("member")
        return array("q", sorted(hash(name) for name in names if name is not None))

    def _rows(self, indices: Sequence[int]) -> list[Row]:
        """The rows that have the paths of some, whose numbers rise.

        Only these are parsed and checked, as far as a row can be checked without the others; where
        it cannot, all are.
        """
        indices = _with_members(self._all, indices)
        if not indices:
            return []
        with self._guard:
            records = self._excerpt.rows(indices)
        rows = list(from_records(self._name, records))
        if any(row.same_file is not None for row in rows):
            keys = {row.key for row in rows}
            rows = [row for row in parse_manifest(self._name, self._data) if row.key in keys]
        return rows


def _tree_at(depths: Sequence[int], index: int) -> range:
    """The numbers of the rows of the tree that a row is in."""
    start, end = index, index + 1
    while start and depths[start]:
        start -= 1
    while end < len(depths) and depths[end]:
        end += 1
    return range(start, end)


def _with_members(paths: Sequence[str], indices: Iterable[int]) -> list[int]:
    """The indices of all rows that have the paths of some: of a file, its members, its pieces."""
    found: list[int] = []
    for index in indices:
        if found and index <= found[-1]:
            continue
        start = end = index
        while start and paths[start - 1] == paths[index]:
            start -= 1
        while end < len(paths) and paths[end] == paths[index]:
            end += 1
        found.extend(range(start, end))
    return found
