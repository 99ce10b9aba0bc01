# pyright: basic
"""Parquet tables as reproducible bytes: the same rows give the same file.

With `seec.schemas.arrays`, the only module that speaks to pyarrow, which ships no types.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seec.schemas import pages
from seec.schemas.arrays import array
from seec.schemas.errors import LimitExceeded, SectionCorrupt, UnsupportedVersion
from seec.schemas.limits import MAX_EXPANDED_BYTES, ROW_GROUP_ROWS

# Each row group takes a kilobyte in the footer, which readers hold in memory and limit.
_NUMBERED_ROWS = 1 << 15
_FEW_ROWS = 32  # that are made at a time where rows are asked for one by one
_SLICED_ROWS = 4  # that are cut out of a table one by one
COMPRESSION_LEVEL = 9
_TABLE_KEY = b"seec.table"

Record = dict[str, Any]

_TYPES = {
    "string": pa.string(),
    "strings": pa.list_(pa.string()),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "binary": pa.binary(),
    "digest": pa.binary(32),
}

# Values of other types are nearly all different, or their order says nothing.
_REPETITIVE = ("string", "int16", "binary")
_ORDERED = ("string", "int16", "int32", "int64", "float64")


class Column(NamedTuple):
    """A column: its name, its type (a key of `_TYPES`), whether it may be null.

    optional: whether a table has it only if one of its rows has a value; nullable then.
    """

    name: str
    type: str
    nullable: bool = False
    optional: bool = False


class Table(NamedTuple):
    """A kind of table: what it is called in its file's metadata, its version, its columns.

    group_rows: the most that a row group may have.
    """

    kind: str
    version: int
    columns: tuple[Column, ...]
    group_rows: int = ROW_GROUP_ROWS

    @property
    def label(self) -> str:
        """The value of `seec.table` in the key-value metadata of the file."""
        return f"{self.kind} {self.version}"


class Groups:
    """A table read one row group at a time."""

    def __init__(self, name: str, data: bytes, table: Table, without: Collection[str] = ()) -> None:
        """name: for messages. without: columns that rows lack.

        SectionCorrupt or UnsupportedVersion if it is no such table.
        """
        self._name = name
        self._schema = _schema_without(table, without)
        self._file = _open(name, data, table)
        self._sizes = _Sizes(name, data, self._file)
        self.metadata: Mapping[bytes, bytes] = self._file.metadata.metadata or {}

    def __len__(self) -> int:
        return self._file.num_row_groups

    def check_whole(self) -> None:
        """LimitExceeded if all rows together take too much; SectionCorrupt if it is damaged."""
        self._sizes.check(range(len(self)), self._schema.names)

    def read(self, index: int) -> list[Record]:
        """The rows of one group; SectionCorrupt if it is damaged."""
        return _records(self._name, self.group(index, self._schema.names))

    def some(
        self, index: int, key: str, wanted: Callable[[Sequence[Any]], list[int]]
    ) -> tuple[list[Any], Iterator[Record]]:
        """All values of the column `key` of one group, and the rows that are wanted.

        wanted: gives their indices among these values. Rows are made a few at a time, from columns
        that take much less. SectionCorrupt if the group is damaged.
        """
        values = _values(self._name, self.group(index, [key]))
        indices = wanted(values)
        return values, self._made(index, indices) if indices else iter(())

    def _made(self, index: int, indices: Sequence[int]) -> Iterator[Record]:
        group = self.group(index, self._schema.names)
        for start in range(0, len(indices), _FEW_ROWS):
            yield from _records(self._name, _taken(group, indices[start : start + _FEW_ROWS]))

    def group(self, index: int, names: list[str]) -> pa.Table:
        """Some columns of one group; SectionCorrupt if it is damaged."""
        try:
            self._sizes.check([index], names)
            # On Arrow's own threads a buffer might be released while the process ends.
            return self._file.read_row_group(index, names, use_threads=False)
        except _NOT_A_TABLE as error:
            raise _corrupt(self._name, error) from None


class Numbered:
    """A table of parts: the rows of one number are together, and read without the others.

    counts: how many rows each part has, by its number. The number is in the column `number`, which
    rows lack here. Memory grows with the number of parts, by some 50 bytes each.
    """

    def __init__(self, name: str, data: bytes, table: Table) -> None:
        """name: for messages. SectionCorrupt or UnsupportedVersion if it is no such table."""
        self._name = name
        self._groups = Groups(name, data, table)
        self._names = [column.name for column in table.columns if column.name != "number"]
        self._group = lru_cache(1)(lambda index: self._groups.group(index, self._names))
        self.metadata = self._groups.metadata
        empty = np.zeros(0, np.int64)
        places = [(empty, empty, empty)]
        end = 0
        for index in range(len(self._groups)):
            numbers = self._groups.group(index, ["number"]).column(0).to_numpy()
            starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
            if not np.array_equal(numbers[starts], np.arange(end, end + len(starts))):
                raise SectionCorrupt(f"{name}: parts that are not numbered one by one")
            end += len(starts)
            places.append(
                (np.full_like(starts, index), starts, np.diff(starts, append=len(numbers)))
            )
        self._in_group, self._starts, counts = map(np.concatenate, zip(*places, strict=True))
        self.counts: list[int] = counts.tolist()

    def read(self, number: int) -> list[Record]:
        """The rows of one part; SectionCorrupt if they are damaged."""
        group = self._group(int(self._in_group[number]))
        part = group.slice(int(self._starts[number]), self.counts[number])
        return _records(self._name, part)


def serialise_numbered(
    table: Table,
    parts: Iterable[Iterable[Record]],
    metadata: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """The bytes of a table whose rows are numbered by part; a part is in one row group.

    parts: each with one row or more. metadata: as in `serialise_groups`.
    """

    def groups() -> Iterator[list[Record]]:
        rows: list[Record] = []
        for number, part in enumerate(parts):
            rows += [{**row, "number": number} for row in part]
            if len(rows) >= _NUMBERED_ROWS:
                yield rows
                rows = []
        if rows:
            yield rows

    return serialise_groups(table, groups(), metadata)


def serialise(
    table: Table, rows: Sequence[Record], metadata: Mapping[bytes, bytes] | None = None
) -> bytes:
    """The bytes of a table with these rows, in this order, in row groups of 1024.

    metadata: as in `serialise_groups`.
    """
    optional = {column.name for column in table.columns if column.optional}
    unused = {name for name in optional if all(row.get(name) is None for row in rows)}
    table = table._replace(columns=tuple(c for c in table.columns if c.name not in unused))
    starts = range(0, max(1, len(rows)), ROW_GROUP_ROWS)
    return serialise_groups(table, (rows[i : i + ROW_GROUP_ROWS] for i in starts), metadata)


def serialise_groups(
    table: Table,
    groups: Iterable[Sequence[Record]],
    metadata: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """The bytes of a table, one row group for each group of rows.

    metadata: further key-value metadata of the file. No writer setting is left to a default.
    """
    schema = _schema(table.columns)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=_names(table, _REPETITIVE),
        write_statistics=_names(table, _ORDERED),
        store_schema=False,
    ) as writer:
        writer.add_key_value_metadata({_TABLE_KEY: table.label.encode(), **(metadata or {})})
        for rows in groups:
            columns = [array(f.type, [row.get(f.name) for row in rows]) for f in schema]
            group = pa.Table.from_arrays(columns, schema=schema)
            writer.write_table(group, row_group_size=max(1, len(rows)))
    return sink.getvalue().to_pybytes()


def parse(name: str, data: bytes, table: Table) -> list[Record]:
    """All rows of a table; SectionCorrupt or UnsupportedVersion if it is no such table."""
    groups = Groups(name, data, table)
    groups.check_whole()
    return [row for index in range(len(groups)) for row in groups.read(index)]


def read_columns(name: str, data: bytes, table: Table, wanted: Sequence[str]) -> list[list[Any]]:
    """The values of some columns of a table, a list for each; much faster than all rows.

    SectionCorrupt or UnsupportedVersion if it is no such table.
    """
    try:
        file = _open(name, data, table)
        _Sizes(name, data, file).check(range(file.num_row_groups), wanted)
        found = file.read(list(wanted), use_threads=False)
        return [found.column(column).to_pylist() for column in wanted]
    except _NOT_A_TABLE as error:
        raise _corrupt(name, error) from None


class Excerpt:
    """A table of which few values and rows are wanted, and the others never made."""

    def __init__(self, name: str, data: bytes, table: Table) -> None:
        """name: for messages. SectionCorrupt or UnsupportedVersion if it is no such table."""
        self._name = name
        self._schema = _schema(table.columns)
        self._file = _open(name, data, table)
        self._sizes = _Sizes(name, data, self._file)
        self._rows = self._file.metadata.num_rows
        self._number = next(_numbers)

    def column(self, name: str) -> list[Any]:
        """All values of a column; SectionCorrupt if it is damaged."""
        return self.values(name)[:]

    def values(self, name: str) -> "Values":
        """A column whose values are made when they are asked for; SectionCorrupt if damaged."""
        try:
            self._sizes.check(range(self._file.num_row_groups), [name])
            return Values(self._name, self._file.read([name], use_threads=False).column(name))
        except _NOT_A_TABLE as error:
            raise _corrupt(self._name, error) from None

    def table(self, names: Sequence[str], indices: Sequence[int]) -> Any:
        """Columns of the rows of these numbers, which rise: a Table. SectionCorrupt if damaged.

        An optional column that the table lacks has nulls, and comes behind the others.
        """
        try:
            self._sizes.check(range(self._file.num_row_groups), names)
            found = self._file.read(list(names), use_threads=False)
            for field in self._schema:
                if field.name in names and field.name not in found.column_names:
                    found = found.append_column(field, pa.nulls(self._rows, field.type))
            return found if len(indices) == len(found) else _taken(found, indices)
        except _NOT_A_TABLE as error:
            raise _corrupt(self._name, error) from None

    def rows(self, indices: Sequence[int]) -> list[Record]:
        """The rows of these numbers, which rise; row groups without any are not read."""
        found: list[Record] = []
        start = 0
        try:
            for group in range(self._file.num_row_groups):
                end = start + self._file.metadata.row_group(group).num_rows
                some = [i - start for i in indices if start <= i < end]
                if some:
                    found += _taken(self._group(group), some).to_pylist()
                start = end
        except _NOT_A_TABLE as error:
            raise _corrupt(self._name, error) from None
        return found

    def _group(self, group: int) -> pa.Table:
        """All columns of a row group, which are kept for a while."""
        names = self._schema.names

        def read() -> pa.Table:
            self._sizes.check([group], names)
            return self._file.read_row_group(group, names, use_threads=False)

        return _groups.get((self._number, group), read)


class KeptGroups:
    """The row groups read last: who asks for one row mostly asks for its neighbours, or again.

    Safe for threads. most_bytes: of all of them, as Arrow counts them.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._forget()
        os.register_at_fork(after_in_child=self._forget)  # a lost thread may hold the lock

    def _forget(self) -> None:
        self._guard, self._size_bytes = threading.Lock(), 0
        self._tables: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()

    def get(self, key: tuple[int, int], read: Callable[[], pa.Table]) -> pa.Table:
        """The row group of a key: what `read` gives, or gave before."""
        with self._guard:
            if (kept := self._tables.get(key)) is not None:
                self._tables.move_to_end(key)
                return kept
        table = read()
        with self._guard:
            if key not in self._tables:
                self._tables[key] = table
                self._size_bytes += table.nbytes
            while self._size_bytes > self._most_bytes and len(self._tables) > 1:
                _, dropped = self._tables.popitem(last=False)
                self._size_bytes -= dropped.nbytes
        return table


