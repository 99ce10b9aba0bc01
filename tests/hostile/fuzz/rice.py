"""Mutated Rice codes of FITS files: refused, or written again as read."""

import random

import numpy as np

from seec.pipeline.images import _pieces
from tests.hostile.fuzz.mutation import mutated

_COUNT = 99


class Fuzzed:
    """Tries codes of numbers of all sizes, alike and far from each other."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._seeds: list[tuple[bytes, int]] = []
        for each in (1, 2, 4):
            for bits in (0, 1, 3, 5 * each, 8 * each):
                numbers = rng.integers(0, 1 << bits, _COUNT, np.uint64).astype(f">u{each}")
                self._seeds.append((_pieces.rice_write(numbers.tobytes(), each), each))

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where it was not read as it is written."""
        code, each = random_.choice(self._seeds)
        code = mutated(code, random_)
        size = each * (_COUNT if random_.random() < 0.9 else random_.choice((0, 1, 32, 9999)))
        try:
            plain = _pieces.rice_read(code, size, each)
        except ValueError:
            return "refused"
        assert len(plain) == size
        again = _pieces.rice_write(plain, each)
        assert not size or _pieces.rice_read(again, size, each) == plain
        return "came back" if again == code else "differs"
