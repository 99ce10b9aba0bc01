"""Manifest parts (one row per archived file) and quarantine parts (one row per failed one)."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pickle import PickleBuffer
from typing import Any, NamedTuple, SupportsIndex

from seec.schemas import tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.kinds import DIRECTORY, FILE, KINDS, PERMISSION_BITS
from seec.schemas.loss import MAX_BACKGROUND_ERROR
from seec.schemas.tables import Column

SCHEMA_VERSION = 1
LOSSY_SCHEMA_VERSION = 2  # of a row with a background error, and of no other
JPEG_SCHEMA_VERSION = 3  # of a row with codec jpegxl-jpeg, and of no other
TREE_SCHEMA_VERSION = 4  # of a row that is no file, has permissions, or shares its payload
PLANES_SCHEMA_VERSION = 5  # of a row with codec seec-planes
LOST_SCHEMA_VERSION = 6  # of a row with codec lost, and of no other
GIF_SCHEMA_VERSION = 7  # of a row with format GIF, and of no other
SEEC = "seec"
SEEC_PLANES = "seec-planes"
STORE = "store"
JPEGXL_JPEG = "jpegxl-jpeg"
LOST = "lost"
GIF = "GIF"
CODECS = (SEEC, SEEC_PLANES, JPEGXL_JPEG, STORE, LOST)
UNKNOWN_DIGEST = bytes(32)  # of a lost file of which not even the digest is known

MANIFEST_COLUMNS = (
    Column("path", "string"),
    Column("source_size_bytes", "int64"),
    Column("source_mtime_ns", "int64", nullable=True),
    Column("source_digest", "digest"),
    Column("pixel_digest", "digest", nullable=True),
    Column("codec", "string"),
    Column("reason", "string", nullable=True),
    Column("shard", "string"),
    Column("offset", "int64"),
    Column("length", "int64"),
    Column("blob_digest", "digest"),
    Column("width", "int32", nullable=True),
    Column("height", "int32", nullable=True),
    Column("mode", "string", nullable=True),
    Column("format", "string", nullable=True),
    Column("envelope", "binary", nullable=True),
    Column("model_id", "string", nullable=True),
    Column("rate_bpsp", "float64", nullable=True),
    Column("run_id", "string"),
    Column("schema_version", "int16"),
)
# Versions are of rows. These columns, in this order, are only in parts with rows that need them:
# a part without such rows stays as version 1 has it, the same bytes, and every reader reads it.
LOSSY_COLUMNS = (Column("background_error", "int16", nullable=True),)
PLANES_COLUMNS = (Column("sample_bytes", "int64", nullable=True),)
TREE_COLUMNS = (
    Column("kind", "string"),
    Column("permissions", "int16", nullable=True),
    Column("same_file", "string", nullable=True),
)
_OPTIONAL_COLUMNS = (LOSSY_COLUMNS, PLANES_COLUMNS, TREE_COLUMNS)

QUARANTINE_COLUMNS = (
    Column("path", "string"),
    Column("source_size_bytes", "int64"),
    Column("source_mtime_ns", "int64", nullable=True),
    Column("error", "string"),
    Column("reason", "string"),
    Column("run_id", "string"),
    Column("schema_version", "int16"),
)


@dataclass(frozen=True)
class Row:
    """One archived path.

    path: its text by `seec.schemas.names`, relative to the source. Digests are SHA-256, 32 bytes:
    source_digest of the file, blob_digest of the `length` bytes at `offset` of the shard's blob,
    pixel_digest of shape and samples. codec `seec`: those bytes are a .seec container, and
    width, height (pixels), mode (`L` or `RGB`), format, envelope, model_id, rate_bpsp (coded bits
    per sub-pixel) are set. codec `seec-planes`: they are a payload of `schemas.planes`, the same
    fields are set (width, height and mode, `<samples of a pixel>x<bits of a sample>`, of the first
    picture; pixel_digest as `pipeline.images.raster` makes it), and so is sample_bytes: what all
    samples of all pictures take, each in bytes of its own. codec `jpegxl-jpeg`: they are a JPEG XL
    file that holds the file, which is JPEG; width and height are set, and mode where it is one of
    those. codec `store`: they are the file itself if length equals source_size_bytes, else one
    zstd frame of it; reason says why it was none of the others. codec `lost`: a repair found the
    file nowhere; length is 0, and reason says what happened.
    background_error: as in `schemas.loss`; where it is set, pixel_digest is that of what decoding
    gives, which is not what the source held.
    kind, permissions, same_file: as in `schemas.plan.SourceFile`. A link is stored as if where it
    points to were the content of a file, a directory as if it were an empty file. Rows may share
    a payload; one with same_file shares that of the row it names, which is in the same part.
    """

    path: str
    source_size_bytes: int
    source_mtime_ns: int | None
    source_digest: bytes
    codec: str
    shard: str
    offset: int
    length: int
    blob_digest: bytes
    run_id: str
    pixel_digest: bytes | None = None
    reason: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    format: str | None = None
    envelope: bytes | None = None
    model_id: str | None = None
    rate_bpsp: float | None = None
    schema_version: int = SCHEMA_VERSION
    background_error: int | None = None
    sample_bytes: int | None = None
    kind: str = FILE
    permissions: int | None = None
    same_file: str | None = None


@dataclass(frozen=True)
class Entry:
    """A file's row and its payload, on the way into a shard: shard, offset and run_id are open."""

    row: Row
    payload: bytes | memoryview

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        # Out of band, if pickled so: a worker that gets it through shared memory makes no copy.
        payload = self.payload
        return _entry, (self.row, PickleBuffer(payload) if int(protocol) >= 5 else bytes(payload))


