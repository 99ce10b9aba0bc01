"""A plan: which files a run reads, and in which shard each goes; one row group per shard."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from seec.schemas import mtime, tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.json_text import parse_json
from seec.schemas.kinds import FILE
from seec.schemas.limits import MAX_GROUP_ROWS
from seec.schemas.tables import Column, Table

PLAN = Table(
    "plan",
    1,
    (
        Column("number", "int32"),
        Column("path", "string"),
        Column("kind", "string"),
        Column("permissions", "int16", nullable=True),
        Column("same_file", "string", nullable=True),
        Column("size_bytes", "int64"),
        *mtime.columns(),
        Column("problem", "string", nullable=True),
        Column("piece", "int32", nullable=True),
        Column("pieces", "int32", nullable=True),
    ),
    MAX_GROUP_ROWS,
)
KEEP_PIXELS, KEEP_FILE = KEEPS = ("pixels", "file")
DEDUPE_SOURCE, DEDUPE_PIXELS, DEDUPE_SHARD = DEDUPES = ("source", "pixels", "shard")
_SETTINGS_KEY = b"seec.settings"
# Longer than looking into any file takes, and no more than the timers of all systems count.
MAX_SECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One path as the listing saw it.

    path: its text by `schemas.names`. size_bytes: of a file, or of where a link points to, else 0.
    mtime_ns: None where the store has none. problem: why it will not be read (a socket, a
    directory that cannot be listed ...), else None. kind: by `schemas.kinds`. permissions: bits by
    `schemas.kinds`; None for links, and where the store has none. same_file: of a file with several
    names (hard links) the first of them by path, None for that one itself and for all others.
    checksum: what the listing of a store says of the content; copy_of: a path whose shard this one
    should share, right behind it and others like this; neither is in plans.
    pieces: of a file that is cut, how many pieces; piece: which of them this is, or None for the
    file as a whole, which is archived once its pieces are.
    """

    path: str
    size_bytes: int
    mtime_ns: int | None
    problem: str | None = None
    kind: str = FILE
    permissions: int | None = None
    same_file: str | None = None
    piece: int | None = None
    pieces: int | None = None
    checksum: str | None = field(default=None, compare=False)
    copy_of: str | None = field(default=None, compare=False)

    @property
    def is_whole(self) -> bool:
        """Whether it stands for all pieces of a file that is cut."""
        return self.pieces is not None and self.piece is None

    @property
    def planned_bytes(self) -> int:
        """How much of it is read at once, about."""
        if self.is_whole:
            return 0
        return self.size_bytes if self.pieces is None else -(-self.size_bytes // self.pieces)

    @property
    def key(self) -> tuple[str, int]:
        """What the files of a shard are sorted by, which is different for each."""
        return self.path, -1 if self.piece is None else self.piece


@dataclass(frozen=True)
class PlanSettings:
    """All that decides the bytes a run writes, beside its files.

    model_id: of the weights that encode pixels. jpeg_model_id: of the model that codes JPEG files;
    None if JPEG XL is to code them.
    max_pixels: larger images are stored, neither decoded nor transcoded. max_file_size_bytes:
    larger files are quarantined; None if there is no limit. shard_files, shard_size_bytes: a shard
    ends when either is reached.
    region_source, background_error: where regions of interest come from, and how much may be lost
    outside of them, as in `seec.schemas.loss`; both None where nothing may.
    keep: KEEP_FILE if every file is to come back byte for byte, KEEP_PIXELS if the same pixels and
    metadata are enough.
    max_seconds: looking into a file may take, up to MAX_SECONDS; what takes longer is stored.
    dedupe: what was brought together in one shard: DEDUPE_SOURCE, files that are probably equal;
    DEDUPE_SHARD, nothing; DEDUPE_PIXELS, images with equal pixels, too, which share a code then,
    whatever labels a segmentation source gives each.
    follow_links: whether links of the source stand for the file or directory that they lead to.
    piece_size_bytes: a larger file that is no image is cut near multiples of this.
    parity_share: of the parity of shards, as in `seec.schemas.commit.ParityRecord`; 0 for none.
    """

    model_id: str
    jpeg_model_id: str | None = None
    segmentation: str = "rate"
    max_pixels: int = 200_000_000
    max_file_size_bytes: int | None = None
    shard_files: int = 1024
    shard_size_bytes: int = 64 << 20
    region_source: str | None = None
    background_error: int | None = None
    keep: str = KEEP_PIXELS
    max_seconds: int = 600
    dedupe: str = DEDUPE_SOURCE
    follow_links: bool = False
    piece_size_bytes: int = 16 << 20
    parity_share: int = 0


@dataclass(frozen=True)
class Plan:
    """Which files go in which shard; shards are read one at a time.

    counts: how many files each shard holds, by index. shard: gives the files of one by its index,
    sorted by path.
    """

    settings: PlanSettings
    counts: Mapping[int, int]
    shard: Callable[[int], list[SourceFile]]

    @classmethod
    def of(cls, settings: PlanSettings, files: Mapping[int, list[SourceFile]]) -> "Plan":
        """A plan of shards that are in memory."""
        return cls(settings, {i: len(shard) for i, shard in files.items()}, files.__getitem__)

    @property
    def shards(self) -> int:
        """How many shards it plans."""
        return len(self.counts)

    @property
    def files(self) -> int:
        """How many files it plans."""
        return sum(self.counts.values())


def serialise_plan(shards: Iterable[Sequence[SourceFile]], settings: PlanSettings) -> bytes:
    """The bytes of a plan. The same files and settings give the same bytes."""
    parts = ([mtime.split(asdict(file)) for file in files] for files in shards)
    metadata = {_SETTINGS_KEY: json.dumps(asdict(settings), sort_keys=True).encode()}
    return tables.serialise_numbered(PLAN, parts, metadata)


def parse_plan(name: str, data: bytes) -> Plan:
    """Open the bytes of a plan; SectionCorrupt or UnsupportedVersion if they are none."""
    shards = tables.Numbered(name, data, PLAN)
    try:
        settings = PlanSettings(**parse_json(shards.metadata[_SETTINGS_KEY]))
    except (KeyError, ValueError, TypeError):
        raise SectionCorrupt(f"{name}: a plan without its settings") from None
    counts: dict[int, int] = dict(enumerate(shards.counts))

    def shard(index: int) -> list[SourceFile]:
        return [SourceFile(**mtime.join(name, row)) for row in shards.read(index)]

    return Plan(settings, counts, shard)


def run_id(ordinal: int, plan: bytes) -> str:
    """The id of a run: its place among the archive's runs, and the digest of its plan."""
    return f"{ordinal:04d}-{hashlib.sha256(plan).hexdigest()[:16]}"


def run_ordinal(run: str) -> int:
    """The place of a run among the archive's runs, counted from 1, by its id."""
    return int(run.partition("-")[0])
