"""Chroma at half resolution, and the ways in which decoders bring it back to full."""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Chroma(IntEnum):
    """How chroma planes were made as large as luma.

    TRIANGLE is the interpolation of libjpeg, 3 parts of the nearer sample and 1 of the next;
    REPEAT shows each sample twice; MIDPOINT keeps samples where they are, in every other pixel,
    and takes the mean between them, as Photo CD does. COLUMNS: half as many columns (4:2:2), BOTH:
    rows too (4:2:0). ODD: samples are in odd columns or rows, as in what was turned or cut.
    """

    FULL = 0
    TRIANGLE_COLUMNS = 1
    TRIANGLE_BOTH = 2
    REPEAT_COLUMNS = 3
    REPEAT_BOTH = 4
    MIDPOINT_COLUMNS = 5
    MIDPOINT_ODD_COLUMNS = 6
    MIDPOINT_BOTH = 7
    MIDPOINT_BOTH_ODD_COLUMNS = 8
    MIDPOINT_BOTH_ODD_ROWS = 9
    MIDPOINT_BOTH_ODD = 10

    @property
    def row_shift(self) -> int:
        """1 if there are half as many rows, else 0."""
        midpoints = self >= Chroma.MIDPOINT_BOTH
        return int(self in (Chroma.TRIANGLE_BOTH, Chroma.REPEAT_BOTH) or midpoints)

    @property
    def column_shift(self) -> int:
        """1 if there are half as many columns, else 0."""
        return int(self is not Chroma.FULL)

    @property
    def is_midpoint(self) -> bool:
        """Whether samples are pixels' own chroma."""
        return self >= Chroma.MIDPOINT_COLUMNS

    @property
    def reach(self) -> int:
        """How many samples further than its own a pixel's chroma depends on."""
        return int(self in (Chroma.TRIANGLE_COLUMNS, Chroma.TRIANGLE_BOTH) or self.is_midpoint)

    @property
    def odd(self) -> tuple[int, int]:
        """MIDPOINT: 1 if samples are in odd rows, or odd columns; else 0."""
        phase = self - (Chroma.MIDPOINT_BOTH if self.row_shift else Chroma.MIDPOINT_COLUMNS)
        return (phase >> 1, phase & 1) if self.is_midpoint else (0, 0)

    def enlarge(self, plane: Pixels) -> Pixels:
        """A chroma plane [h, w, ...] uint8 at full resolution; the samples at the edges repeat."""
        if not self.reach:
            return plane.repeat(1 + self.row_shift, 0).repeat(1 + self.column_shift, 1)
        sums = plane.astype(np.int16)
        if self.is_midpoint:
            return self._with_midpoints(sums)
        if self.row_shift:
            sums = triangle(sums, 0)
        sums = triangle(sums, 1)
        shift, left, right = (4, 8, 7) if self.row_shift else (2, 1, 2)
        sums[:, 0::2] += left
        sums[:, 1::2] += right
        return (sums >> shift).astype(np.uint8)

    def _with_midpoints(self, sums: NDArray[np.int16]) -> Pixels:
        rows, columns = self.odd
        if self.row_shift:
            sums = _twice_midpoints(sums, 0, rows)
        sums = _twice_midpoints(sums, 1, columns)
        half = 1 + self.row_shift
        return ((sums + half) >> half).astype(np.uint8)


def _twice_midpoints(plane: NDArray[np.int16], axis: int, odd: int) -> NDArray[np.int16]:
    """Twice as many values along an axis: each doubled, at even or odd places, and sums of two."""
    shape = list(plane.shape)
    shape[axis] *= 2
    wide = np.empty(shape, plane.dtype)
    near, pair = plane.swapaxes(axis, 0), wide.swapaxes(axis, 0)
    pair[odd::2] = 2 * near
    pair[1 - odd :: 2] = near
    if odd:
        pair[0::2][1:] += near[:-1]
        pair[0] += near[0]
    else:
        pair[1::2][:-1] += near[1:]
        pair[-1] += near[-1]
    return wide


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
