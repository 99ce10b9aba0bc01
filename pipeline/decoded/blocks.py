"""The inverse transform of JPEG in integers, as libjpeg's decoder computes it ("islow").

The algorithm of Loeffler, Ligtenberg and Moschytz in two passes, with factors of 13 bits and 2
more bits between the passes.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)
_FACTOR_BITS, _PASS_BITS = 13, 2
_AT_ONCE = 1 << 11  # blocks whose sums stay in a core's cache
# Factors in 2^-13.
_F0298, _F0390, _F0541, _F0765, _F0899, _F1175 = 2446, 3196, 4433, 6270, 7373, 9633
_F1501, _F1847, _F1961, _F2053, _F2562, _F3072 = 12299, 15137, 16069, 16819, 20995, 25172


def samples_of(coefficients: NDArray[np.int16], steps: NDArray[np.uint16]) -> Pixels:
    """Samples [8 rows, 8 columns] uint8 of quantised coefficients [rows, columns, 64].

    steps: [64], natural order, as coefficients are.
    """
    made = inverse(coefficients.reshape(-1, 64), steps)
    return in_plane(made.reshape(coefficients.shape))


def inverse(coefficients: NDArray[np.int16], steps: NDArray[np.uint16]) -> Pixels:
    """Samples [n, 64] uint8 of quantised coefficients [n, 64], both row by row.

    Sums are of 32 bits and wrap around, as those of damaged files alone do.
    """
    made = np.empty(coefficients.shape, np.uint8)
    factors = steps.astype(np.int32)
    for start in range(0, len(made), _AT_ONCE):
        some = coefficients[start : start + _AT_ONCE]
        values = np.ascontiguousarray((some * factors).T).reshape(8, 8, -1)
        _transform(values, _FACTOR_BITS - _PASS_BITS)
        _transform(values.swapaxes(0, 1), _FACTOR_BITS + _PASS_BITS + 3)
        values.clip(-128, 127, out=values)
        values += 128
        made[start : start + _AT_ONCE] = values.reshape(64, -1).T
    return made


def _transform(values: NDArray[np.int32], shift: int) -> None:
    """Transform [8, ...] along the first axis in place; rounds, and shifts right."""
    v0, v1, v2, v3, v4, v5, v6, v7 = values
    shared = (v2 + v6) * _F0541
    low, high = shared - v6 * _F1847, shared + v2 * _F0765
    half = 1 << (shift - 1)
    sums = ((v0 + v4) << _FACTOR_BITS) + half
    differences = ((v0 - v4) << _FACTOR_BITS) + half
    even = sums + high, differences + low, differences - low, sums - high
    a, b = (v7 + v1) * -_F0899, (v5 + v3) * -_F2562
    c, d = v7 + v3, v5 + v1
    shared = (c + d) * _F1175
    c, d = c * -_F1961 + shared, d * -_F0390 + shared
    odd = (
        v1 * _F1501 + a + d,
        v3 * _F3072 + b + c,
        v5 * _F2053 + b + d,
        v7 * _F0298 + a + c,
    )
    for k, (one, other) in enumerate(zip(even, odd, strict=True)):
        np.right_shift(one + other, shift, out=values[k])
        np.right_shift(one - other, shift, out=values[7 - k])


def in_plane(blocks: NDArray[Number]) -> NDArray[Number]:
    """Blocks [rows, columns, 64] side by side: [8 rows, 8 columns]."""
    rows, columns, _ = blocks.shape
    return blocks.reshape(rows, columns, 8, 8).swapaxes(1, 2).reshape(8 * rows, 8 * columns)


def in_blocks(plane: NDArray[Number]) -> NDArray[Number]:
    """The inverse of `in_plane`."""
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    return plane.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(rows, columns, 64)
