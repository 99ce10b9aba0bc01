"""Reports: what a verification found, and what a run spent. No digest covers them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from seec.schemas import tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.json_text import parse_json
from seec.schemas.tables import Column, Record, Table

# How a verification checks: all bytes; all bytes and all pixels; all bytes and some pixels.
CHECKSUM, DECODE, SAMPLE = MODES = ("checksum", "decode", "sample")
_ABOUT_KEY = b"seec.report"

FINDINGS = Table(
    "findings",
    1,
    (
        Column("object", "string"),
        Column("finding", "string", nullable=True),
        Column("detail", "string"),
        Column("paths", "strings"),
        Column("next_command", "string"),
        Column("images_checked", "int64"),
        Column("images_decoded", "int64"),
        Column("images_lossy", "int64"),
        Column("files_lost", "int64"),
    ),
)

TIMINGS = Table(
    "timings",
    1,
    (
        Column("shard", "string"),
        Column("files", "int64"),
        Column("quarantined", "int64"),
        Column("source_size_bytes", "int64"),
        Column("blob_size_bytes", "int64"),
        Column("shared_size_bytes", "int64"),
        Column("read_s", "float64"),
        Column("segment_s", "float64"),
        Column("encode_s", "float64"),
        Column("write_s", "float64"),
    ),
)


@dataclass(frozen=True)
class Finding:
    """One thing that a verification found wrong: a value, not an exception.

    kind: `blob-damaged`, `pixels-differ` ... object: its name in the archive. paths: the images
    affected, as text by `seec.schemas.names`; empty where they cannot be known.
    """

    kind: str
    object: str
    detail: str
    next_command: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """One object that a verification looked at, and what was wrong with it.

    images: of a blob, how many had their bytes checked. decoded: how many their pixels. lossy:
    how many have, as asked for, a lossy background: they decode to what was recorded, and that is
    not what the source held. lost: how many files a repair gave up; they are none of the images.
    frozen: 1 if it is in cold storage and was not read; not in reports.
    """

    object: str
    images: int = 0
    decoded: int = 0
    findings: tuple[Finding, ...] = ()
    lossy: int = 0
    lost: int = 0
    frozen: int = 0

    def __add__(self, other: "Checked") -> "Checked":
        """Both checks of one object together."""
        return Checked(
            self.object,
            self.images + other.images,
            self.decoded + other.decoded,
            self.findings + other.findings,
            self.lossy + other.lossy,
            self.lost + other.lost,
            max(self.frozen, other.frozen),
        )


@dataclass(frozen=True)
class Previous:
    """The report before: its name, and the hex SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class About:
    """What a verification was: by which software, on which machine, when, of what.

    begun, ended: in UTC, as ISO 8601 has it. digest, commits: of the archive. checked: what was
    chosen, by the names of options. previous: None for the first report.
    """

    software: str
    python: str
    machine: str
    begun: str
    ended: str
    digest: str
    commits: int
    checked: dict[str, Any]
    previous: Previous | None


@dataclass(frozen=True)
class Timing:
    """What one shard took, in seconds of work summed over its batches.

    shared_size_bytes: of its files and pieces that share payloads of earlier runs.
    """

    shard: str
    files: int
    quarantined: int
    source_size_bytes: int
    blob_size_bytes: int
    shared_size_bytes: int
    read_s: float
    segment_s: float
    encode_s: float
    write_s: float


def serialise_findings(checked: Sequence[Checked], about: "About | None" = None) -> bytes:
    """A verification report: one row per finding, and one without finding per sound object."""
    rows: list[Record] = []
    for item in checked:
        base = {
            "images_checked": item.images,
            "images_decoded": item.decoded,
            "images_lossy": item.lossy,
            "files_lost": item.lost,
        }
        if not item.findings:
            empty: Record = {"object": item.object, "detail": "", "paths": [], "next_command": ""}
            rows.append({**base, **empty})
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
    told = {} if about is None else {_ABOUT_KEY: json.dumps(asdict(about), sort_keys=True).encode()}
    return tables.serialise(FINDINGS, rows, told)


def parse_about(name: str, data: bytes) -> "About | None":
    """Who wrote a report, and of what; None if it does not say. SectionCorrupt if it is none."""
    text = tables.Groups(name, data, FINDINGS).metadata.get(_ABOUT_KEY)
    if text is None:
        return None
    try:
        said = cast(dict[str, Any], parse_json(text))
        previous = said.pop("previous")
        return About(**said, previous=None if previous is None else Previous(**previous))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SectionCorrupt(f"{name}: says nothing sound about who wrote it") from None


def parse_findings(name: str, data: bytes) -> list[Checked]:
    """What a verification report says of each object; SectionCorrupt if it is none."""
    checked: dict[str, Checked] = {}
    for row in tables.parse(name, data, FINDINGS):
        name_of = row["object"]
        so_far = checked.get(name_of) or Checked(
            name_of,
            row["images_checked"],
            row["images_decoded"],
            lossy=row["images_lossy"],
            lost=row["files_lost"],
        )
        if row["finding"] is not None:
            what = (row["finding"], name_of, row["detail"], row["next_command"])
            found = Finding(*what, tuple(row["paths"]))
            so_far = replace(so_far, findings=(*so_far.findings, found))
        checked[name_of] = so_far
    return list(checked.values())


def serialise_timings(timings: Sequence[Timing]) -> bytes:
    """A run's timings: one row per shard."""
    return tables.serialise(TIMINGS, [asdict(timing) for timing in timings])
