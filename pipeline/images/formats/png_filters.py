"""The filters of PNG: rows of bytes to rows with their type and differences before them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
NONE, SUB, UP, AVERAGE, PAETH = range(5)
_BAND_BYTES = (
    1 << 20
)  # of rows that are filtered at a time: the arithmetic takes several times that


def apply_types(rows: Bytes, pixel_bytes: int, types: Bytes) -> bytes:
    """Each row with the filter of the given type, 0 to 4. types: [height]."""
    parts: list[bytes] = []
    start = 0
    for above, band in _bands(rows):
        wanted = types[start : start + len(band)]
        out = np.empty_like(band)
        for kind in np.unique(wanted):
            chosen = wanted == kind
            out[chosen] = _filter(band[chosen], above[chosen], pixel_bytes, int(kind))
        parts.append(_with_types(wanted, out).tobytes())
        start += len(band)
    return b"".join(parts)


def _bands(rows: Bytes) -> Iterator[tuple[Bytes, Bytes]]:
    """Pairs of the rows above and rows, a few at a time."""
    height = max(1, _BAND_BYTES // max(1, rows.shape[1]))
    for start in range(0, len(rows), height):
        band = rows[start : start + height]
        first = rows[start - 1 : start] if start else np.zeros_like(rows[:1])
        yield np.concatenate([first, band[:-1]]), band


def _filter(rows: Bytes, above: Bytes, pixel_bytes: int, kind: int) -> Bytes:
    if kind == NONE:
        return rows
    if kind == UP:
        return rows - above
    left = _shift(rows, pixel_bytes)
    if kind == SUB:
        return rows - left
    a, b = left.astype(np.int16), above.astype(np.int16)
    if kind == AVERAGE:
        return rows - ((a + b) >> 1).astype(np.uint8)
    c = _shift(above, pixel_bytes).astype(np.int16)
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
    return rows - nearest.astype(np.uint8)


def _shift(rows: Bytes, pixel_bytes: int) -> Bytes:
    out = np.zeros_like(rows)
    out[:, pixel_bytes:] = rows[:, :-pixel_bytes]
    return out


def _with_types(types: Bytes, rows: Bytes) -> Bytes:
    return np.concatenate([types[:, None], rows], axis=1)
