"""Chroma at half resolution, and the ways in which decoders bring it back to full."""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Chroma(IntEnum):
    """How chroma planes were made as large as luma.

    TRIANGLE is the interpolation of libjpeg, 3 parts of the nearer sample and 1 of the next;
    REPEAT shows each sample twice. COLUMNS: half as many columns (4:2:2), BOTH: rows too (4:2:0).
    """

    FULL = 0
    TRIANGLE_COLUMNS = 1
    TRIANGLE_BOTH = 2
    REPEAT_COLUMNS = 3
    REPEAT_BOTH = 4

    @property
    def row_shift(self) -> int:
        """1 if there are half as many rows, else 0."""
        return int(self in (Chroma.TRIANGLE_BOTH, Chroma.REPEAT_BOTH))

    @property
    def column_shift(self) -> int:
        """1 if there are half as many columns, else 0."""
        return int(self is not Chroma.FULL)

    @property
    def reach(self) -> int:
        """How many samples further than its own a pixel's chroma depends on."""
        return int(self in (Chroma.TRIANGLE_COLUMNS, Chroma.TRIANGLE_BOTH))

    def enlarge(self, plane: Pixels) -> Pixels:
        """A chroma plane [h, w, ...] uint8 at full resolution; the samples at the edges repeat."""
        if not self.reach:
            return plane.repeat(1 + self.row_shift, 0).repeat(1 + self.column_shift, 1)
        sums = plane.astype(np.int16)
        if self.row_shift:
            sums = triangle(sums, 0)
        sums = triangle(sums, 1)
        shift, left, right = (4, 8, 7) if self.row_shift else (2, 1, 2)
        sums[:, 0::2] += left
        sums[:, 1::2] += right
        return (sums >> shift).astype(np.uint8)


def triangle(plane: NDArray[Any], axis: int) -> NDArray[Any]:
    """Twice as many values along an axis, each 3 times the nearer one and the next one."""
    shape = list(plane.shape)
    shape[axis] *= 2
    wide = np.empty(shape, plane.dtype)
    near, pair = plane.swapaxes(axis, 0), wide.swapaxes(axis, 0)
    before, after = pair[0::2], pair[1::2]
    np.multiply(near, 3, out=before)
    after[...] = before
    before[1:] += near[:-1]
    before[:1] += near[:1]
    after[:-1] += near[1:]
    after[-1:] += near[-1:]
    return wide
