"""Parity blocks of data blocks, and lost data blocks from both: FORMAT.md, "Parity".

Blocks are rows of an array of words, numbers of the field. With r such that 2^r is at least the
number of parity blocks, data block number j, counted from 2^r, and parity block number i, from 0:

    parity[i] = sum over j of ((j >> r) / (i ^ j)) data[j]

That is a Cauchy matrix with multiplied columns. So any of its square parts can be inverted, and
any blocks come back as long as no more are lost than there are parity blocks. By the formula a
parity block takes a product for each data block. They are computed as what they also are: values at
0, 1 ... of the sum of the polynomials of 2^r coefficients that have the values of 2^r data blocks
each at their numbers. Transforms give these, with r/2 products for each data block.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from seec.pipeline.parity.field import ORDER, SIZE, Words, multiples, spanned, tables

_WORDS_FOR_A_TABLE = 1 << 13
MAX_BLOCKS = SIZE  # numbers of data and parity blocks, those that fill up groups included


def group_bits(parity: int) -> int:
    """r: the bits of the size of a group, for this number of parity blocks."""
    return max(0, parity - 1).bit_length()


def fits(data: int, parity: int) -> bool:
    """Whether there are numbers for so many blocks."""
    size = 1 << group_bits(parity)
    return size + -(-data // size) * size <= MAX_BLOCKS


def encoded(groups: Iterator[Words] | Sequence[Words], parity: int, words: int) -> Words:
    """The parity blocks, [parity, words].

    groups: data blocks in order, each [2^r, words], the last filled up with zeros; overwritten.
    """
    bits = group_bits(parity)
    size = 1 << bits
    total = np.zeros((size, words), np.uint16)
    for number, group in enumerate(groups, 1):
        _interpolate(group, number * size, bits)
        total ^= group
    _evaluate(total, bits)
    return total[:parity]


def _interpolate(values: Words, first: int, bits: int) -> None:
    """From values at the numbers from `first` on to coefficients, in place."""
    room = np.empty((2, len(values) // 2, values.shape[1]), np.uint16)
    for level in range(bits):
        for low, high, product in _pairs(values, first, bits, level):
            high ^= low
            if product is not None:
                low ^= product(high, room[:, : len(high)])


def _evaluate(coefficients: Words, bits: int) -> None:
    """From coefficients to values at 0, 1 ..., in place."""
    room = np.empty((2, len(coefficients) // 2, coefficients.shape[1]), np.uint16)
    for level in reversed(range(bits)):
        for low, high, product in _pairs(coefficients, 0, bits, level):
            if product is not None:
                low ^= product(high, room[:, : len(high)])
            high ^= low


Product = Callable[[Words, Words], Words]  # of some words, with room for two of them


def _pairs(
    values: Words, first: int, bits: int, level: int
) -> Iterator[tuple[Words, Words, Product | None]]:
    """The pairs of halves of one level, and the product with the factor of each; None: it is 0."""
    half = 1 << level
    starts = range(0, 1 << bits, 2 * half)
    factors = np.array([(first + start) >> level for start in starts], np.uint16)
    products = _products(factors, half * values.shape[1])
    for start, factor, product in zip(starts, factors, products, strict=True):
        low, high = values[start : start + half], values[start + half : start + 2 * half]
        yield low, high, product if factor else None


def _products(factors: Words, words: int) -> Iterator[Product]:
    """The product with each factor, of arrays of so many words.

    A table of all words takes as long to make as to look up some thousand words.
    """
    columns = multiples(factors)
    if words < _WORDS_FOR_A_TABLE:
        for low, high in zip(spanned(columns[:, :8]), spanned(columns[:, 8:]), strict=True):
            yield partial(_by_bytes, low, high)
    else:
        for column in columns:
            yield partial(_by_words, spanned(column))


def _by_words(table: Words, values: Words, room: Words) -> Words:
    return np.take(table, values, out=room[0], mode="clip")


def _by_bytes(low: Words, high: Words, values: Words, room: Words) -> Words:
    np.take(low, np.bitwise_and(values, 255, out=room[1]), out=room[0], mode="clip")
    np.right_shift(values, 8, out=room[1])
    room[0] ^= np.take(high, room[1], mode="clip")
    return room[0]


def solved(
    remainders: Words, rows: Sequence[int], lost: Sequence[int], parity: int
) -> Iterator[Words]:
    """The lost data blocks, one by one.

    remainders: [lost, words], of as many parity blocks as are lost: the parity block plus what the
    other data blocks add to it. rows: the numbers of these parity blocks. lost: indices of the data
    blocks, from 0.
    """
    bits = group_bits(parity)
    x = np.array(rows, np.int64)
    y = np.array(lost, np.int64) + (1 << bits)
    words = remainders.shape[1]
    room = np.empty((2, words), np.uint16)
    for j in range(len(y)):
        block = np.zeros(words, np.uint16)
        for product, remainder in zip(
            _products(_inverse_row(x, y, j, bits), words), remainders, strict=True
        ):
            block ^= product(remainder, room)
        yield block


def _inverse_row(x: np.ndarray, y: np.ndarray, j: int, bits: int) -> Words:
    """Row j of the inverse of the matrix ((y >> r) / (x ^ y))."""
    logs, powers = tables()

    def log_sum(differences: np.ndarray, axis: int | None = None) -> np.ndarray:
        return np.sum(logs[differences], axis=axis)

    others = np.delete(y, j)
    # logs[0] is 0, which leaves out the place where a number meets itself.
    log = (
        log_sum(x ^ y[j])
        + log_sum(x[:, None] ^ y[None, :], 1)
        - logs[x ^ y[j]]
        - log_sum(x[:, None] ^ x[None, :], 1)
        - log_sum(others ^ y[j])
        - logs[y[j] >> bits]
    )
    return powers[log % ORDER]
