"""The field of 2^16 elements, in the basis of FORMAT.md, "Parity".

An element is a number of 16 bits: bit b says whether basis element b is in its sum, so addition is
the exclusive or of numbers. The basis is Cantor's: with b(0) = 1 and b(i + 1)^2 + b(i + 1) = b(i)
the polynomial that vanishes on the first 2^j numbers gives number `n >> j` for number n, which is
what makes the transforms of `pipeline.parity.code` short.

S.-J. Lin, T. Y. Al-Naffouri, Y. S. Han, W.-H. Chung: Novel Polynomial Basis with Fast Fourier
Transform and Its Application to Reed-Solomon Erasure Codes, IEEE Trans. Inf. Theory 62(11), 2016.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

BITS = 16
SIZE = 1 << BITS
ORDER = SIZE - 1  # of the multiplicative group
POLYNOMIAL = 0x1002D  # x^16 + x^5 + x^3 + x^2 + 1

# Basis elements, as remainders of polynomials: bit i is the coefficient of x^i.
BASIS = (
    0x0001,
    0xACCA,
    0x3C0E,
    0x163E,
    0xC582,
    0xED2E,
    0x914C,
    0x4012,
    0x6C98,
    0x10D8,
    0x6A72,
    0xB900,
    0xFDB8,
    0xFB34,
    0xFF38,
    0x991E,
)

Words = NDArray[np.uint16]
Logs = NDArray[np.int64]


@cache
def tables() -> tuple[Logs, Words]:
    """Logarithm of each number but 0, and the number of each logarithm below 2 ORDER."""
    of_number = spanned(np.array(BASIS, np.uint16))
    number_of = np.empty(SIZE, np.uint16)
    number_of[of_number] = np.arange(SIZE, dtype=np.uint16)
    powers = np.empty(2 * ORDER, np.uint16)
    value = 1
    for exponent in range(ORDER):
        powers[exponent] = number_of[value]
        value <<= 1
        value ^= POLYNOMIAL if value >= SIZE else 0
    powers[ORDER:] = powers[:ORDER]
    logs = np.zeros(SIZE, np.int64)
    logs[powers[:ORDER]] = np.arange(ORDER)
    return logs, powers


def product(one: Words, other: Words) -> Words:
    """Element by element; arrays are broadcast."""
    logs, powers = tables()
    found = powers[logs[one] + logs[other]]
    return np.where((one == 0) | (other == 0), np.uint16(0), found)


def spanned(columns: Words) -> Words:
    """The sums of all subsets: that of the bits of n at index n.

    columns: [..., bits]. Returns [..., 2^bits].
    """
    sums = np.zeros((*columns.shape[:-1], 1 << columns.shape[-1]), np.uint16)
    for bit in range(columns.shape[-1]):
        half = 1 << bit
        column = columns[..., bit, None]
        np.bitwise_xor(sums[..., :half], column, out=sums[..., half : 2 * half])
    return sums


def multiples(factors: Words) -> Words:
    """The products of each factor with the basis elements, [factors, BITS]."""
    return product(factors[:, None], (1 << np.arange(BITS)).astype(np.uint16)[None, :])
