"""TIFF files of any size: small TIFF files of some of their strips or tiles, and JPEG strips.

A file with JPEG strips is taken apart like this whatever its size, any other where it is in pieces.

Bounds: directories and lists of strips are as many as `_MOST_PAGES` and `MAX_VALUES` say.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seec.pipeline.containers import carving
from seec.pipeline.containers.headed import headed_recipe
from seec.pipeline.containers.last import Last
from seec.pipeline.containers.members import Look
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, Span
from seec.pipeline.containers.strips import Index, Known, at_most, extents, with_carved
from seec.pipeline.images.formats.tiff_directories import KINDS
from seec.pipeline.images.formats.tiff_pages import JpegPieces, known_pages
from seec.pipeline.images.formats.tiff_parts import described
from seec.pipeline.images.ranges import Blocks, Ranges
from seec.schemas.errors import UnreadableImage

_MOST_PAGES = 1 << 16
_SOI = b"\xff\xd8"


def matches(head: bytes) -> bool:
    """Whether a file begins as TIFF or BigTIFF."""
    return head[:4] in KINDS


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterable[Span]:
    """As `containers.find`: small TIFF files, JPEG strips, and images that lie between these."""
    del look
    try:
        known = _LAST.get(ranges)
    except UnreadableImage:
        return with_carved(piece, [])
    spans = known.strips.spans(piece, start)
    for one in known.jpegs:
        spans += _jpegs(piece, start, one)
    return with_carved(piece, spans)


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`: at the end of a strip or tile, or between two of its rows."""
    try:
        known = _LAST.get(ranges)
    except UnreadableImage:
        return carving.cut(ranges, position)
    for one in known.jpegs:
        starts, ends = extents(one.pieces)
        for i in np.flatnonzero((starts < position) & (ends > position))[:1]:
            return at_most(int(ends[i]), position)
    return known.strips.cut(ranges, position)


@dataclass(frozen=True)
class _Known:
    """Of a file. jpegs: the directories whose strips or tiles are JPEG files."""

    strips: Index
    jpegs: Sequence[JpegPieces]


def _read(ranges: Ranges) -> _Known:
    pages, others = known_pages(Blocks(ranges), _MOST_PAGES)
    known = [
        Known(f"page-{number}", described(page), place)
        for number, page in enumerate(pages)
        for place in page.places
    ]
    return _Known(Index(known), [one for one in others if isinstance(one, JpegPieces)])


_LAST = Last(_read)


def _jpegs(piece: bytes, start: int, found: JpegPieces) -> Iterator[Span]:
    """Those of a page that are wholly in a piece, with the tables that they share."""
    starts, ends = extents(found.pieces)
    for i in np.flatnonzero((starts >= start) & (ends <= start + len(piece))):
        at, end = int(starts[i]) - start, int(ends[i]) - start
        data = piece[at:end]
        if not data.startswith(_SOI) or len(data) < LEAST_CARVED_BYTES:
            continue
        content = _SOI + found.tables + data[len(_SOI) :]
        if carving.end_of_jpeg(content) is None:
            continue
        if not found.tables:
            yield Span(at, len(data), f"@{start + at}.jpg")
            continue
        recipe = headed_recipe(len(_SOI) + len(found.tables), _SOI)
        yield Span(at, len(data), f"@{start + at}.jpg", "headed", content, recipe)
