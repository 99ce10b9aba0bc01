"""Linear predictions of coefficients and of magnitudes, fitted by least squares."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct.jpeg import Component
from seec.pipeline.dct.weights import CLASSES, POSITIONS, SOURCES, SUM_LIMIT

_FRACTION, _UNIT = 1 << 13, 32  # finer weights cost 50 kB and save 0.03 %
_CLIP = 4095
_BLOCKS = 700  # of a component that are looked at
_ZIGZAG = np.array(
    [
        *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48),
        *(41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23),
        *(30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63),
    ]
)


def fit_linear(files: Iterable[Sequence[Component]]) -> NDArray[np.int16]:
    """[class, of coefficients or of magnitudes, source, position] int16, 13 fractional bits.

    Of its own block a position is predicted from higher frequencies alone: from those that are
    coded before it.
    """
    rng = np.random.default_rng(0)
    sums = np.zeros((CLASSES, 2, SOURCES, SOURCES))
    for components in files:
        for number, component in enumerate(components[:3]):
            values = _gathered(component, rng)
            if values is not None:
                values = values.astype(np.float32)
                sums[min(number, 1), 0] += values.T @ values
                values = np.abs(values)
                sums[min(number, 1), 1] += values.T @ values
    found = np.zeros((CLASSES, 2, SOURCES, POSITIONS), np.int16)
    for of_class, what in np.ndindex(CLASSES, 2):
        found[of_class, what] = _bounded(sums[of_class, what])
    return found


def _gathered(component: Component, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Dequantised sources of some blocks, weighted so that busy blocks do not rule."""
    blocks, steps = component.coefficients, component.quantisation.astype(np.float64)
    rows, columns, _ = blocks.shape
    if rows < 2 or columns < 3:
        return None
    count = min(_BLOCKS, (rows - 1) * (columns - 2))
    y, x = rng.integers(1, rows, count), rng.integers(1, columns - 1, count)
    places = ((y, x), (y - 1, x), (y, x - 1), (y - 1, x - 1), (y - 1, x + 1))
    near = np.stack([blocks[place] for place in places], 1)
    busy = np.abs(near[:, 1:3].astype(np.float64)).sum((1, 2)) / 16
    weight = 1 / (steps[_ZIGZAG[:15]].mean() * (1 + busy))
    real = np.clip(near * steps, -_CLIP, _CLIP).reshape(count, SOURCES)
    return real * weight[:, None]


def _bounded(products: NDArray[np.float64]) -> NDArray[np.int16]:
    """In integers whose sums cannot overflow: few files need a stronger ridge."""
    ridge = np.trace(products) / SOURCES * 1e-5 + 1e-9
    while True:
        rounded = np.rint(_solved(products, ridge) * (_FRACTION / _UNIT)) * _UNIT
        if np.abs(rounded).max() < 1 << 15 and np.abs(rounded).sum(0).max() <= SUM_LIMIT:
            return rounded.astype(np.int16)
        ridge *= 10


def _solved(products: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    products = products + np.eye(SOURCES) * ridge
    found = np.zeros((SOURCES, POSITIONS))
    for k, z in enumerate(_ZIGZAG):
        known = np.concatenate([_ZIGZAG[k + 1 :], np.arange(POSITIONS, SOURCES)])
        found[known, z] = np.linalg.solve(products[np.ix_(known, known)], products[known, z])
    return found
