"""A list of paths that vanished from their source: a Parquet table with one column, sorted."""

from collections.abc import Iterable
from itertools import pairwise

from seec.schemas import tables
from seec.schemas.errors import SectionCorrupt
from seec.schemas.tables import Column, Table

REMOVED = Table("removed", 1, (Column("path", "string"),))


def serialise_removed(paths: Iterable[str]) -> bytes:
    """The bytes of a list of paths, text by `seec.schemas.names`, in any order."""
    return tables.serialise(REMOVED, [{"path": path} for path in sorted(paths)])


def parse_removed(name: str, data: bytes) -> list[str]:
    """The paths; SectionCorrupt if the bytes are no such list, or it is not sorted."""
    paths = [row["path"] for row in tables.parse(name, data, REMOVED)]
    if any(one >= other for one, other in pairwise(paths)):
        raise SectionCorrupt(f"{name}: paths are not sorted")
    return paths