def _entry(row: Row, payload: Any) -> Entry:
    return Entry(row, payload if isinstance(payload, bytes) else memoryview(payload))


@dataclass(frozen=True)
class QuarantineRow:
    """One file that could not be archived. error: a class of `seec.schemas.errors`; reason: why."""

    path: str
    source_size_bytes: int
    source_mtime_ns: int | None
    error: str
    reason: str
    run_id: str
    schema_version: int = SCHEMA_VERSION


def schema_version(row: Row, *, shares: bool = False) -> int:
    """The version that a row must have: the highest of those that what it says came with.

    shares: whether its payload is that of a row before it.
    """
    if row.codec == LOST:
        return LOST_SCHEMA_VERSION
    if row.codec == SEEC_PLANES:
        return GIF_SCHEMA_VERSION if row.format == GIF else PLANES_SCHEMA_VERSION
    if shares or any(_says(row, column) for column in TREE_COLUMNS):
        return TREE_SCHEMA_VERSION
    if row.codec == JPEGXL_JPEG:
        return JPEG_SCHEMA_VERSION
    return SCHEMA_VERSION if row.background_error is None else LOSSY_SCHEMA_VERSION


def blob_size(rows: Iterable[Row]) -> int:
    """How many bytes a blob of these rows has."""
    return max((row.offset + row.length for row in rows), default=0)


def lost_row(
    path: str, size_bytes: int, mtime_ns: int | None, source_digest: bytes, reason: str
) -> Row:
    """The row of a file that was archived and cannot be had any more."""
    return Row(
        path=path,
        source_size_bytes=size_bytes,
        source_mtime_ns=mtime_ns,
        source_digest=source_digest,
        codec=LOST,
        shard="",
        offset=0,
        length=0,
        blob_digest=hashlib.sha256(b"").digest(),
        run_id="",
        reason=reason,
        schema_version=LOST_SCHEMA_VERSION,
    )


def serialise_manifest(rows: Sequence[Row]) -> bytes:
    """The bytes of a manifest part; rows must be sorted by path."""
    columns = MANIFEST_COLUMNS
    for optional in _OPTIONAL_COLUMNS:
        if any(_says(row, column) for row in rows for column in optional):
            columns += optional
    return tables.serialise(columns, [asdict(row) for row in rows])


def parse_manifest(name: str, data: bytes) -> list[Row]:
    """The rows of a manifest part. SectionCorrupt if a rule of the format does not hold."""
    columns = _columns_among(tables.column_names(name, data))
    rows = [Row(**fields) for fields in tables.parse(name, data, columns)]
    before: dict[str, Row] = {}
    for row in rows:
        _check_fields(name, row)
        if row.same_file is not None and not is_same_file(before.get(row.same_file), row):
            raise SectionCorrupt(f"{name}: {row.path}: not the same file as {row.same_file}")
        before[row.path] = row
    _check_places(name, rows)
    return rows


def parse_matching(
    name: str, data: bytes, wanted: Callable[[Sequence[str]], list[int]]
) -> tuple[list[str], list[Row]]:
    """All paths of a manifest part, and the rows of those that are wanted.

    wanted: gives the indices of these among all paths. Only those rows are parsed and checked, as
    far as a row can be checked without the others; where it cannot, all are. SectionCorrupt if a
    rule of the format does not hold.
    """
    excerpt = tables.Excerpt(name, data)
    paths = excerpt.column("path")
    indices = wanted(paths)
    if not indices:
        return paths, []
    columns = _columns_among(excerpt.column_names)
    rows = [Row(**fields) for fields in excerpt.rows(columns, indices)]
    if not all(map(_stands_alone, rows)):
        whole = parse_manifest(name, data)
        return paths, [whole[index] for index in indices]
    for row in rows:
        _check_fields(name, row)
    return paths, rows


def _columns_among(names: Collection[str]) -> tuple[Column, ...]:
    """The columns that a manifest part must have that has these."""
    columns = MANIFEST_COLUMNS
    for optional in _OPTIONAL_COLUMNS:
        if optional[0].name in names:
            columns += optional
    return columns


