"""Quarantine parts: one row for each file that could not be archived."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from seec.schemas import mtime, tables
from seec.schemas.tables import Column, Table

QUARANTINE = Table(
    "quarantine",
    1,
    (
        Column("path", "string"),
        Column("source_size_bytes", "int64"),
        *mtime.columns("source_"),
        Column("error", "string"),
        Column("reason", "string"),
        Column("run_id", "string"),
    ),
)


@dataclass(frozen=True)
class QuarantineRow:
    """One file that could not be archived. error: a class of `seec.schemas.errors`; reason: why."""

    path: str
    source_size_bytes: int
    source_mtime_ns: int | None
    error: str
    reason: str
    run_id: str


def serialise_quarantine(rows: Sequence[QuarantineRow]) -> bytes:
    """The bytes of a quarantine part; rows must be sorted by path."""
    return tables.serialise(QUARANTINE, [mtime.split(asdict(row), "source_") for row in rows])


def parse_quarantine(name: str, data: bytes) -> list[QuarantineRow]:
    """The rows of a quarantine part; SectionCorrupt if it is none."""
    records = tables.parse(name, data, QUARANTINE)
    return [QuarantineRow(**mtime.join(name, record, "source_")) for record in records]
