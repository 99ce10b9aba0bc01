"""Mutated codes of JPEG coefficients: all instruction sets decode the same, or refuse."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seec.pipeline.dct.jpeg import Component
from seec.pipeline.dct.native import Coder, levels
from seec.pipeline.dct.packaged import packaged_model
from seec.schemas.errors import SectionCorrupt
from tests.hostile.fuzz.mutation import mutated
from tests.vectors.drawn_dct import draw
from tests.vectors.make_dct import CASES

_PROFILES = ("fast", "lite")


class Fuzzed:
    """Tries groups with the packaged models and all instruction sets."""

    cost = 20  # each has four megabytes of contexts copied

    def __init__(self) -> None:
        models = [packaged_model(profile) for profile in _PROFILES]
        self._seeds = [
            (components, coder.encode(components), [Coder(model, level) for level in levels()])
            for shape, loud in CASES
            for model in models
            for components, coder in ((draw(shape, 7, loud), Coder(model)),)
        ]

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where two instruction sets differ."""
        components, code, coders = random_.choice(self._seeds)
        if random_.random() < 0.1:
            components = [_resized(c, random_) for c in components]
        code = mutated(code, random_)
        found, other = (_outcome(coder, components, code) for coder in random_.choices(coders, k=2))
        assert found == other, "two instruction sets decode to different coefficients"
        return "refused" if found is None else "decoded"


def _outcome(coder: Coder, components: Sequence[Component], code: bytes) -> bytes | None:
    components = [replace(c, coefficients=np.zeros_like(c.coefficients)) for c in components]
    try:
        coder.decode(components, code)
    except SectionCorrupt:
        return None
    return b"".join(c.coefficients.tobytes() for c in components)


def _resized(c: Component, random_: random.Random) -> Component:
    rows, columns = (random_.randrange(1, 4) * part for part in (c.vertical, c.horizontal))
    return replace(c, coefficients=np.zeros((rows, columns, 64), np.int16))
