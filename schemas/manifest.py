"""Manifest parts (one row per archived path) and quarantine parts (one row per failed one)."""

import hashlib
import re
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pickle import PickleBuffer
from typing import Any, NamedTuple, SupportsIndex

from seec.schemas import mtime, tables
from seec.schemas.errors import LimitExceeded, SectionCorrupt
from seec.schemas.kinds import DIRECTORY, FILE, KINDS, LINK, PERMISSION_BITS
from seec.schemas.limits import MAX_FILE_BYTES, MAX_NUMBER, MAX_PIXEL_BYTES, MAX_STACK_PIXELS
from seec.schemas.loss import MAX_BACKGROUND_ERROR
from seec.schemas.routes import LOST, PIECES, ROUTES, RouteRules, is_lost
from seec.schemas.tables import Column, Record, Table
from seec.schemas.trees import renamed, trees, with_depths

_MODEL_ID = re.compile("[0-9a-f]{64}")
_MODE = re.compile("L|RGB|[1-9][0-9]?x[1-9][0-9]?")
UNKNOWN_DIGEST = bytes(32)  # of a lost file of which not even the digest is known
ENVELOPE_BYTES_IN_ROW = 4096  # a longer envelope is in the blob

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
    ),
)
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
class ImageFacts:
    """What is known of an image file without decoding it.

    width, height: pixels. mode: `L` (gray) or `RGB`, 8 bits a sample, or `<samples of a
    pixel>x<bits of a sample>`; all three of the first picture, if the file holds several. format:
    of the file, as `pipeline.images` names formats.
    """

    width: int
    height: int
    mode: str
    format: str

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def pixel_bytes(self) -> int:
        """Bytes of the samples of a pixel, each in bytes of its own; ValueError for no mode."""
        if self.mode in ("L", "RGB"):
            return len(self.mode)
        samples, _, bits = self.mode.partition("x")
        return int(samples) * -(-int(bits) // 8)


@dataclass(frozen=True)
class SampleFacts:
    """What is known of a file whose samples were coded, and not its bytes.

    digest: the pixel digest (FORMAT.md) of what decoding gives. size_bytes: what all samples of all
    pictures take, each in bytes of its own. top: of an image in a stack, the row of the stack in
    which the image begins; digest and size_bytes are those of the stack then. envelope: what the
    file says beside its samples; None where that lies behind the payload, or was not read.
    background_error: as in `schemas.loss`; where it is set, the source held other samples.
    """

    digest: bytes
    size_bytes: int
    envelope: bytes | None = b""
    background_error: int | None = None
    top: int | None = None


@dataclass(frozen=True)
class Row:
    """One archived path: what it was, which way it took, where its payload is.

    path: its text by `seec.schemas.names`, relative to the source. kind, permissions, same_file: as
    in `schemas.plan.SourceFile`. A link is stored as if where it points to were the content of a
    file, a directory as if it were an empty file. Digests are SHA-256, 32 bytes: source_digest of
    the file, blob_digest of the `length` bytes at `offset` of the blob of `shard`, which is
    `<run>/<shard>`. These are the payload, and behind it, where envelope_length is set, the
    envelope: one zstd frame of so many bytes. Rows may share these bytes; one with same_file shares
    those of the row it names, which is in the same part.

    route: what the payload is, one of ROUTES. `seec`: a .seec file. `seec-planes`: a payload of
    `schemas.planes`. `seec-jpeg`: the coded coefficients of the file, which is JPEG.
    `jpegxl-jpeg`: a JPEG XL file that holds the file, which is JPEG. `spans`: what lies between the
    members of a file that holds images. `pieces`: a list of the pieces of a file that was cut, by
    `schemas.pieces`. `store`: the file itself if
    length equals source_size_bytes, else one zstd frame of it. `lost`: a repair found the file
    nowhere, and length is 0. reason: why it is stored or lost, else None. image: of the routes of
    images. samples: of `seec` and `seec-planes`. model_id: of the model that decodes the payload,
    if that takes one.

    members: rows of images within the file, or within a part of it that is unpacked first; in the
    order of their start, without overlap. Sizes and digests of a member are of its content.
    start: where a member begins in the content of the row that it is a member of, or a piece in its
    file. packing: how the bytes there come from the content of a member, one of `schemas.spans`;
    None if they are the content. The path of a member is that of the file, `/`, and a name. piece:
    which piece of its file the row is; None if it is the whole file, and in members.
    """

    path: str
    source_size_bytes: int
    source_mtime_ns: int | None
    source_digest: bytes
    route: str
    shard: str = ""
    offset: int = 0
    length: int = 0
    blob_digest: bytes = b""
    reason: str | None = None
    kind: str = FILE
    permissions: int | None = None
    same_file: str | None = None
    image: ImageFacts | None = None
    samples: SampleFacts | None = None
    envelope_length: int | None = None
    model_id: str | None = None
    members: "tuple[Row, ...]" = ()
    start: int | None = None
    packing: str | None = None
    piece: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What rows of a manifest part are sorted by, which is different for each."""
        return self.path, -1 if self.piece is None else self.piece

    @property
    def label(self) -> str:
        """The path; of a piece also which one: different for each row of a part."""
        return self.path if self.piece is None else f"{self.path}, piece {self.piece}"

    def tree(self) -> "Iterator[Row]":
        """The row, and behind each row its members."""
        yield self
        for one in self.members:
            yield from one.tree()

    @property
    def tree_length(self) -> int:
        """Bytes of all payloads of the tree."""
        return sum(row.length for row in self.tree())

    @property
    def stored_bytes(self) -> int:
        """Bytes that the row, with its members, takes in the blob; of a stack, by its pixels."""
        return sum(map(_share, self.tree()))

    @property
    def payload_length(self) -> int:
        """Bytes of the payload, without an envelope behind it."""
        return self.length - (self.envelope_length or 0)

    @property
    def is_key(self) -> bool:
        """Whether the path is the key of an object: stores keep no permissions."""
        return self.permissions is None and self.kind != LINK

    @property
    def is_marker(self) -> bool:
        """Whether it is an empty object `dir/`, which marks a directory in a store."""
        return self.kind == DIRECTORY and self.path.endswith("/")

    @property
    def run_id(self) -> str:
        """The run that wrote the shard."""
        return self.shard.rpartition("/")[0]

    @property
    def lost(self) -> bool:
        """Whether there is no file to restore any more, or not all of it."""
        return is_lost(self.route) or any(row.lost for row in self.members)

    @property
    def background_error(self) -> int | None:
        """As in `schemas.loss`; None where nothing is lost."""
        return None if self.samples is None else self.samples.background_error

    @property
    def rate_bpsp(self) -> float | None:
        """Coded bits per byte of samples; of 8-bit images that is per sub-pixel."""
        return None if self.samples is None else 8 * self.payload_length / self.samples.size_bytes


def _share(row: Row) -> int:
    image, samples = row.image, row.samples
    if image is None or samples is None or samples.top is None:
        return row.length
    return -(-row.length * image.pixels * image.pixel_bytes // samples.size_bytes)


@dataclass(frozen=True)
class Entry:
    """A file's row and its bytes in a blob, on the way into a shard: shard and offset are open.

    payload: with the envelope behind it, where there is one; of a row with members, the payloads
    of its tree, in the order of `Row.tree`.
    """

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


def blob_size(rows: Iterable[Row]) -> int:
    """How many bytes a blob of these rows has."""
    return max((row.offset + row.length for one in rows for row in one.tree()), default=0)


def lost_row(
    path: str, size_bytes: int, mtime_ns: int | None, source_digest: bytes, reason: str
) -> Row:
    """The row of a file that was archived and cannot be had any more."""
    return Row(
        path=path,
        source_size_bytes=size_bytes,
        source_mtime_ns=mtime_ns,
        source_digest=source_digest,
        route=LOST,
        blob_digest=hashlib.sha256(b"").digest(),
        reason=reason,
    )


def serialise_manifest(rows: Sequence[Row]) -> bytes:
    """The bytes of a manifest part; rows must be sorted by `Row.key`."""
    return tables.serialise(MANIFEST, [record for row in rows for record in to_records(row)])


def parse_manifest(name: str, data: bytes) -> list[Row]:
    """The rows of a manifest part.

    SectionCorrupt if a rule of the format does not hold, UnsupportedVersion if the part is of
    another version.
    """
    rows = list(_from_records(name, tables.parse(name, data, MANIFEST)))
    before: dict[str, Row] = {}
    for row in rows:
        if row.same_file is not None and not is_same_file(before.get(row.same_file), row):
            raise SectionCorrupt(f"{name}: {row.path}: not the same file as {row.same_file}")
        before[row.path] = row
    _check_places(name, rows)
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
    for row in _from_records(name, records()):
        if last is not None and last >= row.key:
            raise SectionCorrupt(f"{name}: rows are not sorted by path")
        last = row.key
        yield row
    if path_range != ((ends[0], ends[-1]) if ends else None):
        raise SectionCorrupt(f"{name}: other paths than its commit says")


def parse_matching(
    name: str, data: bytes, wanted: Callable[[Sequence[str]], list[int]]
) -> tuple[list[str], list[Row]]:
    """All paths of a manifest part, and the rows of those that are wanted.

    wanted: gives the indices of these among all paths. Only those rows are parsed and checked, as
    far as a row can be checked without the others; where it cannot, all are. Raises as
    `parse_manifest`.
    """
    return Part(name, data).matching(wanted)


class Part:
    """A manifest part of which few rows are wanted. Raises as `parse_manifest`.

    Safe to use from several threads, of which one at a time reads.

    paths: of all files, in order; each is made when it is asked for where there are neither members
    nor pieces. path_range: the first and the last path, also of pieces; None without rows.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self._name, self._data = name, data
        # Arrow's readers keep what they have read, and are for one thread.
        self._guard = threading.Lock()
        self._excerpt = tables.Excerpt(name, data, MANIFEST)
        self._all: Sequence[str] = self._excerpt.values("path")
        self.paths: Sequence[str] = self._all
        self._files: list[int] | None = None
        self.path_range = (self._all[0], self._all[-1]) if len(self._all) else None
        depths, pieces = self._excerpt.column("depth"), self._excerpt.column("piece")
        self._depths = array("h")
        if any(depths) or pieces.count(None) < len(pieces):
            self._depths = array("h", depths)
            within = zip(depths, pieces, strict=True)
            self._files = [at for at, one in enumerate(within) if one == (0, None)]
            self.paths = [self._all[at] for at in self._files]

    def __len__(self) -> int:
        """How many rows there are, members among them."""
        return len(self._all)

    def kinds(self) -> Sequence[str]:
        """The kinds of all files, whose rows are not checked."""
        with self._guard:
            kinds = self._excerpt.column("kind")
        return kinds if self._files is None else [kinds[at] for at in self._files]

    def table(self, names: Sequence[str], indices: Sequence[int]) -> Any:
        """Columns of the files of these numbers, whose rows are not checked: a `pyarrow.Table`.

        The length of a file is that of its tree.
        """
        with self._guard:
            return self._table(names, indices)

    def _table(self, names: Sequence[str], indices: Sequence[int]) -> Any:
        if self._files is None:
            return self._excerpt.table(names, indices)
        files = [self._files[at] for at in indices]
        found = self._excerpt.table(names, files)
        if "length" not in names:
            return found
        totals: dict[int, int] = {}
        top = 0
        columns = (self._excerpt.column(name) for name in ("depth", "length"))
        for at, (depth, length) in enumerate(zip(*columns, strict=True)):
            top = top if depth else at
            totals[top] = totals.get(top, 0) + length
        return tables.with_numbers(found, "length", [totals[at] for at in files])

    def rows(self, indices: Sequence[int]) -> list[Row]:
        """The rows of the files of these numbers, which rise; with their members."""
        files = indices if self._files is None else [self._files[at] for at in indices]
        return [row for row in self._rows(files) if row.piece is None]

    def matching(self, wanted: Callable[[Sequence[str]], list[int]]) -> tuple[list[str], list[Row]]:
        """As `parse_matching`."""
        paths = list(self._all)
        return paths, self._rows(wanted(paths))

    def row_of(self, path: str) -> Row | None:
        """The row of a file with its members, but not those of pieces of it."""
        at = bisect_left(self.paths, path)
        if at == len(self.paths) or self.paths[at] != path:
            return None
        if self._files is not None:
            (row,) = self._trees([self._files[at]])
            if row.same_file is None:
                return row
        return next(row for row in self.rows_of(path) if row.piece is None)

    def rows_of(self, path: str) -> list[Row]:
        """All rows of a path: that of a file, and those of pieces of it."""
        at = bisect_left(self._all, path)
        return self._rows([at] if at < len(self._all) and self._all[at] == path else [])

    def pieces_with(self, path: str, member: str) -> list[Row]:
        """The rows of those pieces of a file that have a member of this name.

        The rows of other pieces are not made.
        """
        mark = hash(member)
        at = bisect_left(self._marks, mark)
        if at == len(self._marks) or self._marks[at] != mark:
            return []
        with self._guard:
            names = self._excerpt.column("member")
        found = [at for at, name in enumerate(names) if name == member and self._all[at] == path]
        return [row for row in self._trees(found) if row.piece is not None]

    def _trees(self, indices: Iterable[int]) -> list[Row]:
        """The rows of the trees that some rows are in; no row has the file of another one."""
        wanted = sorted({at for index in indices for at in _tree_at(self._depths, index)})
        with self._guard:
            records = self._excerpt.rows(wanted)
        return list(_from_records(self._name, records))

    @cached_property
    def _marks(self) -> "array[int]":
        """Hashes of the names of all members, sorted: 8 bytes each, where a name takes 70."""
        with self._guard:
            names = self._excerpt.column("member")
        return array("q", sorted(hash(name) for name in names if name is not None))

    def _rows(self, indices: Sequence[int]) -> list[Row]:
        """The rows that have the paths of some, whose numbers rise.

        Only these are parsed and checked, as far as a row can be checked without the others; where
        it cannot, all are.
        """
        indices = _with_members(self._all, indices)
        if not indices:
            return []
        with self._guard:
            records = self._excerpt.rows(indices)
        rows = list(_from_records(self._name, records))
        if any(row.same_file is not None for row in rows):
            keys = {row.key for row in rows}
            rows = [row for row in parse_manifest(self._name, self._data) if row.key in keys]
        return rows


def _tree_at(depths: Sequence[int], index: int) -> range:
    """The numbers of the rows of the tree that a row is in."""
    start, end = index, index + 1
    while start and depths[start]:
        start -= 1
    while end < len(depths) and depths[end]:
        end += 1
    return range(start, end)


def _with_members(paths: Sequence[str], indices: Iterable[int]) -> list[int]:
    """The indices of all rows that have the paths of some: of a file, its members, its pieces."""
    found: list[int] = []
    for index in indices:
        if found and index <= found[-1]:
            continue
        start = end = index
        while start and paths[start - 1] == paths[index]:
            start -= 1
        while end < len(paths) and paths[end] == paths[index]:
            end += 1
        found.extend(range(start, end))
    return found


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
    }


