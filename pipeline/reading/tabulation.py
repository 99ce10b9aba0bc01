"""The manifest of an archive as one table of Arrow, with the rows that count."""

# pyarrow ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from seec.pipeline.archive.patterns import Patterns
from seec.pipeline.reading.listing import files_by_shard
from seec.pipeline.reading.lookup import Lookup
from seec.schemas.kinds import KINDS

# Those of the manifest, but for its envelopes, and with one column for the time. Stable: programs
# rely on names and types.
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("kind", pa.string()),
        ("permissions", pa.int16()),
        ("same_file", pa.string()),
        ("source_size_bytes", pa.int64()),
        ("source_mtime", pa.timestamp("us", "UTC")),
        ("source_digest", pa.binary(32)),
        ("route", pa.string()),
        ("reason", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("blob_digest", pa.binary(32)),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mode", pa.string()),
        ("format", pa.string()),
        ("pixel_digest", pa.binary(32)),
        ("sample_bytes", pa.int64()),
        ("top", pa.int32()),
        ("envelope_length", pa.int64()),
        ("background_error", pa.int16()),
        ("model_id", pa.string()),
        ("blob", pa.string()),
    ]
)
_TIME = "source_mtime"
_TIME_PARTS = ("source_mtime_s", "source_mtime_fraction_ns")
_FARTHEST_S = 1 << 43  # some 280,000 years: what microseconds hold


def tabulated(lookup: Lookup, columns: Sequence[str], include: Sequence[str]) -> Any:
    """Columns of all rows that count; see `OpenedArchive.table`."""
    wanted = list(columns) or SCHEMA.names
    if unknown := sorted(set(wanted) - set(SCHEMA.names)):
        raise ValueError(f"no column {', '.join(unknown)}; there are {', '.join(SCHEMA.names)}")
    schema = pa.schema([SCHEMA.field(name) for name in wanted])
    names = [name for name in wanted if name != _TIME]
    if _TIME in wanted:
        names += _TIME_PARTS
    parts = [
        _shaped(lookup.part(shard).table(names, numbers), schema)
        for shard, numbers, _ in files_by_shard(lookup, wanted=Patterns(include), kinds=KINDS)
        if numbers
    ]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _shaped(part: Any, schema: Any) -> Any:
    if _TIME in schema.names:
        part = part.append_column(_TIME, [_times(*map(part.column, _TIME_PARTS))])
    return part.select(schema.names).cast(schema)


def _times(seconds: Any, fractions_ns: Any) -> Any:
    """Microseconds since 1970; null where there is no time, or one that these do not hold."""
    known = seconds.fill_null(_FARTHEST_S).to_numpy()
    micros = np.clip(known, -_FARTHEST_S, _FARTHEST_S) * 10**6
    micros += fractions_ns.fill_null(0).to_numpy() // 1000
    return pa.array(micros, pa.timestamp("us", "UTC"), mask=np.abs(known) >= _FARTHEST_S)
