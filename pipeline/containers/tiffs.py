"""TIFF files of any size: small TIFF files of some of their strips or tiles, and JPEG strips.

A file with JPEG strips is taken apart like this whatever its size, any other where it is in pieces.

Bounds: directories and lists of strips are as many as `_MOST_PAGES` and `MAX_VALUES` say.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from seec.pipeline.containers.carving import end_of_jpeg
from seec.pipeline.containers.headed import headed_recipe
from seec.pipeline.containers.members import Look
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, Span
from seec.pipeline.containers.strips import Index, Indexes, Known, at_most, extents, with_carved
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
        index = _INDEXES.get(ranges)
    except UnreadableImage:
        return with_carved(piece, [])
    spans = index.spans(piece, start)
    for one in _jpeg_pieces(index):
        spans += _jpegs(piece, start, one)
    return with_carved(piece, spans)


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`: at the end of a strip or tile, or between two of its rows."""
    try:
        index = _INDEXES.get(ranges)
    except UnreadableImage:
        return _INDEXES.cut(ranges, position)
    for one in _jpeg_pieces(index):
        starts, ends = extents(one.pieces)
        for i in np.flatnonzero((starts < position) & (ends > position))[:1]:
            return at_most(int(ends[i]), position)
    return index.cut(ranges, position)


def _read_index(ranges: Ranges) -> Index:
    pages, others = known_pages(Blocks(ranges), _MOST_PAGES)
    known = [
        Known(f"page-{number}", described(page), place)
        for number, page in enumerate(pages)
        for place in page.places
    ]
    return Index(known, [one for one in others if isinstance(one, JpegPieces)])


_INDEXES = Indexes(_read_index)


def _jpeg_pieces(index: Index) -> Iterator[JpegPieces]:
    return (one for one in index.others if isinstance(one, JpegPieces))


def _jpegs(piece: bytes, start: int, found: JpegPieces) -> Iterator[Span]:
    """Those of a page that are wholly in a piece, with the tables that they share."""
    starts, ends = extents(found.pieces)
    for i in np.flatnonzero((starts >= start) & (ends <= start + len(piece))):
        at, end = int(starts[i]) - start, int(ends[i]) - start
        data = piece[at:end]
        if not data.startswith(_SOI) or len(data) < LEAST_CARVED_BYTES:
            continue
        content = _SOI + found.tables + data[len(_SOI) :]
        if end_of_jpeg(content) is None:
            continue
        if not found.tables:
            yield Span(at, len(data), f"@{start + at}.jpg")
            continue
        recipe = headed_recipe(len(_SOI) + len(found.tables), _SOI)
        yield Span(at, len(data), f"@{start + at}.jpg", "headed", content, recipe)