def _from_records(name: str, records: Iterable[Record]) -> Iterator[Row]:
    """Rows with their members; SectionCorrupt if a rule does not hold that says nothing of others.

    records: taken apart, one by one.
    """

    def rows() -> Iterator[tuple[int, Row]]:
        for record in records:
            depth = record.pop("depth")
            row = _from_record(name, depth, record)
            _check_fields(name, row)
            yield depth, row

    return trees(name, rows())


def _from_record(name: str, depth: int, record: Record) -> Row:
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


def _check_places(name: str, rows: Sequence[Row]) -> None:
    """SectionCorrupt unless rows are in order, and payloads fill the blob without gaps."""
    payloads: set[tuple[int, int, bytes]] = set()
    end = 0
    if any(one.key >= two.key for one, two in pairwise(rows)):
        raise SectionCorrupt(f"{name}: rows are not sorted by path")
    for row in (row for one in rows for row in one.tree()):
        shares = row.offset != end
        payload = (row.offset, row.length, row.blob_digest)
        if shares and payload not in payloads:
            raise SectionCorrupt(f"{name}: {row.path}: offset or length out of order")
        if not shares and row.length:
            payloads.add(payload)
            end += row.length


def _check_fields(name: str, row: Row) -> None:
    """SectionCorrupt unless a row keeps the rules that have nothing to do with other rows."""
    where = f"{name}: {row.path}"
    rules = ROUTES.get(row.route)
    if rules is None:
        raise SectionCorrupt(f"{where}: route {row.route!r} is unknown")
    _check_bounds(where, row)
    samples, image = row.samples, row.image
    if (image is not None) != rules.image:
        raise SectionCorrupt(f"{where}: width, height, mode and format do not go with {row.route}")
    if (samples is not None, row.model_id is not None) != (rules.samples, rules.model):
        raise SectionCorrupt(f"{where}: facts of samples, or a model, do not go with {row.route}")
    if image is not None and min(image.width, image.height) < 1:
        raise SectionCorrupt(f"{where}: an image of {image.width} x {image.height} pixels")
    if samples is not None and samples.size_bytes < 1:
        raise SectionCorrupt(f"{where}: an image of {samples.size_bytes} bytes of samples")
    if rules.lost and row.length:
        raise SectionCorrupt(f"{where}: is lost, and has a payload")
    if row.background_error is not None and not (
        rules.lossy and 0 <= row.background_error <= MAX_BACKGROUND_ERROR
    ):
        raise SectionCorrupt(f"{where}: a background error that cannot be")
    _check_stacked(where, row)
    _check_envelope(where, row)
    _check_kind(where, row, rules)


