"""Lossless JPEG by ITU-T T.81 and FORMAT.md alone: samples and a recipe make the file again."""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Scan(NamedTuple):
    """What headers say. codes: by component, of each number of bits a code as a string of bits."""

    precision: int
    height: int
    width: int
    predictor: int
    shift: int
    interval: int
    codes: list[dict[int, str]]
    end: int


def ljpeg(samples: Sequence[int], recipe: bytes) -> bytes:
    """The file. samples: in the order of the file. recipe: headers and a tail."""
    scan = headers(recipe)
    tail = recipe[scan.end :]
    count = len(scan.codes)
    values = [sample >> scan.shift for sample in samples]
    assert [value << scan.shift for value in values] == list(samples)
    rows = [
        values[at : at + scan.width * count] for at in range(0, len(values), scan.width * count)
    ]
    assert len(rows) == scan.height
    height = scan.interval // scan.width or scan.height
    out = recipe[: scan.end]
    for number, top in enumerate(range(0, scan.height, height)):
        bits = "".join(interval(rows[top : top + height], scan))
        if top + height < scan.height:
            out += stuffed(bits + "1" * (-len(bits) % 8)) + bytes([0xFF, 0xD0 + number % 8])
            continue
        whole = len(bits) // 8 * 8
        out += stuffed(bits[:whole])
        if bits[whole:]:
            out += bytes([int(f"{bits[whole:]:0<8}", 2) | tail[0]])
            tail = tail[1:]
    return out + tail


def headers(data: bytes) -> Scan:
    tables: dict[int, dict[int, str]] = {}
    precision = height = width = interval = 0
    at = 2
    while True:
        marker, size = struct.unpack_from(">HH", data, at)
        body = data[at + 4 : at + 2 + size]
        at += 2 + size
        if marker == 0xFFC3:
            precision, height, width = struct.unpack_from(">BHH", body)
        elif marker == 0xFFDD:
            (interval,) = struct.unpack(">H", body)
        elif marker == 0xFFC4:
            while body:
                count = sum(body[1:17])
                tables[body[0]] = dict(codes(body[1:17], body[17 : 17 + count]))
                body = body[17 + count :]
        elif marker == 0xFFDA:
            used = [tables[body[2 + 2 * i] >> 4] for i in range(body[0])]
            return Scan(precision, height, width, body[-3], body[-1] & 15, interval, used, at)


def codes(counts: bytes, symbols: bytes) -> Iterator[tuple[int, str]]:
    code, listed = 0, iter(symbols)
    for size, count in enumerate(counts, 1):
        for _ in range(count):
            yield next(listed), f"{code:0{size}b}"
            code += 1
        code *= 2


def interval(rows: list[list[int]], scan: Scan) -> Iterator[str]:
    n = len(scan.codes)
    for y, row in enumerate(rows):
        for i, value in enumerate(row):
            a = row[i - n] if i >= n else None
            b, c = (rows[y - 1][i], rows[y - 1][i - n]) if y else (None, None)
            difference = (value - expected(scan, a, b, c)) % 65536
            difference -= 65536 if difference > 32768 else 0
            size = abs(difference).bit_length()
            yield scan.codes[i % n][size]
            if 0 < size < 16:
                yield f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}"


def expected(scan: Scan, a: int | None, b: int | None, c: int | None) -> int:
    if a is None:
        return 1 << (scan.precision - scan.shift - 1) if b is None else b
    if b is None or c is None:
        return a
    each = (a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1)
    return each[scan.predictor - 1]


def stuffed(bits: str) -> bytes:
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
