"""Scans of a JPEG file: entropy-coded bytes to coefficients and back (ISO/IEC 10918-1, F and G).

An encoder is free in a few things, and a `ScanRecord` holds how it chose where that is not as
libjpeg does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct.extension import extension
from seec.pipeline.dct.planes import Planes
from seec.pipeline.images.jpeg import TABLES, Frame, Scan
from seec.schemas.errors import SectionCorrupt, UnreadableImage

RULES = 3
# The most pairs in the lists of all scans of a file. Usual files have none; a bit of a file can be
# one, and takes 8 bytes of memory.
MAX_PAIRS = 1 << 20
_TOO_ODD = f"JPEG with more than {MAX_PAIRS} odd runs in its scans"


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

    @property
    def pairs(self) -> int:
        """In both lists."""
        return (len(self.runs) + len(self.zero_runs)) // 8


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


def read(
    frame: Frame, scan: Scan, data: bytes, start: int, planes: Planes, most_pairs: int
) -> ReadScan:
    """Add a scan's coefficients, as far as they are whole. planes: of the frame's components.

    UnreadableImage where its record has more pairs than most_pairs.
    """
    numbers = _numbers(frame, scan, planes)
    counts = np.zeros((TABLES, 256), np.uint32)
    reader = extension().make_reader(data, start, numbers, scan.tables, counts, most_pairs)
    for group, rows in _rows(frame, scan, planes):
        arrays = _arrays(scan, planes, group)
        goes_on = extension().read(reader, rows.start, rows.stop, arrays)
        for (index, _, _), array in zip(scan.components, arrays, strict=True):
            planes.put(group, index, array)
        if not goes_on:
            break
    end, mcus, interval, padding, zero_runs, runs = extension().finish_reading(reader)
    choices = [(len(pairs), rule) for rule, pairs in enumerate(runs) if pairs is not None]
    if zero_runs is None or not choices:
        raise UnreadableImage(_TOO_ODD)
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
    if record.pairs > most_pairs:
        raise UnreadableImage(_TOO_ODD)
    return ReadScan(record, end, counts if whole else None)


def write(
    frame: Frame, scan: Scan, record: ScanRecord, planes: Planes, fill: int | None
) -> Iterator[bytes]:
    """The entropy-coded bytes, part by part. fill: of padding bits; None: those of the record.

    SectionCorrupt if they cannot be had from these coefficients.
    """
    return _run(frame, scan, record, planes, scan.tables, fill)


def count(frame: Frame, scan: Scan, record: ScanRecord, planes: Planes) -> NDArray[np.uint32]:
    """How often the scan codes each symbol: [8, 256], tables 4 for DC and 4 for AC."""
    counts = np.zeros((TABLES, 256), np.uint32)
    for _ in _run(frame, scan, record, planes, counts, 1):
        pass
    return counts


def best_table(counts: NDArray[np.uint32]) -> bytes:
    """The Huffman table that libjpeg makes of counts [256]: 16 counts of codes, symbols."""
    return extension().best_table(counts)


def _run(
    frame: Frame,
    scan: Scan,
    record: ScanRecord,
    planes: Planes,
    tables: bytes | NDArray[np.uint32],
    fill: int | None,
) -> Iterator[bytes]:
    numbers = _numbers(frame, scan, planes)
    if not record.restarts:
        numbers[5] = 0
    mcus = int(numbers[6] * numbers[7]) if record.mcus is None else record.mcus
    padding = record.padding if fill is None else None
    runs, zero_runs = record.runs, record.zero_runs
    try:
        writer = extension().make_writer(
            numbers, tables, mcus, record.rule, runs, zero_runs, fill or 0, padding
        )
        for group, rows in _rows(frame, scan, planes):
            if rows.start * int(numbers[6]) >= mcus:
                break
            arrays = _arrays(scan, planes, group)
            yield extension().write(writer, rows.start, rows.stop, arrays)
        yield extension().finish_writing(writer)
    except ValueError as error:
        raise SectionCorrupt(f"JPEG recipe: {error}") from None


def _is_interleaved(scan: Scan) -> bool:
    return len(scan.components) > 1


def _numbers(frame: Frame, scan: Scan, planes: Planes) -> NDArray[np.int64]:
    """The scan as the extension takes it."""
    rows, columns = frame.mcu_rows, frame.mcu_columns
    if not _is_interleaved(scan):
        rows, columns = frame.visible(scan.components[0][0])
    numbers = [frame.progressive, scan.start, scan.end, scan.high, scan.low, scan.interval]
    numbers += [columns, rows, len(scan.components)]
    for index, dc, ac in scan.components:
        component = frame.components[index]
        blocks = (component.horizontal, component.vertical) if _is_interleaved(scan) else (1, 1)
        numbers += [*blocks, dc, 4 + ac, planes.planes[index].columns]
    return np.array(numbers, np.int64)


def _rows(frame: Frame, scan: Scan, planes: Planes) -> Iterator[tuple[int, slice]]:
    """The groups, with the rows of MCUs that the scan has in each."""
    for group, span in enumerate(planes.spans):
        if _is_interleaved(scan):
            yield group, span
            continue
        index = scan.components[0][0]
        rows, (visible, _) = planes.rows(group, index), frame.visible(index)
        yield group, slice(min(rows.start, visible), min(rows.stop, visible))


def _arrays(scan: Scan, planes: Planes, group: int) -> tuple[NDArray[np.int16], ...]:
    return tuple(planes.read(group, index) for index, _, _ in scan.components)
