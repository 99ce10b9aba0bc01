"""Proofs that files were in an archive."""

import hashlib

from seec.pipeline.archive import Archive
from seec.pipeline.archive.shard import leaf_of
from seec.pipeline.reading.lookup import Lookup
from seec.schemas.commit import FIRST
from seec.schemas.errors import SectionCorrupt, UnknownPath
from seec.schemas.merkle import path_to
from seec.schemas.proof import Proof, Way


def prove(archive: Archive, path: str) -> Proof:
    """A proof of the row that counts for a path in the state of an archive.

    path: its text by `seec.schemas.names`. Reads all commits, and one manifest part. UnknownPath if
    there is none; FormatError or FixityError if a record that is needed is damaged.
    """
    found = Lookup(archive)(path)
    if found is None:
        raise UnknownPath(f"{archive.store.url}: holds no {path!r}; seec ls lists the paths")
    shard, row = found
    rows = [row for row in archive.rows(shard) if row.piece is None]
    names: list[tuple[str, str]] = []
    leaves: list[bytes] = []
    sha256 = ""
    for commit, data in archive.commits(FIRST, archive.state.sequence):
        names += [
            (s.shard, s.rows_root) for s in (*commit.changes.shards, *commit.changes.repaired)
        ]
        leaves += commit.changes.leaves
        sha256 = hashlib.sha256(data).hexdigest()
    row_leaves = [leaf_of(one) for one in rows]
    at = next(index for index, one in enumerate(rows) if one.path == path)
    entry = len(names) - 1 - names[::-1].index((shard.shard, shard.rows_root))
    proof = Proof(
        path=row.path,
        kind=row.kind,
        size_bytes=row.source_size_bytes,
        source_digest=row.source_digest.hex(),
        row=Way(at, len(rows), tuple(path_to(row_leaves, at))),
        shard_name=shard.shard,
        shard=Way(entry, len(leaves), tuple(path_to(leaves, entry))),
        sequence=archive.state.sequence,
        commit_sha256=sha256,
    )
    if proof.digest() != archive.state.digest:
        raise SectionCorrupt(
            f"{shard.manifest.name}: its rows have another root than the commit says; "
            "run seec verify"
        )
    return proof
