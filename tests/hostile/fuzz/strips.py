"""Mutated strips of TIFF files in LZW, PackBits and Group 4: refused, or written again as read."""

import random
from typing import Any

import numpy as np

from seec.pipeline.images import _pieces
from tests.hostile.fuzz.mutation import mutated

_ROWS, _ROW_BYTES, _WIDTH = 9, 20, 157
_SIZE = _ROWS * _ROW_BYTES


class Fuzzed:
    """Tries strips that were written from rows of few, many and repeated values."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        plains = [rng.integers(0, most, _SIZE, np.uint8).tobytes() for most in (1, 2, 5, 256)]
        plains += [np.repeat(rng.integers(0, 256, 20, np.uint8), 9).tobytes()]
        self._seeds = [(coding, coding.write(plain)) for coding in _CODINGS for plain in plains]

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where it was not read as it is written."""
        coding, strip = random_.choice(self._seeds)
        rows = _ROWS if random_.random() < 0.9 else random_.choice((1, 2, 900))
        strip = mutated(strip, random_)
        try:
            plain, *how = coding.read(strip, rows)
        except ValueError:
            return "refused"
        assert len(plain) == rows * _ROW_BYTES
        again = coding.write(plain, *how)
        # What the reader keeps of a strip beside its samples need not tell all of it: whoever
        # archives a strip compares, and keeps one that differs as it is.
        return "came back" if again == strip else "differs"


class _Lzw:
    def read(self, strip: bytes, rows: int) -> tuple[Any, ...]:
        return _pieces.lzw_read(strip, rows * _ROW_BYTES)

    def write(self, plain: bytes, clears: bytes | None = None, tail: bytes | None = None) -> bytes:
        return _pieces.lzw_write(plain, clears, tail)


class _PackBits:
    def read(self, strip: bytes, rows: int) -> tuple[Any, ...]:
        return _pieces.packbits_read(strip, rows * _ROW_BYTES)

    def write(self, plain: bytes, how: bytes | int = 0) -> bytes:
        return _pieces.packbits_write(plain, _ROW_BYTES, how)


class _Fax:
    def read(self, strip: bytes, rows: int) -> tuple[Any, ...]:
        return _pieces.fax_read(strip, rows, _ROW_BYTES, _WIDTH)

    def write(self, plain: bytes, tail: bytes | None = None) -> bytes:
        return _pieces.fax_write(plain, _ROW_BYTES, _WIDTH, tail)


_CODINGS = (_Lzw(), _PackBits(), _Fax())