_numbers = count()  # of excerpts
_groups = KeptGroups(32 << 20)  # some 100,000 rows of a manifest


class Values(Sequence[Any]):
    """A column in a tenth of the memory that its values take as objects."""

    def __init__(self, name: str, column: Any) -> None:
        """name: for messages."""
        self._name, self._column = name, column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        try:
            if isinstance(index, slice):
                return self._column.to_pylist()[index]
            return self._column[index].as_py()
        except _NOT_A_TABLE as error:  # text that is not UTF-8
            raise _corrupt(self._name, error) from None


def _open(name: str, data: bytes, table: Table) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        schema = file.schema_arrow
    except _NOT_A_TABLE as error:
        raise _corrupt(name, error) from None
    found = (file.metadata.metadata or {}).get(_TABLE_KEY, b"").decode("ascii", "replace")
    if found != table.label:
        kind, _, version = found.partition(" ")
        if kind != table.kind or not version.isdecimal():
            raise SectionCorrupt(f"{name}: not a {table.kind} table of SEEC")
        raise UnsupportedVersion(
            f"{name}: a {kind} table of version {version}; this release reads {table.version}"
        )
    groups = (file.metadata.row_group(i) for i in range(file.num_row_groups))
    rows = max((group.num_rows for group in groups), default=0)
    if rows > table.group_rows:
        raise LimitExceeded(f"{name}: {rows} rows in a row group, of at most {table.group_rows}")
    # Types and what may be null, too: nobody converts one into another later.
    there = set(schema.names)
    columns = (column for column in table.columns if column.name in there or not column.optional)
    if not schema.equals(_schema(tuple(columns))):
        raise SectionCorrupt(f"{name}: other columns than a {table.kind} table has")
    return file


