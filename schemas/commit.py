"""A commit: the shards and runs that count from now on, named with sizes and digests.

Commits are numbered from 1 without gaps. A delta names what it adds; a checkpoint names all that
counts, so that opening an archive reads one checkpoint and the deltas after it.
"""

from dataclasses import asdict, dataclass
from typing import Any

from schemas.archive import commit_name
from schemas.errors import SectionCorrupt
from schemas.sealed import member, members, objects, seal, unseal

VERSION = 1
KIND = "seec-commit"
FIRST = 1


@dataclass(frozen=True)
class ObjectRecord:
    """An immutable object: name in the archive, size in bytes, hex SHA-256 of its bytes."""

    name: str
    size_bytes: int
    sha256: str

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "ObjectRecord":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        return cls(
            name=member(where, body, "name", str),
            size_bytes=member(where, body, "size_bytes", int),
            sha256=member(where, body, "sha256", str),
        )


@dataclass(frozen=True)
class RunRecord:
    """A run: its id, its plan, the URL it reads, how many shards and files it plans, its model."""

    run_id: str
    plan: ObjectRecord
    source: str
    shards: int
    files: int
    model: ObjectRecord

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "RunRecord":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        return cls(
            run_id=member(where, body, "run_id", str),
            plan=ObjectRecord.parse(where, members(where, body, "plan")),
            source=member(where, body, "source", str),
            shards=member(where, body, "shards", int),
            files=member(where, body, "files", int),
            model=ObjectRecord.parse(where, members(where, body, "model")),
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
        failed = body.get("quarantine") is not None
        return cls(
            shard=member(where, body, "shard", str),
            files=member(where, body, "files", int),
            quarantined=member(where, body, "quarantined", int),
            source_size_bytes=member(where, body, "source_size_bytes", int),
            blob=ObjectRecord.parse(where, members(where, body, "blob")),
            manifest=ObjectRecord.parse(where, members(where, body, "manifest")),
            quarantine=ObjectRecord.parse(where, members(where, body, "quarantine"))
            if failed
            else None,
        )


@dataclass(frozen=True)
class Commit:
    """One commit. previous: hex SHA-256 of the bytes of the commit before, '' for the first."""

    sequence: int
    previous: str
    checkpoint: bool
    runs: tuple[RunRecord, ...]
    shards: tuple[ShardRecord, ...]

    def serialise(self) -> bytes:
        """The bytes of commits/<sequence>.json."""
        return seal(KIND, VERSION, asdict(self))

    @classmethod
    def parse(cls, sequence: int, data: bytes) -> "Commit":
        """FormatError or DigestMismatch if the bytes are not a sound commit `sequence`."""
        where = commit_name(sequence)
        body = unseal(where, data, KIND, VERSION)
        if member(where, body, "sequence", int) != sequence:
            raise SectionCorrupt(f"{where}: says it is commit {body['sequence']}")
        return cls(
            sequence=sequence,
            previous=member(where, body, "previous", str),
            checkpoint=member(where, body, "checkpoint", bool),
            runs=tuple(RunRecord.parse(where, r) for r in objects(where, body, "runs")),
            shards=tuple(ShardRecord.parse(where, s) for s in objects(where, body, "shards")),
        )
