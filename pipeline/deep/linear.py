"""Floats as whole parts of a power of two and the bits behind: near zero, where their order leaps.

A float is a number, cut off towards zero, of parts of 2^(e - 23), e the exponent of the largest.
Numbers below 2^23 leave so many bits of the float's 24 as their own bits are fewer. What is left of
numbers that are 0 is listed.
"""

import struct

import numpy as np
import zstandard
from numpy.typing import NDArray

from seec.pipeline.deep.steps import Floats
from seec.schemas.deep import MOST_OTHERS
from seec.schemas.errors import SectionCorrupt

Values = NDArray[np.int64]

_BITS = 24  # of a float
_LEAST = 2.0**-126  # part; smaller floats have fewer bits
_LARGEST = 2.0**90
_MOST_TINY = 1 / 64  # of all floats
_PART = 1 << 18  # numbers whose bits are laid out at once
_SIZE = struct.Struct("<I")
_LEVEL = 19
_ABOVE = 0.3  # octaves that leaving out a value must bring


def find_part(occurring: Floats, counts: Values) -> float:
    """The part that all floats but a few are numbers of; 0 if there is none.

    occurring: floats that occur, each once. counts: how often each.
    """
    finite = np.isfinite(occurring)
    sizes = np.abs(occurring[finite & (occurring != 0)]).astype(np.float64)
    left = MOST_OTHERS - int((~finite).sum())
    if left < 0 or not len(sizes):
        return 0.0
    largest = np.sort(np.partition(sizes, -left - 1)[-left - 1 :] if len(sizes) > left else sizes)
    largest = largest[::-1]
    octaves = np.frexp(largest)[1] + _ABOVE * np.arange(len(largest))
    most = largest[int(octaves.argmin())]
    part = 2.0 ** (int(np.frexp(most)[1]) - _BITS)
    if not _LEAST <= part <= _LARGEST:
        return 0.0
    with np.errstate(invalid="ignore"):
        tiny = counts[(np.abs(occurring) < part) & (occurring != 0)].sum()
    return part if tiny <= _MOST_TINY * counts.sum() else 0.0


def whole(samples: Floats, part: float) -> tuple[Values, NDArray[np.bool_]]:
    """The number of each float, and whether it has one: below 2^24."""
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = np.trunc(samples.astype(np.float64) / part)
        has = np.abs(numbers) < 1 << _BITS
    return np.where(has, numbers, 0).astype(np.int64), has


def bits_behind(numbers: Values) -> Values:
    """How many of the bits of a float its number leaves; 0 of 0."""
    return np.where(numbers == 0, 0, _BITS - np.frexp(np.abs(numbers))[1])


def remainder(samples: Floats, numbers: Values, part: float) -> bytes:
    """What numbers leave of floats: floats below a part, and bits. One without a number is 0."""
    samples, numbers = samples.ravel(), numbers.ravel()
    zero = numbers == 0
    tiny = samples[zero].view(np.uint32)
    frame = b""
    if tiny.any():
        told = np.packbits(tiny != 0).tobytes() + tiny[tiny != 0].astype("<u4").tobytes()
        frame = zstandard.ZstdCompressor(level=_LEVEL).compress(told)
    sizes, counts = np.abs(numbers), bits_behind(numbers)
    with np.errstate(invalid="ignore", over="ignore"):
        exact = np.abs(samples.astype(np.float64)) / part
    rest = np.where(counts, (exact - sizes) * 2.0**counts, 0).astype(np.int64)
    bits = [
        _laid_out(rest[at : at + _PART], counts[at : at + _PART])
        for at in range(0, len(numbers), _PART)
    ]
    return _SIZE.pack(len(frame)) + frame + np.packbits(np.concatenate(bits)).tobytes()


def joined(numbers: Values, data: bytes, part: float) -> NDArray[np.uint32]:
    """The bits of floats of numbers below 2^24 and their remainder; SectionCorrupt if that lies."""
    flat = numbers.ravel()
    counts = bits_behind(flat)
    total = int(counts.sum())
    tiny, packed = _tiny(data, int((flat == 0).sum()))
    if len(packed) != -(-total // 8):
        raise SectionCorrupt("samples: more or fewer bits behind numbers than there are")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=total)
    rest = np.zeros(len(flat), np.int64)
    at = 0
    for first in range(0, len(flat), _PART):
        some = counts[first : first + _PART]
        end = at + int(some.sum())
        rest[first : first + _PART] = _gathered(bits[at:end], some)
        at = end
    sizes = (np.abs(flat) << counts) + rest
    floats = (np.sign(flat) * sizes * 2.0**-counts * part).astype(np.float32).view(np.uint32)
    floats[flat == 0] = tiny
    return floats.reshape(numbers.shape)


def _tiny(data: bytes, zeros: int) -> tuple[NDArray[np.uint32], bytes]:
    """Bits of the floats whose numbers are 0, and what is behind them."""
    if len(data) < _SIZE.size:
        raise SectionCorrupt("samples: a remainder without a size")
    (size,) = _SIZE.unpack_from(data)
    frame, behind = data[_SIZE.size : _SIZE.size + size], data[_SIZE.size + size :]
    if len(frame) != size:
        raise SectionCorrupt("samples: a remainder that ends too early")
    tiny = np.zeros(zeros, np.uint32)
    if not size:
        return tiny, behind
    flags = -(-zeros // 8)
    try:
        told = zstandard.ZstdDecompressor().decompress(
            frame, max_output_size=flags + 4 * zeros + 1, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise SectionCorrupt(f"samples: a remainder: {error}") from None
    is_tiny = np.unpackbits(np.frombuffer(told[:flags], np.uint8), count=zeros).astype(bool)
    if len(told) != flags + 4 * int(is_tiny.sum()):
        raise SectionCorrupt("samples: more or fewer floats below a part than there are")
    tiny[is_tiny] = np.frombuffer(told, "<u4", offset=flags)
    return tiny, behind


def _laid_out(rest: Values, counts: Values) -> NDArray[np.uint8]:
    """The lowest bits of each, the highest first, all in a row."""
    places = _places(counts)
    return (np.repeat(rest, counts) >> places & 1).astype(np.uint8)


def _gathered(bits: NDArray[np.uint8], counts: Values) -> Values:
    """The inverse of `_laid_out`."""
    found = np.zeros(len(counts), np.int64)
    some = counts > 0
    if some.any():
        starts = (np.cumsum(counts) - counts)[some]
        found[some] = np.add.reduceat(bits.astype(np.int64) << _places(counts), starts)
    return found


def _places(counts: Values) -> Values:
    """Counts - 1, counts - 2, ... 0 of each."""
    return np.repeat(np.cumsum(counts), counts) - 1 - np.arange(int(counts.sum()))