class _Sizes:
    """What row groups of a table take once they are read, before they are."""

    def __init__(self, name: str, data: bytes, file: pq.ParquetFile) -> None:
        self._name, self._data, self._file = name, data, file
        self._coming = pages.chunks(name, data)
        self._groups: list[list[pages.Chunk]] = []
        self._known: dict[tuple[int, str], int] = {}  # of those that were looked at

    def check(self, groups: Iterable[int], wanted: Collection[str] | None = None) -> None:
        """LimitExceeded if all of these together take too much; SectionCorrupt if pages lie.

        wanted: some columns; None is all.
        """
        total = 0
        try:
            for group in groups:
                rows = self._file.metadata.row_group(group).num_rows
                for chunk in self._chunks(group):
                    if wanted is None or chunk.name in wanted:
                        key = group, chunk.name
                        if key not in self._known:
                            self._known[key] = self._size(group, chunk, rows)
                        total += self._known[key]
                    if total > MAX_EXPANDED_BYTES:
                        raise LimitExceeded(
                            f"{self._name}: expands to more than {MAX_EXPANDED_BYTES} bytes"
                        )
        except _NOT_A_TABLE as error:
            raise _corrupt(self._name, error) from None

    def _chunks(self, group: int) -> list[pages.Chunk]:
        while len(self._groups) <= group:
            self._groups.append(next(self._coming, []))
        return self._groups[group]

    def _size(self, group: int, chunk: pages.Chunk, rows: int) -> int:
        if rows == chunk.values == 0:
            return 0  # nobody looks for pages
        found = pages.extent(self._name, self._data, chunk)
        listed = pa.types.is_list(self._file.schema_arrow.field(chunk.name).type)
        if found.values != chunk.values or (not listed and found.values != rows):
            raise SectionCorrupt(f"{self._name}: more or fewer values than rows")
        if found.longest is not None:
            most = found.page_bytes + found.values * found.longest
            if most <= _SMALL_BYTES or listed or found.page_bytes > MAX_EXPANDED_BYTES:
                return most
        return found.page_bytes + self._referred(group, chunk.name)

    def _referred(self, group: int, column: str) -> int:
        """What values take of which most may be long or short: by reading each of them once."""
        import pyarrow.compute as pc  # which takes as long as all of pyarrow, and is rarely needed

        source = pa.BufferReader(self._data)
        file = pq.ParquetFile(source, read_dictionary=[column])
        total = 0
        for part in file.read_row_group(group, [column], use_threads=False).column(0).chunks:
            if not pa.types.is_dictionary(part.type):
                return part.nbytes
            sizes = pc.call_function("binary_length", [part.dictionary])
            total += pc.call_function("sum", [sizes.take(part.indices)]).as_py() or 0
        return total


