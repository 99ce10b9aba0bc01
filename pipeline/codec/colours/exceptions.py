"""Pixels that are not what the colour set makes of their samples: where, and by how much.

Few pixels are exceptions, so what costs is where they are: the gaps between them are coded by
their number of bits, with frequencies that fit, and the bits below the highest one as they are.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.entropy import Frequencies, SymbolDecoder, SymbolEncoder
from seec.schemas.errors import SectionCorrupt

Pixels = NDArray[np.uint8]
_COUNTS = struct.Struct("<II")  # exceptions, bytes of coded words
_MOST_BITS = 26  # of a gap: a group has at most 2^26 pixels
_AT_ONCE = 1 << 14  # symbols whose frequencies are in memory together


def in_rows(tiles: Sequence[Pixels]) -> Pixels:
    """The pixels of tiles, [h, w, channels] each, one after the other: [n, channels]."""
    return np.concatenate([tile.reshape(-1, tile.shape[-1]) for tile in tiles])


def encode_exceptions(wanted: Pixels, made: Pixels) -> bytes:
    """How to get from the pixels `made` to those `wanted`, both [n, channels] uint8."""
    difference = wanted - made
    at = np.flatnonzero(difference.any(1))
    if not at.size:
        return _COUNTS.pack(0, 0)
    gaps = np.diff(at, prepend=-1) - 1
    sizes = np.frexp(gaps.astype(np.float64))[1]  # their number of bits
    coder, tables = SymbolEncoder(), b""
    for stream in (sizes.astype(np.uint8), *difference[at].T):
        values, symbols, counts = np.unique(stream, return_inverse=True, return_counts=True)
        frequencies = np.maximum(counts * 255 // counts.max(), 1).astype(np.uint8)
        tables += bytes([len(values) - 1]) + values.tobytes() + frequencies.tobytes()
        if len(values) > 1:
            _put(coder, symbols.astype(np.int32), frequencies)
    words = coder.finish()
    owner, shift = _low_bits(sizes)
    low = np.packbits((gaps[owner] >> shift).astype(np.uint8) & 1)
    return _COUNTS.pack(len(at), len(words)) + tables + words + low.tobytes()


@dataclass(frozen=True)
class Exceptions:
    """at: [n] int64, which pixels, ascending. difference: [n, channels] uint8, modulo 256."""

    at: NDArray[np.int64]
    difference: Pixels

    def correct(self, tiles: Sequence[Pixels]) -> None:
        """Turn tiles that were made, [h, w, channels] uint8 each, into those wanted."""
        end = 0
        for tile in tiles:
            start, end = end, end + tile.shape[0] * tile.shape[1]
            mine = slice(*np.searchsorted(self.at, [start, end]))
            y, x = np.divmod(self.at[mine] - start, tile.shape[1])
            tile[y, x] += self.difference[mine]


def take_exceptions(payload: bytes, count: int, channels: int) -> tuple[Exceptions, bytes]:
    """The exceptions among `count` pixels that a payload starts with, and what follows them.

    Raises SectionCorrupt.
    """
    if len(payload) < _COUNTS.size:
        raise SectionCorrupt("a tile group without its exceptions")
    many, size = _COUNTS.unpack_from(payload)
    payload = payload[_COUNTS.size :]
    if many > count or (size and not many):
        raise SectionCorrupt(f"{many} exceptions in {count} pixels, in {size} bytes")
    if not many:
        return Exceptions(np.empty(0, np.int64), np.empty((0, channels), np.uint8)), payload
    tables: list[tuple[Pixels, Pixels]] = []
    for _ in range(1 + channels):
        table, payload = _take_table(payload)
        tables.append(table)
    if size > len(payload):
        raise SectionCorrupt("exceptions that end early")
    coder = SymbolDecoder(payload[:size])
    streams = [
        values[_take(coder, many, frequencies) if len(values) > 1 else np.zeros(many, int)]
        for values, frequencies in tables
    ]
    coder.finish()
    gaps, rest = _take_gaps(streams[0].astype(np.int64), payload[size:])
    at = np.cumsum(gaps + 1) - 1
    if at[-1] >= count:
        raise SectionCorrupt("an exception behind the last pixel")
    return Exceptions(at, np.stack(streams[1:], 1)), rest


def _take_table(payload: bytes) -> tuple[tuple[Pixels, Pixels], bytes]:
    """The values of a stream and their frequencies, and what follows."""
    size = 2 * (payload[0] + 1) if payload else 0
    if not size or len(payload) <= size:
        raise SectionCorrupt("exceptions that end early")
    values, frequencies = np.frombuffer(payload, np.uint8, size, 1).reshape(2, -1)
    if not frequencies.all():
        raise SectionCorrupt("a table of exceptions that no encoder writes")
    return (values, frequencies), payload[1 + size :]


def _take_gaps(sizes: NDArray[np.int64], payload: bytes) -> tuple[NDArray[np.int64], bytes]:
    """Gaps of these numbers of bits, and what follows."""
    if sizes.max() > _MOST_BITS:
        raise SectionCorrupt("a gap between exceptions that no encoder writes")
    used = -(-int((sizes - 1).clip(0).sum()) // 8)
    if used > len(payload):
        raise SectionCorrupt("exceptions that end early")
    owner, shift = _low_bits(sizes)
    bits = np.unpackbits(np.frombuffer(payload, np.uint8, used), count=len(owner))
    gaps = np.where(sizes > 0, 1 << (sizes - 1).clip(0), 0)
    np.add.at(gaps, owner, bits.astype(np.int64) << shift)
    return gaps, payload[used:]


def _low_bits(sizes: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gap by gap, from the high bits to the low ones: whose bit, and which, below the highest."""
    below = (sizes - 1).clip(0).astype(np.int64)
    owner = np.repeat(np.arange(len(sizes)), below)
    ends = np.cumsum(below)[owner]
    return owner, ends - np.arange(len(owner)) - 1


def _put(coder: SymbolEncoder, symbols: NDArray[np.int32], frequencies: Pixels) -> None:
    """Code symbols [n] with the same frequencies."""
    for start in range(0, len(symbols), _AT_ONCE):
        some = symbols[start : start + _AT_ONCE]
        coder.put(some, _rows(frequencies, len(some)))


def _take(coder: SymbolDecoder, count: int, frequencies: Pixels) -> NDArray[np.int32]:
    """Inverse of `_put`: a few bytes can claim more symbols than memory holds frequencies of."""
    starts = range(0, count, _AT_ONCE)
    sizes = [min(_AT_ONCE, count - start) for start in starts]
    return np.concatenate([coder.take(_rows(frequencies, size)) for size in sizes])


def _rows(frequencies: Pixels, count: int) -> Frequencies:
    """The same frequencies for each of `count` symbols."""
    return np.broadcast_to(frequencies.astype(np.float32), (count, len(frequencies))).copy()
