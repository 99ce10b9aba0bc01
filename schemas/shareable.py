"""Which rows of a manifest part have payloads that other files with the same bytes may share."""

from collections.abc import Container, Iterator
from typing import NamedTuple

from seec.schemas.kinds import FILE
from seec.schemas.manifest import MANIFEST
from seec.schemas.routes import PIECES, is_lost
from seec.schemas.tables import Excerpt

_FEW = 8  # of so many rows one is wanted


class Shareable(NamedTuple):
    """A row of a file, or of a piece of one. number: of the row in its part.

    size_bytes, digest: of the file or piece. exact: whether its route gives back every byte,
    whatever was asked for when it was archived.
    """

    number: int
    size_bytes: int
    digest: bytes
    exact: bool


def shareable(
    name: str, data: bytes, sizes: Container[int], *, pieces: bool
) -> Iterator[Shareable]:
    """The files of these sizes that a manifest part holds, whose rows are not checked.

    Left out: what is lost or has a lossy background, and what other rows stand for. pieces: whether
    pieces of files are given, too, of whatever size but 0. SectionCorrupt if it is no such part.
    """
    excerpt = Excerpt(name, data, MANIFEST)
    columns = [excerpt.column(name) for name in ("depth", "piece", "source_size_bytes")]
    wanted = [
        number
        for number, (depth, piece, size_bytes) in enumerate(zip(*columns, strict=True))
        if depth == 0 and (size_bytes in sizes if piece is None else pieces and size_bytes)
    ]
    if not wanted:
        return
    # One value by itself takes as long as some of a column that is made at once.
    values_of = excerpt.column if _FEW * len(wanted) > len(columns[0]) else excerpt.values
    names = ("kind", "route", "same_file", "background_error")
    others = [values_of(name) for name in names]
    facts = [values_of(name) for name in ("source_size_bytes", "source_digest")]
    samples = values_of("pixel_digest")
    for number in wanted:
        kind, route, same_file, background_error = (values[number] for values in others)
        if kind != FILE or route == PIECES or is_lost(route):
            continue
        if same_file is None and background_error is None:
            size_bytes, digest = (values[number] for values in facts)
            yield Shareable(number, size_bytes, digest, samples[number] is None)