def _check_stacked(where: str, row: Row) -> None:
    samples, top = row.samples, row.samples and row.samples.top
    if samples is None or top is None or row.image is None:
        return
    bottom, most_bytes = top + row.image.height, MAX_STACK_PIXELS * MAX_PIXEL_BYTES
    if top < 0 or bottom * row.image.width > MAX_STACK_PIXELS or samples.size_bytes > most_bytes:
        raise SectionCorrupt(f"{where}: a place in a stack that cannot be")
    if not _MODE.fullmatch(row.image.mode):
        raise SectionCorrupt(f"{where}: no image has the mode {row.image.mode!r}")
    if row.background_error is not None or row.envelope_length is not None:
        raise SectionCorrupt(f"{where}: what no image in a stack has")


def _check_envelope(where: str, row: Row) -> None:
    envelope = row.samples.envelope if row.samples else None
    if envelope is not None and len(envelope) > ENVELOPE_BYTES_IN_ROW:
        raise SectionCorrupt(f"{where}: an envelope of {len(envelope)} bytes in its row")
    if row.envelope_length is not None and not 0 < row.envelope_length < row.length:
        raise SectionCorrupt(f"{where}: an envelope of another length than could be in the blob")


def _check_bounds(where: str, row: Row) -> None:
    if min(row.offset, row.length, row.source_size_bytes) < 0:
        raise SectionCorrupt(f"{where}: a negative size or offset")
    most = MAX_NUMBER if row.route == PIECES else MAX_FILE_BYTES
    if row.length > MAX_FILE_BYTES or row.source_size_bytes > most:
        raise LimitExceeded(f"{where}: over the limit of {MAX_FILE_BYTES} bytes of a file")
    if row.model_id is not None and not _MODEL_ID.fullmatch(row.model_id):
        raise SectionCorrupt(f"{where}: {row.model_id!r} is no id of a model")


