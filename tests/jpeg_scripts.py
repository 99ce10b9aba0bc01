"""JPEG files with scan scripts of all kinds, written from the coefficients of another file."""

import random
from dataclasses import dataclass, replace

from seec.pipeline.dct import scans
from seec.pipeline.dct.jpeg import Jpeg
from seec.pipeline.dct.scans import ScanRecord
from seec.pipeline.images.jpeg import ZIGZAG, Frame, FrameComponent, Scan

_MARKERS = {False: 0xC0, True: 0xC2}


@dataclass(frozen=True)
class ScriptScan:
    """components: indices. start, end, high, low: as in a scan header."""

    components: tuple[int, ...]
    start: int = 0
    end: int = 63
    high: int = 0
    low: int = 0


@dataclass(frozen=True)
class Habits:
    """What an encoder chooses freely.

    interval: MCUs between restarts. fill: padding bits. rule, runs, zero_runs: see `ScanRecord`.
    height_behind: the height stands in a DNL segment. one_segment: all tables of a scan in one.
    """

    interval: int = 0
    fill: int = 1
    rule: int = 0
    runs: bytes = b""
    zero_runs: bytes = b""
    height_behind: bool = False
    one_segment: bool = False


def sequential_script(components: int, random_: random.Random) -> list[ScriptScan]:
    """Scans of one to all components, in any order."""
    rest = list(range(components))
    random_.shuffle(rest)
    script: list[ScriptScan] = []
    while rest:
        count = random_.randint(1, len(rest))
        script.append(ScriptScan(tuple(sorted(rest[:count]))))
        rest = rest[count:]
    return script


def progressive_script(components: int, random_: random.Random) -> list[ScriptScan]:
    """Any bands and bits that the standard allows, in any order that does."""
    dc = random_.randint(0, 3)
    first = [replace(s, end=0, low=dc) for s in sequential_script(components, random_)]
    script = first + [
        replace(scan, end=0, high=low, low=low - 1)
        for low in range(dc, 0, -1)
        for scan in sequential_script(components, random_)
    ]
    bands: list[list[ScriptScan]] = []
    for component in range(components):
        start = 1
        while start <= 63 and random_.random() < 0.9:
            end = min(63, start + random_.choice((0, 1, 4, 20, 62)))
            low = random_.randint(0, 3)
            band = [ScriptScan((component,), start, end, 0, low)]
            band += [
                ScriptScan((component,), start, end, bit, bit - 1) for bit in range(low, 0, -1)
            ]
            bands.append(band)
            start = end + 1
    while bands:
        band = random_.choice(bands)
        script.append(band.pop(0))
        bands = [b for b in bands if b]
    return script


def rewritten(
    jpeg: Jpeg, progressive: bool, script: list[ScriptScan], habits: Habits = Habits()
) -> bytes:
    """The file of these coefficients and scans; Huffman tables are the best for each scan."""
    components = tuple(
        FrameComponent(i + 1, c.horizontal, c.vertical, i) for i, c in enumerate(jpeg.components)
    )
    frame = Frame(progressive, jpeg.width, jpeg.height, components)
    out = bytearray(b"\xff\xd8")
    for i, component in enumerate(jpeg.components):
        out += _segment(0xDB, bytes((i,)) + component.quantisation[ZIGZAG].astype("u1").tobytes())
    height = 0 if habits.height_behind else jpeg.height
    size = height.to_bytes(2, "big") + jpeg.width.to_bytes(2, "big")
    parts = [(c.identifier, c.horizontal << 4 | c.vertical, c.quantiser) for c in components]
    header = b"\x08" + size + bytes((len(parts), *(n for part in parts for n in part)))
    out += _segment(_MARKERS[progressive], header)
    if habits.interval:
        out += _segment(0xDD, habits.interval.to_bytes(2, "big"))
    record = ScanRecord(None, True, habits.rule, habits.runs, habits.zero_runs)
    for number, step in enumerate(script):
        chosen = tuple((c, min(c, 1), min(c, 1)) for c in step.components)
        scan = Scan(chosen, step.start, step.end, step.high, step.low, b"", habits.interval)
        counts = scans.count(frame, scan, record, jpeg.planes)
        tables, segments = bytearray(8 * 272), []
        for table in range(8):
            if counts[table].any():
                best = scans.best_table(counts[table])
                tables[272 * table : 272 * table + len(best)] = best
                segments.append(bytes((table // 4 << 4 | table % 4,)) + best)
        if segments and habits.one_segment:
            segments = [b"".join(segments)]
        out += b"".join(_segment(0xC4, s) for s in segments)
        pairs = [(components[c].identifier, dc << 4 | ac) for c, dc, ac in chosen]
        end = (step.start, step.end, step.high << 4 | step.low)
        out += _segment(0xDA, bytes((len(pairs), *(n for pair in pairs for n in pair), *end)))
        scan = replace(scan, tables=bytes(tables))
        out += b"".join(scans.write(frame, scan, record, jpeg.planes, habits.fill))
        if number == 0 and habits.height_behind:
            out += _segment(0xDC, jpeg.height.to_bytes(2, "big"))
    return bytes(out) + b"\xff\xd9"


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (2 + len(body)).to_bytes(2, "big") + body
