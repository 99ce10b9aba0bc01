"""When a file was modified: one number of nanoseconds in programs, two columns in tables.

Nanoseconds since 1970 pass 64 bits in the year 2262, and file systems hold later times. Whole
seconds and what is above them never do, and compress better.
"""

from seec.schemas.errors import SectionCorrupt
from seec.schemas.tables import Column, Record

_SECOND_NS = 1_000_000_000


def columns(prefix: str = "") -> tuple[Column, Column]:
    """Whole seconds since 1970, rounded down, and the nanoseconds above them; both may be null."""
    return (
        Column(f"{prefix}mtime_s", "int64", nullable=True),
        Column(f"{prefix}mtime_fraction_ns", "int32", nullable=True),
    )


def split(record: Record, prefix: str = "") -> Record:
    """The record with `columns` instead of `mtime_ns`, which is in nanoseconds or None."""
    values = dict(record)
    mtime_ns: int | None = values.pop(f"{prefix}mtime_ns")
    parts = (None, None) if mtime_ns is None else divmod(mtime_ns, _SECOND_NS)
    return values | {c.name: part for c, part in zip(columns(prefix), parts, strict=True)}


def join(name: str, record: Record, prefix: str = "") -> Record:
    """What `split` took apart. name: of the table, for messages. Raises SectionCorrupt."""
    values = dict(record)
    seconds, fraction_ns = (values.pop(column.name) for column in columns(prefix))
    return values | {f"{prefix}mtime_ns": joined(name, seconds, fraction_ns)}


def joined(name: str, seconds: int | None, fraction_ns: int | None) -> int | None:
    """Nanoseconds since 1970; None if the table has no time. Raises SectionCorrupt."""
    if seconds is None and fraction_ns is None:
        return None
    if seconds is None or fraction_ns is None or not 0 <= fraction_ns < _SECOND_NS:
        raise SectionCorrupt(f"{name}: a time of {seconds} s and {fraction_ns} ns")
    return seconds * _SECOND_NS + fraction_ns
