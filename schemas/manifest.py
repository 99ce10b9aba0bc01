"""Manifest parts as tables: a record for each row."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from seec.schemas import mtime, tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.manifest_rules import check_fields, check_places, is_same_file
from seec.schemas.rows import ImageFacts, Row, SampleFacts
from seec.schemas.tables import Column, Record, Table
from seec.schemas.trees import trees, with_depths

_IMAGE_COLUMNS = (
    Column("width", "int32", nullable=True),
    Column("height", "int32", nullable=True),
    Column("mode", "string", nullable=True),
    Column("format", "string", nullable=True),
)
_SAMPLE_COLUMNS = (
    Column("pixel_digest", "digest", nullable=True),
    Column("sample_bytes", "int64", nullable=True),
)
_TOP = Column("top", "int32", nullable=True)
MANIFEST = Table(
    "manifest",
    1,
    (
        Column("path", "string"),
        Column("piece", "int32", nullable=True),
        Column("depth", "int16"),
        Column("member", "string", nullable=True),
        Column("start", "int64", nullable=True),
        Column("packing", "string", nullable=True),
        Column("kind", "string"),
        Column("permissions", "int16", nullable=True),
        Column("same_file", "string", nullable=True),
        Column("source_size_bytes", "int64"),
        *mtime.columns("source_"),
        Column("source_digest", "digest"),
        Column("route", "string"),
        Column("reason", "string", nullable=True),
        Column("shard", "string"),
        Column("offset", "int64"),
        Column("length", "int64"),
        Column("blob_digest", "digest"),
        *_IMAGE_COLUMNS,
        *_SAMPLE_COLUMNS,
        _TOP,
        Column("envelope", "binary", nullable=True),
        Column("envelope_length", "int64", nullable=True),
        Column("background_error", "int16", nullable=True),
        Column("model_id", "string", nullable=True),
        Column("blob", "string", nullable=True, optional=True),
    ),
)


def serialise_manifest(rows: Sequence[Row]) -> bytes:
    """The bytes of a manifest part; rows must be sorted by `Row.key`."""
    return tables.serialise(MANIFEST, [record for row in rows for record in to_records(row)])


def parse_manifest(name: str, data: bytes) -> list[Row]:
    """The rows of a manifest part.

    SectionCorrupt if a rule of the format does not hold, UnsupportedVersion if the part is of
    another version.
    """
    rows = list(from_records(name, tables.parse(name, data, MANIFEST)))
    before: dict[str, Row] = {}
    for row in rows:
        if row.same_file is not None and not is_same_file(before.get(row.same_file), row):
            raise SectionCorrupt(f"{name}: {row.path}: not the same file as {row.same_file}")
        before[row.path] = row
    check_places(name, rows)
    return rows


def each_row(
    name: str,
    data: bytes,
    path_range: tuple[str, str] | None,
    wanted: Callable[[Sequence[str]], list[int]],
    *,
    envelopes: bool = False,
) -> Iterator[Row]:
    """The rows of a manifest part that are wanted, one by one.

    path_range: the first and last path of the part. wanted: as in `parse_matching`, asked for each
    row group. envelopes: with the envelopes that are in rows, else with None for each. Only a row
    group is in memory at a time. Raises as `parse_manifest`, in the middle; each row is checked as
    far as that goes without the others.
    """
    groups = tables.Groups(name, data, MANIFEST, () if envelopes else ("envelope",))
    ends: list[str] = []

    def records() -> Iterator[Record]:
        for index in range(len(groups)):
            paths, records = groups.some(index, "path", wanted)
            if any(one > two for one, two in pairwise([*ends[-1:], *paths])):
                raise SectionCorrupt(f"{name}: rows are not sorted by path")
            if paths:
                ends[:] = [ends[0] if ends else paths[0], paths[-1]]
            yield from records

    last = None
    for row in from_records(name, records()):
        if last is not None and last >= row.key:
            raise SectionCorrupt(f"{name}: rows are not sorted by path")
        last = row.key
        yield row
    if path_range != ((ends[0], ends[-1]) if ends else None):
        raise SectionCorrupt(f"{name}: other paths than its commit says")


def to_records(row: Row) -> Iterator[Record]:
    """The values by column, of a row and of its members."""
    for depth, one in with_depths(row):
        yield to_record(one, depth, row.path)


def to_record(row: Row, depth: int = 0, path: str | None = None) -> Record:
    """The values of a row by column. depth: how many rows it is below. path: of its file."""
    image, samples = row.image, row.samples
    return {
        "path": row.path if path is None else path,
        "piece": row.piece,
        "depth": depth,
        "member": row.path[len(path or "") + 1 :] if depth else None,
        "start": row.start,
        "packing": row.packing,
        "kind": row.kind,
        "permissions": row.permissions,
        "same_file": row.same_file,
        "source_size_bytes": row.source_size_bytes,
        **mtime.split({"source_mtime_ns": row.source_mtime_ns}, "source_"),
        "source_digest": row.source_digest,
        "route": row.route,
        "reason": row.reason,
        "shard": row.shard,
        "offset": row.offset,
        "length": row.length,
        "blob_digest": row.blob_digest,
        "width": image and image.width,
        "height": image and image.height,
        "mode": image and image.mode,
        "format": image and image.format,
        "pixel_digest": samples and samples.digest,
        "sample_bytes": samples and samples.size_bytes,
        "top": samples and samples.top,
        "envelope": samples and samples.envelope,
        "envelope_length": row.envelope_length,
        "background_error": samples and samples.background_error,
        "model_id": row.model_id,
        "blob": row.blob,
    }


def from_records(name: str, records: Iterable[Record]) -> Iterator[Row]:
    """Rows with their members; SectionCorrupt if a rule does not hold that says nothing of others.

    records: taken apart, one by one.
    """

    def rows() -> Iterator[tuple[int, Row]]:
        for record in records:
            depth = record.pop("depth")
            row = from_record(name, depth, record)
            check_fields(name, row)
            yield depth, row

    return trees(name, rows())


def from_record(name: str, depth: int, record: Record) -> Row:
    """A row from its values by column, which this takes apart. SectionCorrupt if some lack."""
    member = record.pop("member")
    if (member is not None) != (depth != 0):
        raise SectionCorrupt(f"{name}: {record['path']}: a member without a name")
    if member is not None:
        record["path"] += f"/{member}"
    image = _all_or_none(name, record, _IMAGE_COLUMNS)
    samples = _all_or_none(name, record, _SAMPLE_COLUMNS)
    background_error, top = record.pop("background_error"), record.pop("top")
    if samples is None and (background_error, top) != (None, None):
        raise SectionCorrupt(f"{name}: {record['path']}: says of samples what goes with none")
    was_read = "envelope" in record
    envelope = record.pop("envelope", None)
    in_row, behind = envelope is not None, record["envelope_length"] is not None
    if (in_row or behind) if samples is None else (was_read and in_row == behind):
        raise SectionCorrupt(f"{name}: {record['path']}: one envelope goes with samples")
    return Row(
        **mtime.join(name, record, "source_"),
        image=None if image is None else ImageFacts(*image),
        samples=None
        if samples is None
        else SampleFacts(*samples, envelope=envelope, background_error=background_error, top=top),
    )


def _all_or_none(name: str, record: Record, columns: tuple[Column, ...]) -> list[Any] | None:
    values = [record.pop(column.name) for column in columns]
    missing = values.count(None)
    if missing == len(values):
        return None
    if missing:
        names = ", ".join(column.name for column in columns)
        raise SectionCorrupt(f"{name}: {record['path']}: has some of {names}, but not all")
    return values


def parse_paths(name: str, data: bytes) -> list[str]:
    """The paths of a manifest part, whose rows are not checked; SectionCorrupt if it is none."""
    return tables.read_columns(name, data, MANIFEST, ("path",))[0]


class Identity(NamedTuple):
    """What tells whether a path of a source is what was archived; fields of `Row`."""

    path: str
    source_size_bytes: int
    source_mtime_ns: int | None
    source_digest: bytes
    route: str
    kind: str
    permissions: int | None


def parse_identities(name: str, data: bytes) -> Iterator[Identity]:
    """The identities of the files of a manifest part, whose rows are not checked.

    SectionCorrupt if it is none.
    """
    fields = ("depth", "piece", "source_mtime_s", "source_mtime_fraction_ns", *Identity._fields)
    wanted = [field for field in fields if field != "source_mtime_ns"]
    columns = tables.read_columns(name, data, MANIFEST, wanted)
    for depth, piece, seconds, fraction_ns, path, size, *others in zip(*columns, strict=True):
        if depth == 0 and piece is None:
            yield Identity(path, size, mtime.joined(name, seconds, fraction_ns), *others)
