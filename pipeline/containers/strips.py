"""Files whose samples lie at known places: small TIFF files of some of their strips or tiles.

An index says where all strips and tiles of a file are, whatever its format. Uncompressed ones may
be cut between rows, all others are left whole.

Bounds: a piece reads no samples but its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.containers.carving import carve
from seec.pipeline.containers.carving import cut as carving_cut
from seec.pipeline.containers.cutting import FARTHEST_BYTES
from seec.pipeline.containers.headed import headed_recipe
from seec.pipeline.containers.last import Last
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, Span
from seec.pipeline.images.formats.raw_samples import LEAST_SLICE
from seec.pipeline.images.formats.spliced import Place
from seec.pipeline.images.formats.tiff_parts import Described, Part, head
from seec.pipeline.images.ranges import Ranges
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_DEEP_GROUP, MAX_RASTERS

_MEMBER_SAMPLES = MAX_DEEP_GROUP  # more in one member would be coded no better
_APART_BYTES = 1 << 12  # between strips of one member, such as directories
_LEAST_BYTES = 1 << 10  # of a member


@dataclass(frozen=True)
class Known:
    """Strips or tiles of one raster. name: of the raster, for its members. how: for TIFF."""

    name: str
    how: Described
    place: Place


@dataclass(frozen=True)
class _Unit:
    """A strip or tile, or some rows of an uncompressed one. start, end: in the file.

    number: of the raster. known: the strips that it is one of. rows: as the file has them.
    """

    start: int
    end: int
    number: int
    known: Known
    rows: int

    @property
    def place(self) -> Place:
        """The strips that it is one of."""
        return self.known.place

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


class Index:
    """Where all strips and tiles of a file lie."""

    def __init__(self, known: Sequence[Known]) -> None:
        """known: of each raster."""
        self._known = known
        counts = np.array([len(one.place.pieces) for one in known], np.int64)
        self._starts, self._ends = extents(piece for one in known for piece in one.place.pieces)
        # Of each strip or tile, the raster that it is of, and its number there among them.
        firsts = np.repeat(counts.cumsum() - counts, counts)
        self._numbers = np.arange(len(self._starts), dtype=np.int64) - firsts
        self._owners = np.repeat(np.arange(len(known), dtype=np.int64), counts)

    def spans(self, piece: bytes, start: int) -> list[Span]:
        """Small TIFF files of what lies in a piece of the file, which begins at `start`."""
        return [*_groups(piece, start, self._inside(start, start + len(piece)))]

    def cut(self, ranges: Ranges, position: int) -> int:
        """At the end of a strip or tile, or between two of its rows.

        At the position where no strip covers it; what is longer than 64 MiB is cut there, too.
        """
        for unit in self._covering(position, position + 1):
            if unit.start < position:
                rows = -(-(position - unit.start) // unit.grain) if unit.grain else 0
                at = unit.start + rows * unit.grain if unit.grain else unit.end
                return min(at_most(at, position), ranges.size_bytes)
        return position

    def _covering(self, start: int, end: int) -> Iterator[_Unit]:
        """All strips and tiles that lie, as a part at least, between two places."""
        for i in np.flatnonzero((self._starts < end) & (self._ends > start)):
            number = int(self._owners[i])
            known = self._known[number]
            place = known.place
            at, behind = int(self._starts[i]), int(self._ends[i])
            if place.coding is None:
                rows = (behind - at) // place.packing.row_bytes(place.shape)
            else:
                total = place.packing.rows(place.shape)
                rows = min(place.coding.rows, total - int(self._numbers[i]) * place.coding.rows)
            yield _Unit(at, behind, number, known, rows)

    def _inside(self, start: int, end: int) -> list[_Unit]:
        """Strips and tiles between two places, in the order of the file; large ones in parts."""
        found: list[_Unit] = []
        for unit in self._covering(start, end):
            if unit.grain:
                found += _rows_inside(unit, start, end)
            elif start <= unit.start and unit.end <= end:
                found.append(unit)
        found.sort(key=lambda unit: (unit.start, unit.end))
        kept = found[:1]
        kept += (other for one, other in pairwise(found) if one.end <= other.start)
        return kept


def find_strips(indexes: Last[Index], piece: bytes, start: int, ranges: Ranges) -> list[Span]:
    """As `containers.find`: small TIFF files, and images that lie between them."""
    try:
        spans = indexes.get(ranges).spans(piece, start)
    except UnreadableImage:
        spans = []
    return with_carved(piece, spans)


def cut_strips(indexes: Last[Index], ranges: Ranges, position: int) -> int:
    """As `containers.cut`."""
    try:
        return indexes.get(ranges).cut(ranges, position)
    except UnreadableImage:
        return carving_cut(ranges, position)


def with_carved(piece: bytes, spans: list[Span]) -> list[Span]:
    """The spans, and images between them, such as the previews of a camera."""
    spans = sorted(spans, key=lambda span: span.start)
    ends = [0, *accumulate((span.end for span in spans), max)]
    starts = [*(span.start for span in spans), len(piece)]
    found = list(spans)
    for begin, until in zip(ends, starts, strict=True):
        if until - begin >= LEAST_CARVED_BYTES:
            found += (span.moved(begin) for span in carve(piece[begin:until]))
    return found


def at_most(place: int, position: int) -> int:
    """A place behind a position; the position if that is more than 64 MiB before it."""
    return place if place - position <= FARTHEST_BYTES else position


def extents(pieces: Iterable[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of (offset, size)."""
    listed = np.array(list(pieces), np.uint64).reshape(-1, 2)
    listed = np.minimum(listed, np.uint64(1 << 61)).astype(np.int64)
    return listed[:, 0], listed.sum(1)


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
        f"{first.known.name}@{first.start}.tif",
        packing="headed",
        content=beginning + data,
        recipe=headed_recipe(len(beginning)),
    )


def _stacked(one: _Unit, other: _Unit) -> bool:
    """Whether two rasters are so small that they are to be one, below each other."""
    shape = one.place.shape
    return (
        one.place.coding is None
        and shape == other.place.shape
        and shape.width * shape.height < LEAST_SLICE
        and one.known.how == other.known.how
        and all(len(unit.place.pieces) == 1 and unit.rows == shape.height for unit in (one, other))
    )


def _parts(units: list[_Unit]) -> list[Part]:
    """The directories of a small TIFF file."""
    parts: list[Part] = []
    before: _Unit | None = None
    for unit in units:
        piece = (unit.start - units[0].start, unit.size_bytes)
        same = before is not None and (before.place is unit.place or _stacked(before, unit))
        if before is not None and same and unit.place.coding is None and before.end == unit.start:
            (at, size), rows = parts[-1].pieces[0], parts[-1].rows + unit.rows
            parts[-1] = Part(unit.known.how, rows, rows, ((at, size + unit.size_bytes),))
        elif before is not None and same and before.rows == parts[-1].each and unit.place.coding:
            pieces = (*parts[-1].pieces, piece)
            parts[-1] = Part(unit.known.how, parts[-1].rows + unit.rows, parts[-1].each, pieces)
        else:
            parts.append(Part(unit.known.how, unit.rows, unit.rows, (piece,)))
        before = unit
    return parts
