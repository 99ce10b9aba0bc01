"""A proof: that a file was in an archive of a digest; FORMAT.md, "Trees and proofs"."""

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from seec.schemas.errors import SectionCorrupt
from seec.schemas.json_text import parse_json
from seec.schemas.kinds import KINDS
from seec.schemas.merkle import head_digest, root_from, row_leaf, shard_leaf
from seec.schemas.sealed import member, members, strings

KIND = "seec-proof"
VERSION = 1
MAX_BYTES = 1 << 20
_HASH = re.compile(r"[0-9a-f]{64}")
_MOST_SIBLINGS = 64


@dataclass(frozen=True)
class Way:
    """From a leaf to the root of a tree: the index of the leaf, how many there are, siblings."""

    index: int
    size: int
    siblings: tuple[bytes, ...]

    def root(self, leaf: bytes) -> bytes | None:
        """The root that this leads to; None if that is no way."""
        return root_from(leaf, self.index, self.size, self.siblings)

    def members(self) -> dict[str, Any]:
        """As JSON values."""
        siblings = [sibling.hex() for sibling in self.siblings]
        return {"index": self.index, "size": self.size, "siblings": siblings}

    @classmethod
    def parse(cls, where: str, body: dict[str, Any]) -> "Way":
        """SectionCorrupt if malformed."""
        siblings = strings(where, body, "siblings")
        if len(siblings) > _MOST_SIBLINGS:
            raise SectionCorrupt(f"{where}: more siblings than any tree has")
        found = tuple(bytes.fromhex(_hash(where, one)) for one in siblings)
        return cls(member(where, body, "index", int), member(where, body, "size", int), found)


@dataclass(frozen=True)
class Proof:
    """That an archive, after a commit, had held a file, link or directory with this content.

    path, kind, size_bytes, source_digest (hex): of the row. row: its way in the tree of its shard.
    shard: the way of that in the tree of all shards. commit_sha256: hex, of the commit's bytes.
    """

    path: str
    kind: str
    size_bytes: int
    source_digest: str
    row: Way
    shard_name: str
    shard: Way
    sequence: int
    commit_sha256: str

    def digest(self) -> str | None:
        """The archive digest that this proves to cover the row; None if it proves nothing."""
        source = bytes.fromhex(self.source_digest)
        rows = self.row.root(row_leaf(self.path, self.kind, self.size_bytes, source))
        if rows is None:
            return None
        root = self.shard.root(shard_leaf(self.shard_name, self.row.size, rows))
        return None if root is None else head_digest(self.sequence, self.commit_sha256, root)

    def serialise(self) -> bytes:
        """The text of a proof."""
        body = {
            "format": KIND,
            "version": VERSION,
            "path": self.path,
            "kind": self.kind,
            "size_bytes": self.size_bytes,
            "source_digest": self.source_digest,
            "row": self.row.members(),
            "shard": {"name": self.shard_name, **self.shard.members()},
            "commit": {"sequence": self.sequence, "sha256": self.commit_sha256},
        }
        return f"{json.dumps(body, indent=2)}\n".encode("ascii")

    @classmethod
    def parse(cls, where: str, data: bytes) -> "Proof":
        """SectionCorrupt if this is no proof."""
        try:
            found: Any = parse_json(data)
        except ValueError:
            raise SectionCorrupt(f"{where}: not JSON") from None
        body = cast(dict[str, Any], found) if isinstance(found, dict) else {}
        if body.get("format") != KIND or body.get("version") != VERSION:
            raise SectionCorrupt(f"{where}: not a {KIND} of version {VERSION}")
        shard, commit = (members(where, body, key) for key in ("shard", "commit"))
        proof = cls(
            path=member(where, body, "path", str),
            kind=member(where, body, "kind", str),
            size_bytes=member(where, body, "size_bytes", int),
            source_digest=_hash(where, member(where, body, "source_digest", str)),
            row=Way.parse(where, members(where, body, "row")),
            shard_name=member(where, shard, "name", str),
            shard=Way.parse(where, shard),
            sequence=member(where, commit, "sequence", int),
            commit_sha256=_hash(where, member(where, commit, "sha256", str)),
        )
        numbers = (proof.size_bytes, proof.sequence, proof.row.size)
        if proof.kind not in KINDS or not all(0 <= number < 1 << 63 for number in numbers):
            raise SectionCorrupt(f"{where}: a kind or a number that cannot be")
        try:
            (proof.path + proof.shard_name).encode()
        except UnicodeEncodeError:
            raise SectionCorrupt(f"{where}: a path that is no text") from None
        return proof


def _hash(where: str, text: str) -> str:
    if not _HASH.fullmatch(text):
        raise SectionCorrupt(f"{where}: {text!r} is no SHA-256")
    return text
