"""JPEG files taken apart into quantised coefficients and a recipe, and put together again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct import recipes, scans
from seec.pipeline.dct.headers import START, Frame, Headers, Scan
from seec.pipeline.dct.recipes import Recipe
from seec.pipeline.dct.scans import ScanRecord
from seec.schemas.errors import SectionCorrupt, UnreadableImage

# Of a coefficient that no scan has coded, and of one that a scan has coded for some blocks only.
_NOTHING, _DAMAGED = -1, -2
# More makes no smaller file, and would only take time.
_MAX_SCANS = 1 << 12


@dataclass(frozen=True)
class Component:
    """A colour component of the frame.

    horizontal, vertical: sampling factors, 1 to 4. quantisation: [64] uint16, natural (row-major)
    order, at least 1. coefficients: [block rows, block columns, 64] int16, natural order; of a
    frame with several components with the blocks that fill its last MCUs.
    """

    horizontal: int
    vertical: int
    quantisation: NDArray[np.uint16]
    coefficients: NDArray[np.int16]


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file. width, height: pixels. recipe: all else that gives the file back."""

    width: int
    height: int
    components: tuple[Component, ...]
    recipe: bytes


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


def take_apart(data: bytes) -> Jpeg:
    """Coefficients and recipe of a baseline, extended or progressive Huffman coded JPEG file.

    A damaged or cut file keeps in its recipe what no coefficients give. Takes 2 bytes of memory
    for each coefficient. UnreadableImage, with the reason, if the file is of another kind; whether
    `put_together` gives back the file is for the caller to try.
    """
    if not data.startswith(START):
        raise UnreadableImage("not a JPEG file")
    headers = Headers()
    stream: list[bytes] = []
    records: list[ScanRecord] = []
    coefficients: tuple[NDArray[np.int16], ...] = ()
    precision = np.full((4, 64), _NOTHING)
    position = behind = 0
    while len(records) < _MAX_SCANS:
        position, scan = headers.read_to_scan(data, behind)
        if scan is None or headers.frame is None:
            break
        if not records:
            coefficients = _allocate(headers.frame, len(data))
        stream.append(data[behind:position])
        record, behind = _read(headers.frame, scan, data, position, coefficients, precision)
        records.append(record)
    if headers.frame is None or not records:
        raise UnreadableImage("JPEG without a scan")
    if all(record.mcus == 0 for record in records):
        raise UnreadableImage("JPEG of which no coefficient can be read")
    stream.append(data[behind:])
    frame = headers.frame
    recipe = recipes.serialise(Recipe(b"".join(stream), frame.height, tuple(records)))
    components = tuple(
        Component(c.horizontal, c.vertical, _quantisation(headers, index), coefficients[index])
        for index, c in enumerate(frame.components)
    )
    return Jpeg(frame.width, frame.height, components, recipe)


def put_together(jpeg: Jpeg) -> bytes:
    """The file. SectionCorrupt or Truncated if recipe and coefficients do not belong together."""
    recipe = recipes.parse(jpeg.recipe)
    headers = Headers(height=recipe.height)
    coefficients = tuple(c.coefficients for c in jpeg.components)
    padding = recipes.paddings(recipe)
    parts: list[bytes] = []
    behind = 0
    for record in recipe.records:
        position, scan = _scan(headers, recipe.stream, behind)
        parts.append(recipe.stream[behind:position])
        behind = position
        if record.mcus == 0:
            continue
        frame = headers.frame
        if frame is None or [c.shape for c in coefficients] != [
            (*frame.shape(i), 64) for i in range(len(frame.components))
        ]:
            raise SectionCorrupt("JPEG recipe: coefficients for another frame")
        parts.append(scans.write(frame, scan, record, coefficients, *next(padding)))
    parts.append(recipe.stream[behind:])
    return b"".join(parts)


def layout(recipe: bytes) -> Layout:
    """What a recipe says without coefficients; SectionCorrupt or Truncated if it is damaged."""
    parsed = recipes.parse(recipe)
    headers = Headers(height=parsed.height)
    position = 0
    for _ in parsed.records:
        position, _ = _scan(headers, parsed.stream, position)
    frame = headers.frame
    if frame is None:
        raise SectionCorrupt("JPEG recipe: no frame")
    components = tuple(
        ComponentLayout(c.horizontal, c.vertical, _quantisation(headers, i), *frame.shape(i))
        for i, c in enumerate(frame.components)
    )
    return Layout(frame.width, frame.height, components)


def _scan(headers: Headers, stream: bytes, behind: int) -> tuple[int, Scan]:
    try:
        position, scan = headers.read_to_scan(stream, behind)
    except UnreadableImage as error:
        raise SectionCorrupt(f"JPEG recipe: {error}") from None
    if scan is None:
        raise SectionCorrupt("JPEG recipe: a scan without a header")
    return position, scan


def _allocate(frame: Frame, size_bytes: int) -> tuple[NDArray[np.int16], ...]:
    shapes = [frame.shape(i) for i in range(len(frame.components))]
    # A block takes at least a bit, in which all of it is zero.
    if sum(rows * columns for rows, columns in shapes) > 8 * size_bytes:
        raise UnreadableImage("JPEG of which almost all is missing")
    return tuple(np.zeros((*shape, 64), np.int16) for shape in shapes)


def _read(
    frame: Frame,
    scan: Scan,
    data: bytes,
    position: int,
    coefficients: tuple[NDArray[np.int16], ...],
    precision: NDArray[np.int_],
) -> tuple[ScanRecord, int]:
    """A scan that goes on where those before it ended, else as one without coefficients."""
    chosen = [index for index, _, _ in scan.components]
    before = scan.high if scan.high else _NOTHING
    band = np.ix_(chosen, range(scan.start, scan.end + 1))
    if not _is_legal(frame, scan) or np.any(precision[band] != before):
        return ScanRecord(mcus=0), position
    record, behind = scans.read(frame, scan, data, position, coefficients)
    if record.mcus != 0:
        precision[band] = scan.low if record.mcus is None else _DAMAGED
    return record, behind


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