def _check_kind(where: str, row: Row, rules: RouteRules) -> None:
    if row.permissions is not None and not 0 <= row.permissions <= PERMISSION_BITS:
        raise SectionCorrupt(f"{where}: permissions that cannot be")
    as_file = row.kind == FILE or (rules.any_kind and row.same_file is None)
    if row.kind not in KINDS or not as_file:
        raise SectionCorrupt(f"{where}: a kind that is unknown or stored otherwise")
    if row.kind == DIRECTORY and row.source_size_bytes:
        raise SectionCorrupt(f"{where}: a directory with content")


def is_same_file(first: Row | None, row: Row) -> bool:
    """Whether a row may name `first` as its `same_file`: only where they stand differs."""
    if first is None or first.same_file is not None:
        return False
    offset = row.offset if row.length == 0 else first.offset
    first = renamed(first, row.path)
    return replace(first, offset=offset, same_file=row.same_file) == row


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


def serialise_quarantine(rows: Sequence[QuarantineRow]) -> bytes:
    """The bytes of a quarantine part; rows must be sorted by path."""
    return tables.serialise(QUARANTINE, [mtime.split(asdict(row), "source_") for row in rows])


def parse_quarantine(name: str, data: bytes) -> list[QuarantineRow]:
    """The rows of a quarantine part; SectionCorrupt if it is none."""
    records = tables.parse(name, data, QUARANTINE)
    return [QuarantineRow(**mtime.join(name, record, "source_")) for record in records]
