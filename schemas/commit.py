"""A commit: the shards and runs that count from now on, named with sizes and digests.

Commits are numbered from 1 without gaps. Each names what it changes. Some also say in a recap what
a number of commits before them changed together, so that opening an archive reads few of them.
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import Any

from seec.schemas.archive import (
    BLOB,
    MANIFEST,
    MODEL,
    PARITY,
    PLAN,
    QUARANTINE,
    REMOVED,
    commit_name,
    model_name,
    parse_name,
    shard_of,
)
from seec.schemas.errors import LimitExceeded, SectionCorrupt
from seec.schemas.limits import MAX_NUMBER, MAX_RUN_SHARDS, MAX_SHARD_ROWS, PARITY_WHOLE
from seec.schemas.merkle import EMPTY, NO_LEAVES, Tree, head_digest, shard_leaf
from seec.schemas.names import is_safe, unescape
from seec.schemas.sealed import member, members, objects, seal, strings, unseal

_HASH = re.compile(r"[0-9a-f]{64}")
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
            size_bytes=_number(where, body, "size_bytes"),
            sha256=member(where, body, "sha256", str),
        )


@dataclass(frozen=True)
class ParityRecord(ObjectRecord):
    """The parity object of a shard. share: parity blocks for 10,000 data blocks, as promised."""

    share: int


def model_record(model_id: str) -> ObjectRecord:
    """The record of a model, which its id is enough for; its size is not known, -1."""
    return ObjectRecord(model_name(model_id), -1, model_id)


@dataclass(frozen=True)
class SourceRecord:
    """A source: where its files are, and where its paths are in the archive.

    url: an absolute path without links, or a URL without user and password. endpoint: the server
    of an object store where the URL does not tell, else ''. name: the text, by `schemas.names`, of
    the directory below which all its paths are; '' if they are as in the source.
    """

    url: str
    endpoint: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.url} at {self.endpoint}" if self.endpoint else self.url

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "SourceRecord":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        name = member(where, body, "name", str)
        if name and ("/" in name or not is_safe(unescape(name))):
            raise SectionCorrupt(f"{where}: {name!r} is no name of a source")
        return cls(member(where, body, "url", str), member(where, body, "endpoint", str), name)


@dataclass(frozen=True)
class RunRecord:
    """A run: its id, its plan, the source it reads, how many shards and files it plans.

    model_id: of the weights that it encodes pixels with. None for a compaction, which copies rows
    of earlier runs into larger shards, and reads no source: those of one name, whose last source it
    has. jpeg_model_id: of the model that it codes JPEG files with; None if JPEG XL does. A model is
    in the archive once a shard counts whose rows need it, and not because a run names it.
    """

    run_id: str
    plan: ObjectRecord
    source: SourceRecord
    shards: int
    files: int
    model_id: str | None
    jpeg_model_id: str | None = None

    @property
    def compaction(self) -> bool:
        """Whether it copies rows of earlier runs."""
        return self.model_id is None

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "RunRecord":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        run_id = member(where, body, "run_id", str)
        return cls(
            run_id=run_id,
            plan=ObjectRecord.parse(where, members(where, body, "plan"), PLAN, run_id),
            source=SourceRecord.parse(where, members(where, body, "source")),
            shards=_number(where, body, "shards", MAX_RUN_SHARDS),
            files=_number(where, body, "files"),
            model_id=_model(where, body, "model_id"),
            jpeg_model_id=_model(where, body, "jpeg_model_id"),
        )

    def members(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class RemovalRecord:
    """Paths that vanished from their source: their rows in run `up_to` and before do not count.

    files: how many; paths: the Parquet table that lists them. quarantine_only: whether rows of
    quarantine parts alone do not count, and files that were archived still do.
    """

    up_to: str
    files: int
    paths: ObjectRecord
    quarantine_only: bool = False

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "RemovalRecord":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        return cls(
            up_to=member(where, body, "up_to", str),
            files=_number(where, body, "files"),
            paths=ObjectRecord.parse(where, members(where, body, "paths"), REMOVED),
            quarantine_only=member(where, body, "quarantine_only", bool),
        )


@dataclass(frozen=True)
class ShardRecord:
    """A shard that counts.

    shard: <run>/<shard>. files and quarantined count its rows in manifest and quarantine part.
    source_size_bytes: sum over its files. quarantine is None where no file failed. path_range: the
    first and the last path of the manifest part; None where it has no rows. models: ids of those
    that its rows need, sorted. pieces: how many of its rows are pieces, or files in pieces. parity:
    of blob, manifest part and quarantine part; None if there is none. rows_root: of the tree of its
    rows, in hexadecimal, as in `seec.schemas.merkle`. referenced: the blobs of other shards
    in which payloads of its rows are, by name.
    """

    shard: str
    files: int
    quarantined: int
    source_size_bytes: int
    blob: ObjectRecord
    manifest: ObjectRecord
    quarantine: ObjectRecord | None
    path_range: tuple[str, str] | None
    models: tuple[str, ...]
    pieces: int = 0
    parity: ParityRecord | None = None
    rows_root: str = EMPTY.hex()
    referenced: tuple[ObjectRecord, ...] = ()

    @property
    def leaf(self) -> bytes:
        """Of the tree of shards."""
        return shard_leaf(self.shard, self.files, bytes.fromhex(self.rows_root))

    @property
    def run_id(self) -> str:
        """The run that wrote it."""
        return self.shard.rpartition("/")[0]

    @property
    def objects(self) -> list[ObjectRecord]:
        """Its own, and the blobs of other shards that it needs."""
        return [*self.own, *self.referenced]

    @property
    def own(self) -> list[ObjectRecord]:
        """Blob, manifest part, and quarantine part and parity if there are any."""
        return self.covered if self.parity is None else [*self.covered, self.parity]

    @property
    def covered(self) -> list[ObjectRecord]:
        """What the parity is for: blob, manifest part, and quarantine part if there is one."""
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
            if shard_of(record.name) != shard:
                raise SectionCorrupt(f"{where}: {record.name!r} is of another shard than {shard!r}")
            return record

        files = _number(where, body, "files", MAX_SHARD_ROWS)
        pieces = _number(where, body, "pieces", MAX_SHARD_ROWS)
        return cls(
            shard=shard,
            files=files,
            quarantined=_number(where, body, "quarantined", MAX_SHARD_ROWS),
            source_size_bytes=_number(where, body, "source_size_bytes"),
            blob=part(BLOB),
            manifest=part(MANIFEST),
            quarantine=None if body.get("quarantine") is None else part(QUARANTINE),
            path_range=_path_range(where, body) if files or pieces else None,
            models=_models(where, body),
            pieces=pieces,
            parity=None if body.get("parity") is None else _parity(where, body, part(PARITY)),
            rows_root=_hash(where, member(where, body, "rows_root", str)).hex(),
            referenced=_referenced(where, body, shard) if "referenced" in body else (),
        )

    def members(self) -> dict[str, Any]:
        """As JSON values; referenced only if there are any."""
        values = asdict(self)
        if not self.referenced:
            del values["referenced"]
        return values


def _number(where: str, body: dict[str, Any], key: str, most: int = MAX_NUMBER) -> int:
    value = member(where, body, key, int)
    if not 0 <= value <= most:
        raise LimitExceeded(f"{where}: {key} is no number up to {most}")
    return value


def _referenced(where: str, body: dict[str, Any], shard: str) -> tuple[ObjectRecord, ...]:
    found: list[ObjectRecord] = []
    for one in objects(where, body, "referenced"):
        _, run_id = parse_name(member(where, one, "name", str)) or (BLOB, None)
        found.append(ObjectRecord.parse(where, one, BLOB, run_id))
    names = [record.name for record in found]
    if not found or names != sorted(set(names)) or any(shard_of(name) == shard for name in names):
        raise SectionCorrupt(f"{where}: lists referenced of shard {shard} that cannot be")
    return tuple(found)


def _path_range(where: str, body: dict[str, Any]) -> tuple[str, str]:
    first, last = (*strings(where, body, "path_range"), "", "")[:2]
    if body["path_range"] != [first, last] or last < first:
        raise SectionCorrupt(f"{where}: {body['path_range']!r} is no range of paths")
    return first, last


def _parity(where: str, body: dict[str, Any], record: ObjectRecord) -> ParityRecord:
    share = _number(where, members(where, body, "parity"), "share", PARITY_WHOLE)
    return ParityRecord(record.name, record.size_bytes, record.sha256, share)


def _hash(where: str, text: str) -> bytes:
    if not _HASH.fullmatch(text):
        raise SectionCorrupt(f"{where}: {text!r} is no SHA-256")
    return bytes.fromhex(text)


def _models(where: str, body: dict[str, Any]) -> tuple[str, ...]:
    ids = strings(where, body, "models")
    if ids != sorted(set(ids)) or not all(map(_is_model_id, ids)):
        raise SectionCorrupt(f"{where}: {ids!r} are no ids of models, sorted")
    return tuple(ids)


def _model(where: str, body: dict[str, Any], key: str) -> str | None:
    if body.get(key) is None:
        return None
    model_id: str = member(where, body, key, str)
    if not _is_model_id(model_id):
        raise SectionCorrupt(f"{where}: {model_id!r} is no id of a model")
    return model_id


def _is_model_id(text: str) -> bool:
    return parse_name(model_name(text)) == (MODEL, None)


def _tree(where: str, body: dict[str, Any]) -> Tree:
    peaks = tuple(_hash(where, peak) for peak in strings(where, body, "peaks"))
    tree = Tree(_number(where, body, "size"), peaks)
    if not tree.is_sound:
        raise SectionCorrupt(f"{where}: a tree of other peaks than its size has")
    return tree


@dataclass(frozen=True)
class Changes:
    """What a commit changes, or several together.

    removed: paths that vanished. dropped: names of shards that do not count from now on. repaired:
    records that stand for the shards of the same names, in the states of earlier commits, too.
    oldest: the first commit whose state is kept; None leaves that as it is.
    """

    runs: tuple[RunRecord, ...] = ()
    shards: tuple[ShardRecord, ...] = ()
    removed: tuple[RemovalRecord, ...] = ()
    dropped: tuple[str, ...] = ()
    repaired: tuple[ShardRecord, ...] = ()
    oldest: int | None = None

    def __bool__(self) -> bool:
        return self != Changes()

    @property
    def leaves(self) -> list[bytes]:
        """What the tree of shards grows by."""
        return [shard.leaf for shard in (*self.shards, *self.repaired)]

    def then(self, later: "Changes") -> "Changes":
        """Both together: what a state that was changed by the one, then by the other, differs in.

        Shards are sorted by name, so that it does not matter how many changes are put together.
        """
        added = {shard.shard: shard for shard in self.shards}
        dropped = set(self.dropped)
        for name in later.dropped:
            if added.pop(name, None) is None:
                dropped.add(name)
        added |= {shard.shard: shard for shard in later.shards}
        again = {shard.shard for shard in later.shards}
        repaired = {s.shard: s for s in self.repaired if s.shard not in again}
        repaired |= {shard.shard: shard for shard in later.repaired}
        added |= {shard.shard: shard for shard in later.repaired if shard.shard in added}
        return Changes(
            runs=self.runs + later.runs,
            shards=tuple(added[name] for name in sorted(added)),
            removed=self.removed + later.removed,
            dropped=tuple(sorted(dropped)),
            repaired=tuple(repaired[name] for name in sorted(repaired)),
            oldest=self.oldest if later.oldest is None else later.oldest,
        )

    def members(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "runs": [run.members() for run in self.runs],
            "shards": [shard.members() for shard in self.shards],
            "removed": [asdict(removal) for removal in self.removed],
            "dropped": list(self.dropped),
            "repaired": [shard.members() for shard in self.repaired],
            "oldest": self.oldest,
        }

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "Changes":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        return cls(
            tuple(RunRecord.parse(where, r) for r in objects(where, body, "runs")),
            tuple(ShardRecord.parse(where, s) for s in objects(where, body, "shards")),
            tuple(RemovalRecord.parse(where, r) for r in objects(where, body, "removed")),
            tuple(strings(where, body, "dropped")),
            tuple(ShardRecord.parse(where, s) for s in objects(where, body, "repaired")),
            None if body.get("oldest") is None else _number(where, body, "oldest"),
        )


@dataclass(frozen=True)
class Recap:
    """What all commits after commit `since`, and before the one that says so, changed together.

    sha256: hex SHA-256 of the bytes of commit `since`; of `archive.json` if that is 0: all of them.
    """

    since: int
    sha256: str
    changes: Changes

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "Recap":
        """From parsed JSON; where: the commit's name, for messages. SectionCorrupt if malformed."""
        since, sha256 = member(where, body, "since", int), member(where, body, "sha256", str)
        return cls(since, sha256, Changes.parse(where, body))

    def members(self) -> dict[str, Any]:
        """As JSON values."""
        return {"since": self.since, "sha256": self.sha256, **self.changes.members()}


