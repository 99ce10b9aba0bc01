"""The pieces of a file that was cut: the payload of route `pieces`, a Parquet table.

One row for each piece, in the order of the file: the shard that holds the row of the piece, its
bytes, and their SHA-256.
"""

from collections.abc import Sequence
from typing import NamedTuple

from seec.schemas import tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.tables import Column, Table

PIECES = Table(
    "pieces",
    1,
    (Column("shard", "string"), Column("size_bytes", "int64"), Column("digest", "digest")),
)


class Piece(NamedTuple):
    """A piece of a file: the shard whose manifest part has its row, its bytes, their SHA-256."""

    shard: str
    size_bytes: int
    digest: bytes


def serialise_pieces(pieces: Sequence[Piece]) -> bytes:
    """The bytes of a list of pieces."""
    return tables.serialise(PIECES, [piece._asdict() for piece in pieces])


def parse_pieces(name: str, data: bytes, size_bytes: int) -> list[Piece]:
    """The pieces of a file of size_bytes; SectionCorrupt if the bytes are no such list."""
    pieces = [Piece(**record) for record in tables.parse(name, data, PIECES)]
    if any(piece.size_bytes < 0 for piece in pieces):
        raise SectionCorrupt(f"{name}: a piece of negative size")
    if sum(piece.size_bytes for piece in pieces) != size_bytes:
        raise SectionCorrupt(f"{name}: pieces that are not as long as their file")
    return pieces
