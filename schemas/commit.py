"""A commit: the shards and runs that count from now on, named with sizes and digests.

Commits are numbered from 1 without gaps. A delta names what it changes; a checkpoint names all that
counts, so that opening an archive reads one checkpoint and the deltas after it.
"""

from dataclasses import asdict, dataclass
from typing import Any

from schemas.archive import (
    BLOB,
    MANIFEST,
    MODEL,
    PLAN,
    QUARANTINE,
    REMOVED,
    commit_name,
    parse_name,
)
from schemas.errors import SectionCorrupt
from schemas.sealed import member, members, objects, seal, strings, unseal

# Commits are of version 1 unless they do more than add: then they say so, and releases that
# would misread them refuse them.
VERSION = 1
CHANGING_VERSION = 2
KIND = "seec-commit"
FIRST = 1


@dataclass(frozen=True)
class ObjectRecord:
    """An immutable object: name in the archive, size in bytes, hex SHA-256 of its bytes."""

    name: str
    size_bytes: int
    sha256: str

    @classmethod
    def parse(
        cls, where: str, body: dict[str, Any], kind: str, run_id: str | None = None
    ) -> "ObjectRecord":
        """From parsed JSON; where: the commit's name, for messages.

        kind, run_id: what the name must be of, as `parse_name` tells it, so that no commit leads
        out of the archive. SectionCorrupt if malformed.
        """
        name = member(where, body, "name", str)
        if parse_name(name) != (kind, run_id):
            raise SectionCorrupt(f"{where}: {name!r} is no name of this {kind}")
        return cls(
            name=name,
            size_bytes=member(where, body, "size_bytes", int),
            sha256=member(where, body, "sha256", str),
        )


@dataclass(frozen=True)
class RunRecord:
    """A run: its id, its plan, the URL it reads, how many shards and files it plans, its model.

    compaction: it copies rows of earlier runs into larger shards, and reads no source.
    """

    run_id: str
    plan: ObjectRecord
    source: str
    shards: int
    files: int
    model: ObjectRecord
    compaction: bool = False

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "RunRecord":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        run_id = member(where, body, "run_id", str)
        return cls(
            run_id=run_id,
            plan=ObjectRecord.parse(where, members(where, body, "plan"), PLAN, run_id),
            source=member(where, body, "source", str),
            shards=member(where, body, "shards", int),
            files=member(where, body, "files", int),
            model=ObjectRecord.parse(where, members(where, body, "model"), MODEL),
            compaction="compaction" in body and member(where, body, "compaction", bool),
        )

    def members(self) -> dict[str, Any]:
        """As JSON values."""
        body = asdict(self)
        if not self.compaction:
            del body["compaction"]
        return body


@dataclass(frozen=True)
class RemovalRecord:
    """Paths that vanished from their source: their rows in run `up_to` and before do not count.

    files: how many; paths: the Parquet table that lists them.
    """

    up_to: str
    files: int
    paths: ObjectRecord

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "RemovalRecord":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        return cls(
            up_to=member(where, body, "up_to", str),
            files=member(where, body, "files", int),
            paths=ObjectRecord.parse(where, members(where, body, "paths"), REMOVED),
        )


