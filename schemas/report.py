"""Reports: what a verification found, and what a run spent. No digest covers them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import pyarrow as pa

from schemas import tables

FINDING_SCHEMA = pa.schema(
    [
        pa.field("object", pa.string(), nullable=False),
        pa.field("finding", pa.string()),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("paths", pa.list_(pa.string()), nullable=False),
        pa.field("next_command", pa.string(), nullable=False),
        pa.field("images_checked", pa.int64(), nullable=False),
    ]
)

TIMING_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("files", pa.int64(), nullable=False),
        pa.field("quarantined", pa.int64(), nullable=False),
        pa.field("source_size_bytes", pa.int64(), nullable=False),
        pa.field("blob_size_bytes", pa.int64(), nullable=False),
        pa.field("read_s", pa.float64(), nullable=False),
        pa.field("segment_s", pa.float64(), nullable=False),
        pa.field("encode_s", pa.float64(), nullable=False),
        pa.field("write_s", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Finding:
    """One thing that a verification found wrong: a value, not an exception.

    kind: `blob-damaged`, `pixels-differ` ... object: its name in the archive. paths: the images
    affected, as text by `schemas.names`; empty where they cannot be known.
    """

    kind: str
    object: str
    detail: str
    next_command: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """One object that a verification looked at: how many of its images, and what was wrong."""

    object: str
    images: int = 0
    findings: tuple[Finding, ...] = field(default=())


@dataclass(frozen=True)
class Timing:
    """What one shard took, in seconds of work summed over its batches."""

    shard: str
    files: int
    quarantined: int
    source_size_bytes: int
    blob_size_bytes: int
    read_s: float
    segment_s: float
    encode_s: float
    write_s: float


def serialise_findings(checked: Sequence[Checked]) -> bytes:
    """A verification report: one row per finding, and one without finding per sound object."""
    rows = []
    for item in checked:
        base = {"object": item.object, "images_checked": item.images}
        if not item.findings:
            rows.append({**base, "detail": "", "paths": [], "next_command": ""})
        rows += [
            {
                **base,
                "object": found.object,
                "finding": found.kind,
                "detail": found.detail,
                "paths": list(found.paths),
                "next_command": found.next_command,
            }
            for found in item.findings
        ]
    return tables.serialise(FINDING_SCHEMA, rows)


def serialise_timings(timings: Sequence[Timing]) -> bytes:
    """A run's timings: one row per shard."""
    return tables.serialise(TIMING_SCHEMA, [asdict(timing) for timing in timings])
