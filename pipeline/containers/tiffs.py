"""TIFF files of any size: small TIFF files of some of their strips or tiles, and JPEG strips.

A file with JPEG strips is taken apart like this whatever its size, any other where it is in pieces.
Uncompressed strips and tiles may be cut between rows, all others are left whole.

Bounds: directories and lists of strips are as many as `_MOST_PAGES` and `MAX_VALUES` say. A process
reads all directories of a file once, as long as it gets pieces of the same file; a piece reads no
samples but its own.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.containers.carving import carve, end_of_jpeg
from seec.pipeline.containers.carving import cut as carving_cut
from seec.pipeline.containers.cutting import FARTHEST_BYTES
from seec.pipeline.containers.headed import headed_recipe
from seec.pipeline.containers.members import Look
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, Span
from seec.pipeline.images.formats.spliced import Place
from seec.pipeline.images.formats.tiff_directories import KINDS
from seec.pipeline.images.formats.tiff_pages import JpegPieces, Page, known_pages
from seec.pipeline.images.formats.tiff_parts import Part, head
from seec.pipeline.images.ranges import Blocks, Ranges, identity_of
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_DEEP_GROUP, MAX_RASTERS

_MOST_PAGES = 1 << 16
_MEMBER_SAMPLES = MAX_DEEP_GROUP  # more in one member would be coded no better
_APART_BYTES = 1 << 12  # between strips of one member, such as directories
_LEAST_BYTES = 1 << 10  # of a member
_SOI = b"\xff\xd8"


@dataclass(frozen=True)
class _Unit:
    """A strip or tile, or some rows of an uncompressed one. start, end: in the file.

    number: of the page. place: the strips that it is one of. rows: as the file has them.
    """

    start: int
    end: int
    number: int
    page: Page
    place: Place
    rows: int

    @property
    def size_bytes(self) -> int:
        """In the file."""
        return self.end - self.start

    @property
    def samples(self) -> int:
        """Once it is decoded."""
        return self.rows * self.place.packing.row_samples(self.place.shape)

    @property
    def grain(self) -> int:
        """It may be cut at multiples of so many bytes; 0 if it may not be cut."""
        if self.place.coding is not None:
            return 0
        packing = self.place.packing
        return packing.row_bytes(self.place.shape) * (2 if packing.mosaic else 1)


def matches(head_: bytes) -> bool:
    """Whether a file begins as TIFF or BigTIFF."""
    return head_[:4] in KINDS


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterable[Span]:
    """As `containers.find`: small TIFF files, JPEG strips, and images that lie between these."""
    del look
    end = start + len(piece)
    try:
        index = _index(ranges)
    except UnreadableImage:
        return carve(piece)
    spans = [*_groups(piece, start, _inside(index, start, end))]
    for one in index.jpegs:
        spans += _jpegs(piece, start, one)
    spans.sort(key=lambda span: span.start)
    return [*spans, *_carved(piece, spans)]


def _carved(piece: bytes, spans: Sequence[Span]) -> Iterator[Span]:
    """Images between spans, such as the previews of a camera."""
    ends = [0, *accumulate((span.end for span in spans), max)]
    starts = [*(span.start for span in spans), len(piece)]
    for begin, until in zip(ends, starts, strict=True):
        if until - begin >= LEAST_CARVED_BYTES:
            for span in carve(piece[begin:until]):
                yield replace(span, start=begin + span.start)


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`: at the end of a strip or tile, or between two of its rows.

    At the position where no strip covers it; what is longer than 64 MiB is cut there, too.
    """
    try:
        index = _index(ranges)
    except UnreadableImage:
        return carving_cut(ranges, position)
    for one in index.jpegs:
        starts, ends = _extents(one.pieces)
        for i in np.flatnonzero((starts < position) & (ends > position))[:1]:
            return _at_most(int(ends[i]), position)
    for unit in index.covering(position, position + 1):
        if unit.start < position:
            rows = -(-(position - unit.start) // unit.grain) if unit.grain else 0
            at = unit.start + rows * unit.grain if unit.grain else unit.end
            return min(_at_most(at, position), ranges.size_bytes)
    return position


def _at_most(place: int, position: int) -> int:
    return place if place - position <= FARTHEST_BYTES else position


@dataclass(frozen=True)
class _Index:
    """Where all strips and tiles of a file lie.

    places: each with its page and the number of that. starts, ends, owners, numbers: of each strip
    or tile, the place in `places` and its number there among them. jpegs: of other directories.
    """

    places: list[tuple[int, Page, Place]]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    owners: NDArray[np.int64]
    numbers: NDArray[np.int64]
    jpegs: list[JpegPieces]

    def covering(self, start: int, end: int) -> Iterator[_Unit]:
        """All strips and tiles that lie, as a part at least, between two places."""
        for i in np.flatnonzero((self.starts < end) & (self.ends > start)):
            number, page, place = self.places[int(self.owners[i])]
            at, behind = int(self.starts[i]), int(self.ends[i])
            if place.coding is None:
                rows = (behind - at) // place.packing.row_bytes(place.shape)
            else:
                total = place.packing.rows(place.shape)
                rows = min(place.coding.rows, total - int(self.numbers[i]) * place.coding.rows)
            yield _Unit(at, behind, number, page, place, rows)


class _Last:
    """The index of the file that was asked for last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: tuple[Hashable, _Index | UnreadableImage] | None = None

    def get(self, ranges: Ranges) -> _Index:
        """The index of a file; UnreadableImage if it has none."""
        identity = identity_of(ranges)
        if identity is None:
            return _read_index(ranges)
        with self._lock:
            if self._known is None or self._known[0] != identity:
                self._known = (identity, _tried_index(ranges))
            found = self._known[1]
        if isinstance(found, UnreadableImage):
            raise UnreadableImage(str(found))
        return found


_LAST = _Last()


def _index(ranges: Ranges) -> _Index:
    return _LAST.get(ranges)


def _tried_index(ranges: Ranges) -> _Index | UnreadableImage:
    try:
        return _read_index(ranges)
    except UnreadableImage as error:
        return error


def _read_index(ranges: Ranges) -> _Index:
    pages, others = known_pages(Blocks(ranges), _MOST_PAGES)
    places = [(n, page, place) for n, page in enumerate(pages) for place in page.places]
    counts = np.array([len(place.pieces) for _, _, place in places], np.int64)
    starts, ends = _extents(piece for _, _, place in places for piece in place.pieces)
    numbers = np.arange(len(starts), dtype=np.int64) - np.repeat(counts.cumsum() - counts, counts)
    owners = np.repeat(np.arange(len(places), dtype=np.int64), counts)
    jpegs = [one for one in others if isinstance(one, JpegPieces)]
    return _Index(places, starts, ends, owners, numbers, jpegs)


def _extents(pieces: Iterable[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends."""
    listed = np.array(list(pieces), np.uint64).reshape(-1, 2)
    listed = np.minimum(listed, np.uint64(1 << 61)).astype(np.int64)
    return listed[:, 0], listed.sum(1)


def _inside(index: _Index, start: int, end: int) -> list[_Unit]:
    """Strips and tiles between two places, in the order of the file; large ones in parts."""
    found: list[_Unit] = []
    for unit in index.covering(start, end):
        if unit.grain:
            found += _rows_inside(unit, start, end)
        elif start <= unit.start and unit.end <= end:
            found.append(unit)
    found.sort(key=lambda unit: (unit.start, unit.end))
    kept = found[:1]
    kept += (other for one, other in pairwise(found) if one.end <= other.start)
    return kept


def _rows_inside(unit: _Unit, start: int, end: int) -> Iterator[_Unit]:
    grain = unit.grain
    first = -(-max(0, start - unit.start) // grain)
    behind = (min(end, unit.end) - unit.start) // grain
    each = unit.rows * grain // unit.size_bytes  # rows of a grain
    samples = each * unit.place.packing.row_samples(unit.place.shape)
    step = max(1, _MEMBER_SAMPLES // samples)
    for at in range(first, behind, step):
        until = min(at + step, behind)
        rows = (until - at) * each
        here, there = (unit.start + place * grain for place in (at, until))
        yield replace(unit, start=here, end=there, rows=rows)


def _groups(piece: bytes, start: int, units: Iterable[_Unit]) -> Iterator[Span]:
    """A member for some units that follow each other and are kept alike."""
    group: list[_Unit] = []
    samples = 0
    for unit in units:
        if group and (
            unit.start - group[-1].end > _APART_BYTES
            or samples + unit.samples > _MEMBER_SAMPLES
            or _look(unit) != _look(group[0])
            or unit.number - group[0].number >= MAX_RASTERS
        ):
            yield from _member(piece, start, group)
            group, samples = [], 0
        group.append(unit)
        samples += unit.samples
    if group:
        yield from _member(piece, start, group)


def _look(unit: _Unit) -> tuple[object, ...]:
    """What units of one member have in common."""
    shape, place = unit.place.shape, unit.place
    return shape.width, shape.samples, shape.depth, place.packing, place.meaning, place.coding


def _member(piece: bytes, start: int, units: list[_Unit]) -> Iterator[Span]:
    first, last = units[0], units[-1]
    if last.end - first.start < _LEAST_BYTES:
        return
    beginning = head(_parts(units))
    data = piece[first.start - start : last.end - start]
    yield Span(
        first.start - start,
        len(data),
        f"page-{first.number}@{first.start}.tif",
        packing="headed",
        content=beginning + data,
        recipe=headed_recipe(len(beginning)),
    )


def _parts(units: list[_Unit]) -> list[Part]:
    """The directories of a small TIFF file."""
    parts: list[Part] = []
    before: _Unit | None = None
    for unit in units:
        piece = (unit.start - units[0].start, unit.size_bytes)
        same = before is not None and before.place is unit.place
        if before is not None and same and unit.place.coding is None and before.end == unit.start:
            (at, size), rows = parts[-1].pieces[0], parts[-1].rows + unit.rows
            parts[-1] = Part(unit.page, rows, rows, ((at, size + unit.size_bytes),))
        elif before is not None and same and before.rows == parts[-1].each and unit.place.coding:
            pieces = (*parts[-1].pieces, piece)
            parts[-1] = Part(unit.page, parts[-1].rows + unit.rows, parts[-1].each, pieces)
        else:
            parts.append(Part(unit.page, unit.rows, unit.rows, (piece,)))
        before = unit
    return parts


def _jpegs(piece: bytes, start: int, found: JpegPieces) -> Iterator[Span]:
    """Those of a page that are wholly in a piece, with the tables that they share."""
    starts, ends = _extents(found.pieces)
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
