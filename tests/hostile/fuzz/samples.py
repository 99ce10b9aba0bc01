"""Mutated codes of samples of any depth: each decodes to such samples, or is refused."""

import random

import numpy as np

from seec.pipeline.deep import native
from seec.schemas.errors import SectionCorrupt
from tests.hostile.fuzz.mutation import mutated

_SIZES = (1, 1, 2, 33)
_WAYS = (0, 1, 2, 3, 9, 11)
Seed = tuple[bytes, tuple[int, int, int, int], int, int]  # code, shape, top, way


def seeds() -> list[Seed]:
    """Small groups of all kinds."""
    rng = np.random.default_rng(0)
    found: list[Seed] = []
    for top in (1, 7, 4095, 65535, (1 << 31) - 1):
        for slices, bands, height, width in ((1, 1, 9, 17), (2, 3, 5, 7), (3, 1, 1, 40)):
            walk = rng.integers(-9, 10, (slices, bands, height, width)).cumsum(3) * (top // 99 + 1)
            numbers = np.clip(walk + top // 2, 0, top).astype(np.uint32)
            for way in _WAYS:
                code = native.encode_group(numbers, top, way)
                found.append((code, numbers.shape, top, way))
    return found


class Fuzzed:
    """Tries codes, some of which are told to be of other shapes, tops and ways."""

    def __init__(self) -> None:
        self._seeds = seeds()

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where it broke a rule."""
        code, shape, top, way = random_.choice(self._seeds)
        if random_.random() < 0.2:
            top = random_.choice((0, 1, top // 2, 2 * top & 0x7FFFFFFF, 0x7FFFFFFF))
        if random_.random() < 0.2:
            way = random_.choice(_WAYS)
        if random_.random() < 0.1:
            bands = random_.choice((1, 2, 32))
            shape = (random_.choice(_SIZES), bands, random_.choice(_SIZES), random_.choice(_SIZES))
        level = random_.choice(native.levels())
        try:
            numbers = native.decode_group(mutated(code, random_), shape, top, way, level)
        except SectionCorrupt:
            return "refused"
        assert int(numbers.max()) <= top, f"a number above {top}"
        return "decoded"
