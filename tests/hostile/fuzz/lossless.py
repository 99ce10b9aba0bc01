"""Mutated lossless JPEG files: refused, or written again as read."""

import random

import numpy as np

from seec.pipeline.images import _pieces
from tests import ljpegs
from tests.hostile.fuzz.mutation import mutated

_HEIGHT, _WIDTH = 9, 12  # of all components together
_SIZES = (1, 2, 7, _HEIGHT, 40, 4000)


class Fuzzed:
    """Tries files of all predictors, with restarts, shifts and components."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._seeds: list[tuple[bytes, int]] = []
        for predictor in range(1, 8):
            for components, rows, shift in ((1, 0, 0), (2, 2, 1), (3, 1, 0), (4, 0, 3)):
                for precision in (8, 14, 16):
                    samples = rng.integers(0, rng.choice((9, 1 << precision)), (_HEIGHT, _WIDTH))
                    samples = samples.reshape(_HEIGHT, -1, components) >> shift << shift
                    file = ljpegs.written(
                        samples,
                        precision=precision,
                        predictor=predictor,
                        shift=shift,
                        rows_of_interval=rows,
                    )
                    self._seeds.append((file, 1 if precision == 8 else 2))

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where it was not read as it is written."""
        file, each = random_.choice(self._seeds)
        file = mutated(file, random_)
        rows = _HEIGHT if random_.random() < 0.9 else random_.choice(_SIZES)
        size = rows * _WIDTH * each
        try:
            plain, recipe = _pieces.ljpeg_read(file, size, each)
        except ValueError:
            self._written_again(random_, file, bytes(size), each)
            return "refused"
        assert len(plain) == size
        again = self._written_again(random_, recipe, plain, each)
        # As for strips: whoever archives a file compares.
        return "came back" if again == file else "differs"

    def _written_again(
        self, random_: random.Random, recipe: bytes, plain: bytes, each: int
    ) -> bytes | None:
        """What is written of samples, and by a recipe that was mutated again."""
        for one in (mutated(recipe, random_), recipe):
            try:
                file = _pieces.ljpeg_write(plain, each, one)
            except ValueError:
                file = None
        return file
