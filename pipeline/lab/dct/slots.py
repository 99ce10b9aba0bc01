"""Linear predictions of the slots of a model file from their neighbours."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct.weights import NODES, PREDICTORS, UNUSED

_FRACTION, _LIMIT = 256, 1 << 14
# Bands and values of the families of contexts, as coder_c/model.h has them; parts of a last
# position are beside each other.
_FAMILIES = (
    *((24, 73), (12, 196), (24, 78), (24, 78), (24, 130), (12, 216), (12, 260), (24, 62)),
    *((24, 62), (12, 225), (12, 234), (12, 81)),
    *((64, 9), (256, 9), (144, 9), (192, 9), (256, 9), (192, 9), (512, 9), (192, 9)),
    *((12, 312), (12, 208)),
)


def fit_predictors(slots: NDArray[np.int8]) -> NDArray[np.int16]:
    """Weights by node, by which of the first three neighbours are used, and by neighbour.

    slots: [classes, lines, nodes]. Returns PREDICTORS int16 with 8 fractional bits, by least
    squares.
    """
    found = np.zeros(PREDICTORS, np.int16)
    near, values = (np.concatenate(parts) for parts in zip(*_neighbours(slots), strict=True))
    known = near != UNUSED
    patterns = known[..., :3] @ np.array([1, 2, 4])
    sources = np.where(known, near, 0).astype(np.float64)
    for node in range(NODES):
        for pattern in range(PREDICTORS[1]):
            met = (values[:, node] != UNUSED) & (patterns[:, node] == pattern)
            x, y = sources[met, node], values[met, node].astype(np.float64)
            fitted = np.linalg.solve(x.T @ x + np.eye(PREDICTORS[2]), x.T @ y)
            found[node, pattern] = np.rint(fitted * _FRACTION).clip(-_LIMIT, _LIMIT)
    return found


def _neighbours(slots: NDArray[np.int8]) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int8]]]:
    """Of each family [slots, nodes, neighbours], in the order of coder_c/slots.h, and values."""
    for lines in slots:
        at = 0
        for bands, values in _FAMILIES:
            part = lines[at : at + bands * values].reshape(bands, values, NODES)
            at += bands * values
            line, band, node = (_shifted(part, axis) for axis in (1, 0, 2))
            near = (line, band, node, _shifted(line, 2), _shifted(band, 2), _shifted(line, 1))
            yield np.stack(near, -1).reshape(-1, NODES, 6), part.reshape(-1, NODES)


def _shifted(part: NDArray[np.int8], axis: int) -> NDArray[np.int8]:
    """One further along the axis, with unused slots before."""
    moved = np.roll(part, 1, axis)
    np.moveaxis(moved, axis, 0)[0] = UNUSED
    return moved
