"""Merkle trees over rows, and over the shards that hold these: FORMAT.md, "Trees and proofs".

As in RFC 6962, section 2.1, with SHA-256: leaves and inner nodes are hashed with different first
bytes, and the left side of a node has the largest power of two of leaves that leaves some for the
right side.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seec.schemas.kinds import DIRECTORY, FILE, LINK

_ROW, _NODE, _SHARD, _HEAD = b"\0", b"\1", b"\2", b"\3"
_KINDS = {FILE: 0, LINK: 1, DIRECTORY: 2}
EMPTY = hashlib.sha256(b"").digest()
DIGEST_BYTES = 32


def row_leaf(path: str, kind: str, size_bytes: int, source_digest: bytes) -> bytes:
    """The leaf of a row: what was archived, and under which path; not how it is stored.

    path: its text by `seec.schemas.names`. kind: of `seec.schemas.kinds`.
    """
    facts = struct.pack("<BQ", _KINDS[kind], size_bytes)
    return hashlib.sha256(_ROW + facts + source_digest + path.encode()).digest()


def shard_leaf(shard: str, rows: int, root: bytes) -> bytes:
    """The leaf of a shard: its name, how many rows it has, and the root of their tree."""
    return hashlib.sha256(_SHARD + struct.pack("<Q", rows) + root + shard.encode()).digest()


def head_digest(sequence: int, commit_sha256: str, root: bytes) -> str:
    """The archive digest after a commit, in hexadecimal.

    commit_sha256: of its bytes, in hexadecimal. root: of the tree of shards after it.
    """
    text = _HEAD + struct.pack("<Q", sequence) + bytes.fromhex(commit_sha256) + root
    return hashlib.sha256(text).hexdigest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(_NODE + left + right).digest()


@dataclass(frozen=True)
class Tree:
    """A tree that only grows: how many leaves, and the roots of its complete parts.

    peaks: of the parts whose sizes are the powers of two in `size`, from the largest.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> "Tree":
        """The tree of these leaves."""
        return cls().extended(leaves)

    def extended(self, leaves: Iterable[bytes]) -> "Tree":
        """The tree with more leaves behind the others."""
        size, peaks = self.size, list(self.peaks)
        for leaf in leaves:
            peaks.append(leaf)
            size += 1
            for _ in range((size & -size).bit_length() - 1):
                right, left = peaks.pop(), peaks.pop()
                peaks.append(node(left, right))
        return Tree(size, tuple(peaks))

    @property
    def root(self) -> bytes:
        """The hash of the whole tree; of no bytes if it has no leaves."""
        if not self.peaks:
            return EMPTY
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node(peak, root)
        return root

    @property
    def is_sound(self) -> bool:
        """Whether there are as many peaks as the size says, of the right length."""
        right = all(len(peak) == DIGEST_BYTES for peak in self.peaks)
        return right and self.size >= 0 and len(self.peaks) == self.size.bit_count()


NO_LEAVES = Tree()


def path_to(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings on the way from a leaf to the root, from the leaf on (RFC 6962, 2.1.1)."""
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = leaves[:half], leaves[half:]
    if index < half:
        return [*path_to(left, index), Tree.of(right).root]
    return [*path_to(right, index - half), Tree.of(left).root]


def root_from(leaf: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and the hashes of `path_to` lead to; None if there are too many or few.

    The way of RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    at, last, found = index, size - 1, leaf
    for sibling in siblings:
        if last == 0:
            return None
        if at & 1 or at == last:
            found = node(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, sibling)
        at, last = at >> 1, last >> 1
    return found if last == 0 else None