@dataclass(frozen=True)
class Commit:
    """One commit.

    previous: hex SHA-256 of the bytes of the commit before; of `archive.json` for the first. tree:
    of all shards that commits up to this one added or repaired, in this order.
    """

    sequence: int
    previous: str
    changes: Changes
    recap: Recap | None = None
    tree: Tree = NO_LEAVES

    def head(self, data: bytes) -> str:
        """The archive digest after this commit, whose bytes are `data`."""
        return head_digest(self.sequence, hashlib.sha256(data).hexdigest(), self.tree.root)

    @property
    def base(self) -> int:
        """The commit whose state this one, alone, leads on from; 0 is an archive without any."""
        return self.sequence - 1 if self.recap is None else self.recap.since

    @property
    def changes_since_base(self) -> Changes:
        """What leads from there to the state after this commit."""
        return self.changes if self.recap is None else self.recap.changes.then(self.changes)

    def serialise(self) -> bytes:
        """The bytes of commits/<sequence>.json."""
        body: dict[str, Any] = {
            "sequence": self.sequence,
            "previous": self.previous,
            "recap": None if self.recap is None else self.recap.members(),
            "tree": {"size": self.tree.size, "peaks": [peak.hex() for peak in self.tree.peaks]},
            **self.changes.members(),
        }
        return seal(KIND, VERSION, body)

    @classmethod
    def parse(cls, sequence: int, data: bytes) -> "Commit":
        """FormatError or DigestMismatch if the bytes are not a sound commit `sequence`."""
        where = commit_name(sequence)
        body = unseal(where, data, KIND, VERSION)
        if member(where, body, "sequence", int) != sequence:
            raise SectionCorrupt(f"{where}: says it is commit {body['sequence']}")
        recap = None
        if body.get("recap") is not None:
            recap = Recap.parse(where, members(where, body, "recap"))
            if not 0 <= recap.since < sequence - 1:
                raise SectionCorrupt(f"{where}: a recap of what it cannot recapitulate")
        return cls(
            sequence=sequence,
            previous=member(where, body, "previous", str),
            changes=Changes.parse(where, body),
            recap=recap,
            tree=_tree(where, members(where, body, "tree")),
        )
