"""A plan: which files a run reads, and in which shard each goes; one row group per shard."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from seec.schemas import tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.kinds import FILE
from seec.schemas.tables import Column

PLAN_COLUMNS = (
    Column("path", "string"),
    Column("size_bytes", "int64"),
    Column("mtime_ns", "int64", nullable=True),
    Column("problem", "string", nullable=True),
)
# Only in plans that need them: others stay, byte for byte, as earlier releases have them.
TREE_PLAN_COLUMNS = (
    *PLAN_COLUMNS,
    Column("kind", "string"),
    Column("permissions", "int16", nullable=True),
    Column("same_file", "string", nullable=True),
)
KEEP_FILE = "file"
DEDUPE_PIXELS = "pixels"
_SETTINGS_KEY = b"seec.settings"


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
    """

    path: str
    size_bytes: int
    mtime_ns: int | None
    problem: str | None = None
    kind: str = FILE
    permissions: int | None = None
    same_file: str | None = None
    checksum: str | None = field(default=None, compare=False)
    copy_of: str | None = field(default=None, compare=False)

    @property
    def plain(self) -> bool:
        """Whether there is no more to it than in a plan of `PLAN_COLUMNS`."""
        return self.kind == FILE and self.permissions is None and self.same_file is None


@dataclass(frozen=True)
class PlanSettings:
    """All that decides the bytes a run writes, beside its files.

    max_pixels: larger images are stored, neither decoded nor transcoded. max_file_size_bytes:
    larger files are quarantined. shard_files, shard_size_bytes: a shard ends when either is
    reached.
    region_source, background_error: where regions of interest come from, and how much may be lost
    outside of them, as in `seec.schemas.loss`; both None where nothing may.
    keep: KEEP_FILE if every file is to come back byte for byte; None if the same pixels and
    metadata are enough.
    max_seconds: looking into a file may take; what takes longer is stored. None for the default of
    the program that runs the plan.
    dedupe: DEDUPE_PIXELS if images of one shard with equal pixels share a code, whatever labels a
    segmentation source gives each; None if only equal payloads are shared.
    """

    model_id: str
    segmentation: str = "rate"
    max_pixels: int = 200_000_000
    max_file_size_bytes: int = 2 << 30
    shard_files: int = 1024
    shard_size_bytes: int = 64 << 20
    region_source: str | None = None
    background_error: int | None = None
    keep: str | None = None
    max_seconds: int | None = None
    dedupe: str | None = None


@dataclass(frozen=True)
class Plan:
    """An opened plan; shards are read one at a time."""

    settings: PlanSettings
    _groups: tables.Groups

    @property
    def shards(self) -> int:
        """How many shards it plans."""
        return len(self._groups)

    @property
    def files(self) -> int:
        """How many files it plans."""
        return self._groups.rows

    def shard(self, index: int) -> list[SourceFile]:
        """The files of one shard, sorted by path."""
        return [SourceFile(**row) for row in self._groups.read(index)]

    def shard_files(self, index: int) -> int:
        """How many files one shard holds."""
        return self._groups.size(index)


def serialise_plan(shards: Iterable[Sequence[SourceFile]], settings: PlanSettings) -> bytes:
    """The bytes of a plan. The same files and settings give the same bytes."""
    shards = list(shards)
    plain = all(file.plain for files in shards for file in files)
    columns = PLAN_COLUMNS if plain else TREE_PLAN_COLUMNS
    groups = ([asdict(file) for file in files] for files in shards)
    # What is None is left out: releases that do not know of it read all plans but lossy ones.
    known = {name: value for name, value in asdict(settings).items() if value is not None}
    metadata = {_SETTINGS_KEY: json.dumps(known, sort_keys=True).encode()}
    return tables.serialise_groups(columns, groups, metadata)


def parse_plan(name: str, data: bytes) -> Plan:
    """Open the bytes of a plan; SectionCorrupt if they are none."""
    plain = "kind" not in tables.column_names(name, data)
    groups = tables.Groups(name, data, PLAN_COLUMNS if plain else TREE_PLAN_COLUMNS)
    try:
        settings = PlanSettings(**json.loads(groups.metadata[_SETTINGS_KEY]))
    except (KeyError, ValueError, TypeError):
        raise SectionCorrupt(f"{name}: a plan without its settings") from None
    return Plan(settings, groups)


def run_id(ordinal: int, plan: bytes) -> str:
    """The id of a run: its place among the archive's runs, and the digest of its plan."""
    return f"{ordinal:04d}-{hashlib.sha256(plan).hexdigest()[:16]}"
