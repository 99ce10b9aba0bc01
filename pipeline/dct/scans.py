"""Scans of a JPEG file: entropy-coded bytes to coefficients and back (ISO/IEC 10918-1, F and G).

An encoder is free in a few things, and a `ScanRecord` holds how it chose where that is not as
libjpeg does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.jpeg import TABLES, Frame, Scan
from seec.schemas.errors import SectionCorrupt, UnreadableImage

try:
    from seec.pipeline.dct import _jpeg
except ImportError:  # installed without a C compiler
    _jpeg = None

RULES = 3
Arrays = tuple[NDArray[np.int16], ...]


@dataclass(frozen=True)
class ScanRecord:
    """What a scan holds beside coefficients.

    mcus: coded, from the first; None for all. restarts: whether the markers of its interval are
    there. rule: when a run of EOBs ends (0 as libjpeg does, 1 at 32767 blocks, 2 at each block).
    runs: pairs of int32, for each run with another length than its rule says: distance of its
    number from the one before (from 0), length. zero_runs: the same for blocks that code
    more runs of 16 zeros at their end than needed: distance, how many.
    padding: for each byte that ends an interval and has bits left, those bits.
    """

    mcus: int | None
    restarts: bool = True
    rule: int = 0
    runs: bytes = b""
    zero_runs: bytes = b""
    padding: bytes = b""


@dataclass(frozen=True)
class ReadScan:
    """A scan beside its coefficients.

    record: its padding has a 1 before the bits of each byte. end: the position behind the scan.
    counts: of each symbol, [8, 256], tables 4 for DC and 4 for AC; None if the scan is not whole.
    """

    record: ScanRecord
    end: int
    counts: NDArray[np.uint32] | None

    def best_table(self, number: int) -> bytes | None:
        """The Huffman table, 0 to 7, that libjpeg makes for this scan; None if it is not whole."""
        return None if self.counts is None else best_table(self.counts[number])


def read(frame: Frame, scan: Scan, data: bytes, start: int, coefficients: Arrays) -> ReadScan:
    """Add a scan's coefficients, as far as they are whole.

    coefficients: of all components of the frame, each [rows, columns, 64], natural order.
    """
    numbers, arrays = _numbers(frame, scan, coefficients)
    counts = np.zeros((TABLES, 256), np.uint32)
    end, mcus, interval, padding, zero_runs, runs = _extension().read(
        data, start, numbers, scan.tables, arrays, counts
    )
    choices = [(len(pairs), rule) for rule, pairs in enumerate(runs) if pairs is not None]
    if zero_runs is None or not choices:
        raise UnreadableImage("JPEG with too many oddities in a scan")
    _, rule = min(choices)
    whole = mcus == numbers[6] * numbers[7]
    record = ScanRecord(
        mcus=None if whole else mcus,
        restarts=interval == scan.interval,
        rule=rule,
        runs=runs[rule] or b"",
        zero_runs=zero_runs,
        padding=padding,
    )
    return ReadScan(record, end, counts if whole else None)


def write(
    frame: Frame, scan: Scan, record: ScanRecord, coefficients: Arrays, fill: int | None
) -> bytes:
    """The entropy-coded bytes. fill: value of padding bits; None: those of the record.

    SectionCorrupt if they cannot be had from these coefficients.
    """
    return _run(frame, scan, record, coefficients, scan.tables, fill)


def count(frame: Frame, scan: Scan, record: ScanRecord, coefficients: Arrays) -> NDArray[np.uint32]:
    """How often the scan codes each symbol: [8, 256], tables 4 for DC and 4 for AC."""
    counts = np.zeros((TABLES, 256), np.uint32)
    _run(frame, scan, record, coefficients, counts, 1)
    return counts


def best_table(counts: NDArray[np.uint32]) -> bytes:
    """The Huffman table that libjpeg makes of counts [256]: 16 counts of codes, symbols."""
    return _extension().best_table(counts)


def _run(
    frame: Frame,
    scan: Scan,
    record: ScanRecord,
    coefficients: Arrays,
    tables: bytes | NDArray[np.uint32],
    fill: int | None,
) -> bytes:
    numbers, arrays = _numbers(frame, scan, coefficients)
    if not record.restarts:
        numbers[5] = 0
    mcus = int(numbers[6] * numbers[7]) if record.mcus is None else record.mcus
    padding = record.padding if fill is None else None
    runs, zero_runs = record.runs, record.zero_runs
    try:
        return _extension().write(
            numbers, tables, arrays, mcus, record.rule, runs, zero_runs, fill or 0, padding
        )
    except ValueError as error:
        raise SectionCorrupt(f"JPEG recipe: {error}") from None


def _numbers(
    frame: Frame, scan: Scan, coefficients: Arrays
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int16], ...]]:
    """The scan as the extension takes it, and the arrays of its components."""
    interleaved = len(scan.components) > 1
    rows, columns = frame.mcu_rows, frame.mcu_columns
    if not interleaved:
        rows, columns = frame.visible(scan.components[0][0])
    numbers = [frame.progressive, scan.start, scan.end, scan.high, scan.low, scan.interval]
    numbers += [columns, rows, len(scan.components)]
    arrays: list[NDArray[np.int16]] = []
    for index, dc, ac in scan.components:
        component, array = frame.components[index], coefficients[index]
        blocks = (component.horizontal, component.vertical) if interleaved else (1, 1)
        numbers += [*blocks, dc, 4 + ac, array.shape[1], array.shape[0]]
        arrays.append(array)
    return np.array(numbers, np.int64), tuple(arrays)


def _extension():
    if _jpeg is None:
        raise UnreadableImage("JPEG: SEEC was installed without a C compiler")
    return _jpeg