@dataclass(frozen=True)
class ShardRecord:
    """A shard that counts.

    shard: <run>/<shard>. files and quarantined count its rows in manifest and quarantine part.
    source_size_bytes: sum over its files. quarantine is None where no file failed.
    """

    shard: str
    files: int
    quarantined: int
    source_size_bytes: int
    blob: ObjectRecord
    manifest: ObjectRecord
    quarantine: ObjectRecord | None

    @property
    def run_id(self) -> str:
        """The run that wrote it."""
        return self.shard.rpartition("/")[0]

    @property
    def objects(self) -> list[ObjectRecord]:
        """Blob, manifest part, and quarantine part if there is one."""
        parts = [self.blob, self.manifest]
        return parts if self.quarantine is None else [*parts, self.quarantine]

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "ShardRecord":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        shard = member(where, body, "shard", str)

        def part(kind: str) -> ObjectRecord:
            record = ObjectRecord.parse(
                where, members(where, body, kind), kind, shard.rpartition("/")[0]
            )
            if not record.name.partition("/")[2].startswith(shard):
                raise SectionCorrupt(f"{where}: {record.name!r} is of another shard than {shard!r}")
            return record

        return cls(
            shard=shard,
            files=member(where, body, "files", int),
            quarantined=member(where, body, "quarantined", int),
            source_size_bytes=member(where, body, "source_size_bytes", int),
            blob=part(BLOB),
            manifest=part(MANIFEST),
            quarantine=None if body.get("quarantine") is None else part(QUARANTINE),
        )


@dataclass(frozen=True)
class Commit:
    """One commit. previous: hex SHA-256 of the bytes of the commit before, '' for the first.

    removed: paths that vanished. dropped: names of shards that do not count from now on. repaired:
    records that stand for the shards of the same names, in the states of earlier commits, too.
    oldest: the first commit whose state is kept; None leaves that as it is.
    """

    sequence: int
    previous: str
    checkpoint: bool
    runs: tuple[RunRecord, ...]
    shards: tuple[ShardRecord, ...]
    removed: tuple[RemovalRecord, ...] = ()
    dropped: tuple[str, ...] = ()
    repaired: tuple[ShardRecord, ...] = ()
    oldest: int | None = None

    @property
    def version(self) -> int:
        """The lowest version that has all that this commit says."""
        changes = self.removed or self.dropped or self.repaired or self.oldest is not None
        compaction = any(run.compaction for run in self.runs)
        return CHANGING_VERSION if changes or compaction else VERSION

    def serialise(self) -> bytes:
        """The bytes of commits/<sequence>.json."""
        body: dict[str, Any] = {
            "sequence": self.sequence,
            "previous": self.previous,
            "checkpoint": self.checkpoint,
            "runs": [run.members() for run in self.runs],
            "shards": [asdict(shard) for shard in self.shards],
        }
        if self.version == CHANGING_VERSION:
            body["removed"] = [asdict(removal) for removal in self.removed]
            body["dropped"] = list(self.dropped)
            body["repaired"] = [asdict(shard) for shard in self.repaired]
            body["oldest"] = self.oldest
        return seal(KIND, self.version, body)

    @classmethod
    def parse(cls, sequence: int, data: bytes) -> "Commit":
        """FormatError or DigestMismatch if the bytes are not a sound commit `sequence`."""
        where = commit_name(sequence)
        version, body = unseal(where, data, KIND, VERSION, CHANGING_VERSION)
        if member(where, body, "sequence", int) != sequence:
            raise SectionCorrupt(f"{where}: says it is commit {body['sequence']}")
        commit = cls(
            sequence=sequence,
            previous=member(where, body, "previous", str),
            checkpoint=member(where, body, "checkpoint", bool),
            runs=tuple(RunRecord.parse(where, r) for r in objects(where, body, "runs")),
            shards=tuple(ShardRecord.parse(where, s) for s in objects(where, body, "shards")),
            **(_changes(where, body) if version == CHANGING_VERSION else {}),
        )
        if commit.version != version:
            raise SectionCorrupt(f"{where}: version {version} says nothing that needs it")
        return commit


def _changes(where: str, body: dict[str, Any]) -> dict[str, Any]:
    """The members that version 2 adds."""
    oldest = None if body.get("oldest") is None else member(where, body, "oldest", int)
    return {
        "removed": tuple(RemovalRecord.parse(where, r) for r in objects(where, body, "removed")),
        "dropped": tuple(strings(where, body, "dropped")),
        "repaired": tuple(ShardRecord.parse(where, s) for s in objects(where, body, "repaired")),
        "oldest": oldest,
    }
