"""JPEG files taken apart into quantised coefficients and a recipe, and put together again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct import recipes, scans
from seec.pipeline.dct.cut_headers import Cutter
from seec.pipeline.dct.header_items import Expander
from seec.pipeline.dct.planes import Plane, Planes
from seec.pipeline.dct.recipes import Recipe
from seec.pipeline.dct.scans import ReadScan, ScanRecord
from seec.pipeline.images.jpeg import Frame, Headers, Scan, matches
from seec.schemas.errors import LimitExceeded, SectionCorrupt, UnreadableImage
from seec.schemas.limits import MAX_PIXELS

# Of a coefficient that no scan has coded, and of one that a scan has coded for some blocks only.
_NOTHING, _DAMAGED = -1, -2
# More makes no smaller file, and would only take time.
_MAX_SCANS = 1 << 12
# Blocks of all scans for each byte of a file: made to take time, one can be all runs of EOBs.
_MAX_VISITS = 256
_END = b"\xff\xd9"


@dataclass(frozen=True)
class Component:
    """A colour component of the frame, or some rows of it.

    horizontal, vertical: sampling factors, 1 to 4. quantisation: [64] uint16, natural (row-major)
    order, at least 1. coefficients: [block rows, block columns, 64] int16, natural order; of a
    frame with several components with the blocks that fill its last MCUs.
    """

    horizontal: int
    vertical: int
    quantisation: NDArray[np.uint16]
    coefficients: NDArray[np.int16]


@dataclass(frozen=True)
class ComponentLayout:
    """A component without its coefficients; rows, columns: of blocks."""

    horizontal: int
    vertical: int
    quantisation: NDArray[np.uint16]
    rows: int
    columns: int


@dataclass(frozen=True)
class Layout:
    """What a recipe alone says about its file."""

    width: int
    height: int
    components: tuple[ComponentLayout, ...]

    def empty_planes(self) -> Planes:
        """Coefficients that are all 0."""
        return Planes([Plane(c.vertical, c.rows, c.columns) for c in self.components])


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file. planes: its coefficients. recipe: all else that gives the file back."""

    layout: Layout
    planes: Planes
    recipe: bytes

    @classmethod
    def of(cls, width: int, height: int, components: Sequence[Component], recipe: bytes) -> "Jpeg":
        """A file of these components. width, height: pixels."""
        layouts = tuple(
            ComponentLayout(c.horizontal, c.vertical, c.quantisation, *c.coefficients.shape[:2])
            for c in components
        )
        one = Layout(width, height, layouts)
        planes = one.empty_planes()
        for group in range(len(planes.spans)):
            for number, c in enumerate(components):
                planes.put(group, number, c.coefficients[planes.rows(group, number)])
        return cls(one, planes, recipe)

    @property
    def width(self) -> int:
        """In pixels."""
        return self.layout.width

    @property
    def height(self) -> int:
        """In pixels."""
        return self.layout.height

    @property
    def components(self) -> tuple[Component, ...]:
        """All coefficients: 2 bytes of memory for each."""
        return tuple(
            Component(c.horizontal, c.vertical, c.quantisation, self.planes.whole(number))
            for number, c in enumerate(self.layout.components)
        )

    def group(self, number: int) -> tuple[Component, ...]:
        """The components' rows in a group."""
        return tuple(
            Component(c.horizontal, c.vertical, c.quantisation, self.planes.read(number, index))
            for index, c in enumerate(self.layout.components)
        )


def take_apart(data: bytes) -> Jpeg:
    """Coefficients and recipe of a baseline, extended or progressive Huffman coded JPEG file.

    A damaged or cut file keeps in its recipe what no coefficients give. UnreadableImage, with the
    reason, if the file is of another kind; whether `put_together` gives back the file is for the
    caller to try.
    """
    if not matches(data):
        raise UnreadableImage("not a JPEG file")
    parser = _Parser(data, 0)
    return parser.finish(len(data))


def take_apart_within(data: bytes, start: int) -> tuple[Jpeg, int]:
    """The same for a JPEG file that begins there and is undamaged, and where that ends."""
    parser = _Parser(data, start)
    end = data.find(_END, parser.behind)
    if end < 0 or any(record.mcus is not None for record in parser.records):
        raise UnreadableImage("JPEG that is damaged")
    end += len(_END)
    return parser.finish(end), end


