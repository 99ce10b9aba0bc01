"""The pieces of a file that was cut: the payload of route `pieces`, a Parquet table.

One row for each piece, in the order of the file: the shard that holds the row of the piece, its
bytes, and their SHA-256; and the least and the greatest name of its members, so that who looks for
one of them reads few manifest parts.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seec.schemas import tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.tables import Column, Table

PIECES = Table(
    "pieces",
    1,
    (
        Column("shard", "string"),
        Column("size_bytes", "int64"),
        Column("digest", "digest"),
        Column("first_member", "string", nullable=True),
        Column("last_member", "string", nullable=True),
    ),
)


class Piece(NamedTuple):
    """A piece of a file: the shard whose manifest part has its row, its bytes, their SHA-256.

    first_member, last_member: no name of a member is less or greater; None for none.
    """

    shard: str
    size_bytes: int
    digest: bytes
    first_member: str | None = None
    last_member: str | None = None

    def may_hold(self, member: str) -> bool:
        """Whether a member of this name may be in the piece."""
        if self.first_member is None or self.last_member is None:
            return False
        return self.first_member <= member <= self.last_member


def piece_with(shard: str, size_bytes: int, digest: bytes, members: Iterable[str]) -> Piece:
    """A piece in which members of these names are."""
    names = sorted(members)
    return Piece(shard, size_bytes, digest, *((names[0], names[-1]) if names else ()))


def serialise_pieces(pieces: Sequence[Piece]) -> bytes:
    """The bytes of a list of pieces."""
    return tables.serialise(PIECES, [piece._asdict() for piece in pieces])


def parse_pieces(name: str, data: bytes, size_bytes: int) -> list[Piece]:
    """The pieces of a file of size_bytes; SectionCorrupt if the bytes are no such list."""
    pieces = [Piece(**record) for record in tables.parse(name, data, PIECES)]
    if any(piece.size_bytes < 0 for piece in pieces):
        raise SectionCorrupt(f"{name}: a piece of negative size")
    if any((piece.first_member is None) != (piece.last_member is None) for piece in pieces):
        raise SectionCorrupt(f"{name}: a piece with one of the names of its members")
    if sum(piece.size_bytes for piece in pieces) != size_bytes:
        raise SectionCorrupt(f"{name}: pieces that are not as long as their file")
    return pieces