_SMALL_BYTES = 1 << 22  # of a column: not worth a closer look
_NOT_A_TABLE = (pa.ArrowException, OSError, KeyError, ValueError)


def with_numbers(rows: Any, name: str, numbers: Sequence[int]) -> Any:
    """A table with these numbers in place of those of a column."""
    at = rows.schema.get_field_index(name)
    return rows.set_column(
        at, rows.schema.field(at), [pa.array(numbers, rows.schema.field(at).type)]
    )


def _taken(rows: pa.Table, indices: Sequence[int]) -> pa.Table:
    if len(indices) <= _SLICED_ROWS:  # `take` would import all of Arrow's functions
        return pa.concat_tables([rows.slice(index, 1) for index in indices])
    return rows.take(array(pa.int64(), indices))


def _records(name: str, rows: pa.Table) -> list[Record]:
    try:
        return rows.to_pylist()
    except _NOT_A_TABLE as error:  # text that is not UTF-8
        raise _corrupt(name, error) from None


def _values(name: str, column: pa.Table) -> list[Any]:
    try:
        return column.column(0).to_pylist()
    except _NOT_A_TABLE as error:
        raise _corrupt(name, error) from None


def _names(table: Table, types: Collection[str]) -> Any:
    return [column.name for column in table.columns if column.type in types]


@lru_cache
def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(c.name, _TYPES[c.type], nullable=c.nullable) for c in columns])


def _schema_without(table: Table, without: Collection[str]) -> pa.Schema:
    return _schema(tuple(column for column in table.columns if column.name not in without))


def _corrupt(name: str, error: Exception) -> SectionCorrupt:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return SectionCorrupt(f"{name}: not a table of this kind ({reason})")
