"""Parquet tables as reproducible bytes: the same rows give the same file."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import SectionCorrupt

ROW_GROUP_ROWS = 1024
COMPRESSION_LEVEL = 9


def serialise(
    schema: pa.Schema, rows: Sequence[dict[str, Any]], row_group_rows: int = ROW_GROUP_ROWS
) -> bytes:
    """The bytes of a Parquet file with these rows, in this order."""
    return serialise_table(pa.Table.from_pylist(list(rows), schema=schema), row_group_rows)


def serialise_table(table: pa.Table, row_group_rows: int = ROW_GROUP_ROWS) -> bytes:
    """The bytes of a Parquet file. Every writer setting is fixed here, none left to a default."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=row_group_rows,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=True,
        write_statistics=True,
        store_schema=False,
    )
    return sink.getvalue().to_pybytes()


def parse(name: str, data: bytes, schema: pa.Schema) -> pa.Table:
    """The table in a Parquet file; SectionCorrupt if it is none or lacks the schema's columns."""
    try:
        table = pq.read_table(pa.BufferReader(data))
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SectionCorrupt(f"{name}: not a table of this kind ({reason})") from None