def _stands_alone(row: Row) -> bool:
    """Whether a row keeps those rules that hold for rows which have nothing to do with others."""
    return (
        row.same_file is None
        and row.codec in CODECS
        and row.schema_version == schema_version(row)
        and min(row.offset, row.length, row.source_size_bytes) >= 0
    )


def _check_places(name: str, rows: Sequence[Row]) -> None:
    """SectionCorrupt unless rows are in order, and payloads fill the blob without gaps."""
    payloads: set[tuple[int, int, bytes]] = set()
    end, last = 0, None
    for row in rows:
        shares = row.offset != end
        if row.codec not in CODECS or row.schema_version != schema_version(row, shares=shares):
            raise SectionCorrupt(f"{name}: {row.path}: codec or schema version unknown")
        if last is not None and last >= row.path:
            raise SectionCorrupt(f"{name}: {row.path}: rows are not sorted by path")
        payload = (row.offset, row.length, row.blob_digest)
        if row.length < 0 or row.source_size_bytes < 0 or (shares and payload not in payloads):
            raise SectionCorrupt(f"{name}: {row.path}: offset or length out of order")
        last = row.path
        if not shares and row.length:
            payloads.add(payload)
            end += row.length


def _check_fields(name: str, row: Row) -> None:
    needed = (row.pixel_digest, row.format, row.model_id)
    if row.codec in (SEEC, SEEC_PLANES) and None in needed:
        raise SectionCorrupt(f"{name}: {row.path}: a field that codec {row.codec} needs is missing")
    if (row.codec == SEEC_PLANES) != (row.sample_bytes is not None):
        raise SectionCorrupt(f"{name}: {row.path}: sample_bytes is for codec seec-planes alone")
    if row.codec == JPEGXL_JPEG and min(row.width or 0, row.height or 0) < 1:
        raise SectionCorrupt(f"{name}: {row.path}: codec jpegxl-jpeg needs width and height")
    if row.codec == LOST and row.length:
        raise SectionCorrupt(f"{name}: {row.path}: is lost, and has a payload")
    if row.background_error is not None and not _may_lose(row):
        raise SectionCorrupt(f"{name}: {row.path}: a background error that cannot be")
    _check_kind(name, row)


def _check_kind(name: str, row: Row) -> None:
    if row.permissions is not None and not 0 <= row.permissions <= PERMISSION_BITS:
        raise SectionCorrupt(f"{name}: {row.path}: permissions that cannot be")
    if row.kind not in KINDS or (row.kind != FILE and (row.codec, row.same_file) != (STORE, None)):
        raise SectionCorrupt(f"{name}: {row.path}: a kind that is unknown or stored otherwise")
    if row.kind == DIRECTORY and row.source_size_bytes:
        raise SectionCorrupt(f"{name}: {row.path}: a directory with content")


def is_same_file(first: Row | None, row: Row) -> bool:
    """Whether a row may name `first` as its `same_file`: only where they stand differs."""
    if first is None or first.same_file is not None:
        return False
    apart = {"path": row.path, "same_file": row.same_file, "schema_version": row.schema_version}
    offset = row.offset if row.length == 0 else first.offset
    return replace(first, offset=offset, **apart) == row


def _says(row: Row, column: Column) -> bool:
    """Whether a row needs this optional column: it holds something else than its default."""
    return getattr(row, column.name) != getattr(Row, column.name)


def parse_paths(name: str, data: bytes) -> list[str]:
    """The paths of a manifest part, whose rows are not checked; SectionCorrupt if it is none."""
    return tables.read_columns(name, data, ("path",))[0]


class Identity(NamedTuple):
    """What tells whether a path of a source is what was archived; fields of `Row`."""

    path: str
    source_size_bytes: int
    source_mtime_ns: int | None
    source_digest: bytes
    codec: str
    kind: str
    permissions: int | None


def parse_identities(name: str, data: bytes) -> Iterator[Identity]:
    """The identities of a manifest part's rows, which are not checked; SectionCorrupt if none."""
    wanted = Identity._fields
    if TREE_COLUMNS[0].name in tables.column_names(name, data):
        return map(Identity._make, zip(*tables.read_columns(name, data, wanted), strict=True))
    known = tables.read_columns(name, data, wanted[:5])
    return map(Identity._make, zip(*known, repeat(FILE), repeat(None)))


def _may_lose(row: Row) -> bool:
    return row.codec == SEEC and 0 <= (row.background_error or 0) <= MAX_BACKGROUND_ERROR


def serialise_quarantine(rows: Sequence[QuarantineRow]) -> bytes:
    """The bytes of a quarantine part; rows must be sorted by path."""
    return tables.serialise(QUARANTINE_COLUMNS, [asdict(row) for row in rows])


def parse_quarantine(name: str, data: bytes) -> list[QuarantineRow]:
    """The rows of a quarantine part; SectionCorrupt if it is none."""
    return [QuarantineRow(**fields) for fields in tables.parse(name, data, QUARANTINE_COLUMNS)]
