"""A plan: which files a run reads, and in which shard each goes. One Parquet row group per shard."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import SectionCorrupt

PLAN_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64()),
        pa.field("problem", pa.string()),
    ]
)
_SETTINGS_KEY = b"seec.settings"


@dataclass(frozen=True)
class SourceFile:
    """One file as the listing saw it.

    path: its text by `schemas.names`. mtime_ns: None where the store has none. problem: why it
    will not be read (a link out of the source, a socket ...), None for a regular file.
    """

    path: str
    size_bytes: int
    mtime_ns: int | None
    problem: str | None = None


@dataclass(frozen=True)
class PlanSettings:
    """All that decides the bytes a run writes, beside its files.

    max_pixels: larger images are stored, not decoded. max_file_size_bytes: larger files are
    quarantined. shard_files, shard_size_bytes: a shard ends when either is reached.
    """

    model_id: str
    segmentation: str = "rate"
    max_pixels: int = 200_000_000
    max_file_size_bytes: int = 2 << 30
    shard_files: int = 256
    shard_size_bytes: int = 128 << 20


@dataclass(frozen=True)
class Plan:
    """An opened plan; shards are read one at a time."""

    settings: PlanSettings
    _file: pq.ParquetFile

    @property
    def shards(self) -> int:
        """How many shards it plans."""
        return self._file.num_row_groups

    @property
    def files(self) -> int:
        """How many files it plans."""
        return self._file.metadata.num_rows

    def shard(self, index: int) -> list[SourceFile]:
        """The files of one shard, sorted by path."""
        rows = self._file.read_row_group(index, columns=PLAN_SCHEMA.names).to_pylist()
        return [SourceFile(**row) for row in rows]

    def shard_rows(self, index: int) -> int:
        """How many files one shard holds."""
        return self._file.metadata.row_group(index).num_rows


def serialise_plan(shards: Iterator[Sequence[SourceFile]], settings: PlanSettings) -> bytes:
    """The bytes of a plan. The same files and settings give the same bytes."""
    metadata = {_SETTINGS_KEY: json.dumps(asdict(settings), sort_keys=True).encode()}
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, PLAN_SCHEMA, version="2.6", compression="zstd", compression_level=9, store_schema=False
    ) as writer:
        writer.add_key_value_metadata(metadata)
        for files in shards:
            rows = [asdict(file) for file in files]
            writer.write_table(pa.Table.from_pylist(rows, schema=PLAN_SCHEMA), row_group_size=len(rows))
    return sink.getvalue().to_pybytes()


def parse_plan(name: str, data: bytes) -> Plan:
    """Open the bytes of a plan; SectionCorrupt if they are none."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        settings = json.loads((file.metadata.metadata or {})[_SETTINGS_KEY])
        return Plan(PlanSettings(**settings), file)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError):
        raise SectionCorrupt(f"{name}: not a plan") from None


def run_id(ordinal: int, plan: bytes) -> str:
    """The id of the run that carries out a plan: its place among the archive's runs, and a digest."""
    return f"{ordinal:04d}-{hashlib.sha256(plan).hexdigest()[:16]}"