class _Parser:
    """Reads all scans of a file."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._headers, self._cutter = data, Headers(), Cutter()
        self.records: list[ScanRecord] = []
        self._planes: Planes | None = None
        precision = np.full((4, 64), _NOTHING)
        self.behind = start
        visits, most_pairs = _MAX_VISITS * (len(data) - start), scans.MAX_PAIRS
        while len(self.records) < _MAX_SCANS and visits > 0:
            position, scan = self._headers.read_to_scan(data, self.behind)
            frame = self._headers.frame
            if scan is None or frame is None:
                break
            if self._planes is None:
                self._planes = _empty_planes(frame, len(data) - start)
            shapes = (frame.shapes[index] for index, _, _ in scan.components)
            visits -= sum(rows * columns for rows, columns in shapes)
            found = _read(frame, scan, data, position, self._planes, precision, most_pairs)
            most_pairs -= found.record.pairs
            part = data[self.behind : position]
            self._cutter.add(part, scan, frame.identifiers, cache(found.best_table))
            self.records.append(found.record)
            self.behind = found.end

    def finish(self, end: int) -> Jpeg:
        """The file, which ends there."""
        frame, records, planes = self._headers.frame, self.records, self._planes
        if frame is None or planes is None:
            raise UnreadableImage("JPEG without a scan")
        if all(record.mcus == 0 for record in records):
            raise UnreadableImage("JPEG of which no coefficient can be read")
        self._cutter.finish(self._data[self.behind : end])
        fill, kept = recipes.without_padding(records)
        height = frame.height if self._headers.height else 0
        items, literals = self._cutter.items, bytes(self._cutter.literals)
        recipe = recipes.serialise(Recipe(items, literals, kept, fill, height))
        return Jpeg(_layout(self._headers, frame), planes, recipe)


def put_together(jpeg: Jpeg) -> bytes:
    """The file. Raises as `parts_of`."""
    return b"".join(parts_of(jpeg))


def parts_of(jpeg: Jpeg) -> Iterator[bytes]:
    """The file, part by part; a part is of one group at most.

    SectionCorrupt or Truncated if recipe and coefficients do not belong together. LimitExceeded if
    the recipe has more scans than any file that is taken apart.
    """
    recipe = recipes.parse(jpeg.recipe)
    headers = Headers(height=recipe.height)
    expander = Expander(recipe.items, recipe.literals)
    if len(recipe.records) > _MAX_SCANS:
        raise LimitExceeded(f"JPEG recipe: {len(recipe.records)} scans")
    shapes = [(plane.rows, plane.columns) for plane in jpeg.planes.planes]
    for record in recipe.records:
        draft = expander.to_scan_without_tables()
        frame, scan = _next_scan(headers.copy(), draft)
        factors = [c.vertical for c in frame.components]
        if frame.shapes != shapes or factors != [p.vertical for p in jpeg.planes.planes]:
            raise SectionCorrupt("JPEG recipe: coefficients for another frame")
        best = _BestTables(frame, scan, record, jpeg.planes)
        stream = expander.to_scan(cache(best.table))
        yield stream
        frame, scan = _next_scan(headers, stream)
        if record.mcus != 0:
            yield from scans.write(frame, scan, record, jpeg.planes, recipe.fill)
    yield expander.to_scan(lambda _: b"")
    if not expander.is_used_up():
        raise SectionCorrupt("JPEG recipe: bytes behind its end")


def layout(recipe: bytes) -> Layout:
    """What a recipe says without coefficients; SectionCorrupt or Truncated if it is damaged."""
    parsed = recipes.parse(recipe)
    headers = Headers(height=parsed.height)
    expander = Expander(parsed.items, parsed.literals)
    for _ in parsed.records:
        _next_scan(headers, expander.to_scan(lambda _: bytes(16)))
    frame = headers.frame
    if frame is None:
        raise SectionCorrupt("JPEG recipe: no frame")
    return _layout(headers, frame)


class _BestTables:
    """Huffman tables that libjpeg would make for a scan; counts symbols when it is first asked."""

    def __init__(self, frame: Frame, scan: Scan, record: ScanRecord, planes: Planes) -> None:
        self._scan = frame, scan, record, planes
        self._counts: NDArray[np.uint32] | None = None

    def table(self, number: int) -> bytes:
        if self._counts is None:
            self._counts = scans.count(*self._scan)
        return scans.best_table(self._counts[number])


def _next_scan(headers: Headers, stream: bytes) -> tuple[Frame, Scan]:
    try:
        position, scan = headers.read_to_scan(stream, 0)
    except UnreadableImage as error:
        raise SectionCorrupt(f"JPEG recipe: {error}") from None
    if scan is None or headers.frame is None or position != len(stream):
        raise SectionCorrupt("JPEG recipe: no scan where its header stands")
    return headers.frame, scan


def _layout(headers: Headers, frame: Frame) -> Layout:
    components = tuple(
        ComponentLayout(c.horizontal, c.vertical, _quantisation(headers, i), *frame.shapes[i])
        for i, c in enumerate(frame.components)
    )
    return Layout(frame.width, frame.height, components)


def _empty_planes(frame: Frame, size_bytes: int) -> Planes:
    if frame.pixels > MAX_PIXELS:
        raise UnreadableImage(f"{frame.pixels} pixels, over the limit of {MAX_PIXELS}")
    frame.check_presence(size_bytes)
    factors = (c.vertical for c in frame.components)
    return Planes([Plane(v, *shape) for v, shape in zip(factors, frame.shapes, strict=True)])


def _read(
    frame: Frame,
    scan: Scan,
    data: bytes,
    position: int,
    planes: Planes,
    precision: NDArray[np.int_],
    most_pairs: int,
) -> ReadScan:
    """A scan that goes on where those before it ended, else as one without coefficients."""
    chosen = [index for index, _, _ in scan.components]
    before = scan.high if scan.high else _NOTHING
    band = np.ix_(chosen, range(scan.start, scan.end + 1))
    if not _is_legal(frame, scan) or np.any(precision[band] != before):
        return ReadScan(ScanRecord(mcus=0), position, None)
    found = scans.read(frame, scan, data, position, planes, most_pairs)
    if found.record.mcus != 0:
        precision[band] = scan.low if found.record.mcus is None else _DAMAGED
    return found


def _is_legal(frame: Frame, scan: Scan) -> bool:
    if not frame.progressive:
        return True
    if scan.start > scan.end or scan.end > 63 or scan.low > 13:
        return False
    if scan.end > 0 if scan.start == 0 else len(scan.components) > 1:
        return False
    return scan.high in (0, scan.low + 1)


def _quantisation(headers: Headers, component: int) -> NDArray[np.uint16]:
    return np.maximum(headers.latched.get(component, np.ones(64, np.uint16)), np.uint16(1))
