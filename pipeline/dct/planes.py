"""Coefficients of a picture, in the groups in which they are coded.

Of a picture of several groups all are packed, and are unpacked when they are asked for. So 256
megapixels take some hundred megabytes instead of up to 2.1 GB.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct.extension import extension

# Blocks of the largest component in a group, about: 1.5 million pixels. Half of that would cost
# 0.4 % where two megapixels become two groups, and the second begins knowing no neighbours.
GROUP_BLOCKS = 3 << 13
# Of each block: see jpeg_c/packing.h.
_PACKED_BLOCK, _PACKED_FOR_BYTE = 3, 8


class Plane(NamedTuple):
    """The shape of a component. vertical: sampling factor. rows, columns: of blocks."""

    vertical: int
    rows: int
    columns: int


class Planes:
    """Coefficients of each component, [rows, columns, 64] int16, natural order; all 0 at first.

    Several threads may read and put at once what is of different groups.
    """

    def __init__(self, planes: Sequence[Plane]) -> None:
        self.planes = tuple(planes)
        self.spans = _spans(planes)
        self._held: dict[tuple[int, int], bytes | NDArray[np.int16]] = {}

    def most_bytes(self, file_bytes: int) -> int:
        """More the coefficients of a file of this size do not take, packed."""
        blocks = sum(plane.rows * plane.columns for plane in self.planes)
        return _PACKED_BLOCK * blocks + _PACKED_FOR_BYTE * file_bytes

    def rows(self, group: int, component: int) -> slice:
        """Rows of blocks that a component has in a group."""
        plane, span = self.planes[component], self.spans[group]
        first, behind = span.start * plane.vertical, span.stop * plane.vertical
        return slice(min(first, plane.rows), min(behind, plane.rows))

    def read(self, group: int, component: int) -> NDArray[np.int16]:
        """A component's rows in a group. Who changes them has to put them back."""
        held = self._held.get((group, component))
        if isinstance(held, np.ndarray):
            return held
        rows = self.rows(group, component)
        shape = (rows.stop - rows.start, self.planes[component].columns, 64)
        if held is None:
            return np.zeros(shape, np.int16)
        array = np.empty(shape, np.int16)
        extension().unpack(held, array)
        return array

    def put(self, group: int, component: int, coefficients: NDArray[np.int16]) -> int:
        """Keep a component's rows in a group. Returns the bytes of what is packed."""
        if len(self.spans) == 1:
            self._held[group, component] = coefficients
            return 0
        packed = extension().pack(coefficients)
        self._held[group, component] = packed
        return len(packed)

    def whole(self, component: int) -> NDArray[np.int16]:
        """All rows of a component."""
        if len(self.spans) == 1:
            return self.read(0, component)
        return np.concatenate([self.read(group, component) for group in range(len(self.spans))])


def _spans(planes: Sequence[Plane]) -> list[slice]:
    """Groups of rows of MCUs; the last may be smaller, but not by itself half of one."""
    mcus = max(-(-plane.rows // plane.vertical) for plane in planes)
    widest = max(plane.columns * plane.vertical for plane in planes)
    each = max(1, -(-GROUP_BLOCKS // max(1, widest)))
    count = max(1, (2 * mcus + each) // (2 * each))
    bounds = [mcus * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]
