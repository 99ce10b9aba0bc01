"""A manifest part of which few rows are wanted: found by name, and made without the others."""

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from seec.schemas import tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.kinds import FILE
from seec.schemas.manifest import MANIFEST, from_record, from_records, parse_manifest
from seec.schemas.manifest_rules import check_fields
from seec.schemas.routes import PIECES, SPANS
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


class Leaf(NamedTuple):
    """An image within a file. name: behind the path of the file and `/`; the others as of `Row`."""

    name: str
    route: str
    size_bytes: int
    digest: bytes


class Image(NamedTuple):
    """A file, or an image within one. number: of its row in the part, for `Part.rows_at`.

    file: the path of the file. name: of a member, behind that path and `/`; None of a file.
    in_piece: whether the file is in pieces.
    """

    number: int
    file: str
    name: str | None
    in_piece: bool

    @property
    def path(self) -> str:
        """By which programs read it."""
        return self.file if self.name is None else f"{self.file}/{self.name}"


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
        self._depths, self._tops = array("h"), array("l")
        if any(depths) or pieces.count(None) < len(pieces):
            self._depths = array("h", depths)
            self._tops = array("l", (at for at, depth in enumerate(depths) if depth == 0))
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

    def bare_rows(self, indices: Sequence[int]) -> list[Row]:
        """The rows of the files of these numbers, which rise; without their members."""
        files = indices if self._files is None else [self._files[at] for at in indices]
        with self._guard:
            records = self._excerpt.rows(files)
        rows: list[Row] = []
        for record in records:
            row = from_record(self._name, record.pop("depth"), record)
            check_fields(self._name, row)
            rows.append(row)
        return rows

    def bare_row(self, path: str) -> Row | None:
        """The row of a file, without its members."""
        at = bisect_left(self.paths, path)
        if at == len(self.paths) or self.paths[at] != path:
            return None
        (row,) = self.bare_rows([at])
        return row

    def leaves(self, path: str) -> "list[Leaf]":
        """The images within a file and pieces of it, in their order; rows are not checked."""
        first, behind = bisect_left(self._all, path), bisect_right(self._all, path)
        names = ("member", "route", "source_size_bytes", "source_digest")
        with self._guard:
            columns = [self._excerpt.values(name)[first:behind] for name in names]
        return [
            Leaf(name, route, size_bytes, digest)
            for name, route, size_bytes, digest in zip(*columns, strict=True)
            if name is not None and route != SPANS
        ]

    def images(self) -> "Iterator[Image]":
        """The files of the part, and in place of those that hold images these; nothing is checked.

        Files in pieces, links and folders are left out.
        """
        names = ("depth", "piece", "member", "kind", "route")
        with self._guard:
            columns = [self._excerpt.column(name) for name in names]
        in_piece = False
        for at, (depth, piece, member, kind, route) in enumerate(zip(*columns, strict=True)):
            if depth == 0:
                in_piece = piece is not None
            is_file = kind == FILE and route not in (SPANS, PIECES)
            if is_file and (depth or not in_piece):
                yield Image(at, self._all[at], member, in_piece)

    def row_at(self, number: int) -> Row:
        """The row of this number, of a file or a piece, with its members.

        SectionCorrupt if it is another name of a file.
        """
        (row,) = self.bare_rows([number]) if self._files is None else self._trees([number])
        if row.same_file is not None:
            raise SectionCorrupt(f"{self._name}: {row.path}: is another name of a file")
        return row

    def rows_at(self, numbers: Sequence[int]) -> list[Row]:
        """The rows of the images of these numbers, which rise."""
        if self._files is None:
            return self._rows(numbers)
        tops = self._trees(numbers)
        found = [one for top in tops for one in top.tree() if one.route not in (SPANS, PIECES)]
        if any(top.same_file is not None for top in tops):  # checked with all that they share
            keys, paths = {top.key for top in tops}, {one.path for one in found}
            tops = [row for row in parse_manifest(self._name, self._data) if row.key in keys]
            found = [one for top in tops for one in top.tree() if one.path in paths]
        return found

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

    def holds(self, path: str) -> bool:
        """Whether there is a file of this path, and not only pieces of it."""
        at = bisect_left(self.paths, path)
        return at < len(self.paths) and self.paths[at] == path

    def row_without_members(self, path: str) -> Row | None:
        """The row of a file, which is made only if it has no members; else None."""
        at = bisect_left(self.paths, path)
        if self._files is not None and self.holds(path):
            below = self._files[at] + 1
            if below < len(self._depths) and self._depths[below]:
                return None
        return self.row_of(path)

    def rows_of(self, path: str) -> list[Row]:
        """All rows of a path: that of a file, and those of pieces of it."""
        at = bisect_left(self._all, path)
        return self._rows([at] if at < len(self._all) and self._all[at] == path else [])

    def member(self, path: str, name: str) -> Row | None:
        """The member of this name of a file, or of a piece of it that is in this part.

        Rows of other members are not made.
        """
        wanted = f"{path}/{name}"
        marks, places = self._marks
        mark = hash(name)
        for nth in range(bisect_left(marks, mark), len(marks)):
            if marks[nth] != mark:
                break
            at = places[nth]
            if self._all[at] != path:
                continue
            (top,) = self._trees([at])
            if top.same_file is not None:  # what it shares is checked with all of it
                (top,) = (row for row in self.rows_of(path) if row.piece is None)
            found = next((one for one in top.tree() if one is not top and one.path == wanted), None)
            if found is not None:
                return found
        return None

    def _trees(self, indices: Iterable[int]) -> list[Row]:
        """The rows that some rows are below, each with those of its members that lead there.

        Of a row all that is below it is there. No row has the file of another one.
        """
        wanted = sorted({at for index in indices for at in self._branch(index)})
        with self._guard:
            records = self._excerpt.rows(wanted)
        return list(from_records(self._name, records))

    def _branch(self, index: int) -> Iterator[int]:
        """The numbers of the rows above a row, its own, and those of all that is below it."""
        depths = self._depths
        depth = at = depths[index]
        above = index
        while at > 1 and above:
            above -= 1
            if depths[above] < at:
                at = depths[above]
                yield above
        if depth:
            top = bisect_right(self._tops, index) - 1
            if top < 0:
                raise SectionCorrupt(f"{self._name}: {self._all[index]}: a member of nothing")
            yield self._tops[top]
        yield index
        end = index + 1
        while end < len(depths) and depths[end] > depth:
            yield end
            end += 1

    @cached_property
    def _marks(self) -> "tuple[array[int], array[int]]":
        """Hashes of the names of all members, sorted, and which row each is of.

        16 bytes each, where a name takes 70.
        """
        with self._guard:
            names = self._excerpt.column("member")
        marks = sorted((hash(name), at) for at, name in enumerate(names) if name is not None)
        return array("q", (mark for mark, _ in marks)), array("q", (at for _, at in marks))

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
