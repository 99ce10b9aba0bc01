"""The coefficients that pixels were decoded from, where tables are known (encoder only)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.halve import shrink, whole
from seec.pipeline.codec.colours.invert import luma_range
from seec.pipeline.codec.colours.presets import JFIF
from seec.pipeline.decoded.blocks import samples_of
from seec.pipeline.decoded.edges import filled
from seec.pipeline.decoded.lattice import (
    Coefficients,
    Floats,
    Steps,
    coefficients_within,
    project,
)
from seec.pipeline.decoded.making import enlarged
from seec.pipeline.decoded.tables import Mask, Pixels, first_samples, ycc_of

_ROUNDS = 4
_GRID, _BESIDE, _LEAST_ROWS = 16, 32, 64  # rows: of the largest MCU; seen beside a strip; of one
_STRIP_PIXELS = 1 << 20
# Of samples that were rounded, and of those that interpolation hides besides.
_ROUNDED, _HALVED = 1 / 12, 1 / 4


def gray(image: Pixels, steps: Steps) -> Coefficients:
    """Coefficients [rows, columns, 64] of a gray image [H, W] uint8."""

    def recover(strip: Pixels) -> tuple[Coefficients, ...]:
        samples = strip.astype(np.float32)
        return (
            coefficients_within(filled(samples, steps, _ROUNDED), *_unclipped(strip, strip), steps),
        )

    return _in_strips(image, recover, (0,))[0]


def colour(image: Pixels, chroma: Chroma, luma: Steps, other: Steps) -> tuple[Coefficients, ...]:
    """Coefficients [rows, columns, 64] of Y, Cb and Cr of an image [H, W, 3] uint8.

    luma, other: steps of luma and of chroma.
    """

    def recover(strip: Pixels) -> tuple[Coefficients, ...]:
        height, width = strip.shape[:2]
        ycc, known = ycc_of(strip)
        blue, red = (_chroma(ycc[..., k], known, chroma, other) for k in (1, 2))
        planes = [samples_of(c, other) for c in (blue, red)]
        # With chroma known, luma is known even where one channel is clipped.
        least, most = luma_range(JFIF, strip, *enlarged(planes, chroma, height, width))
        possible = least <= most
        start = ycc[..., 0].astype(np.float32)
        start = np.where(possible, start.clip(least, most), start)
        low, high = _unclipped(np.where(possible, least, 0), np.where(possible, most, 255))
        return coefficients_within(filled(start, luma, _ROUNDED), low, high, luma), blue, red

    return _in_strips(image, recover, (0, chroma.row_shift, chroma.row_shift))


def _in_strips(
    image: Pixels,
    recover: Callable[[Pixels], tuple[Coefficients, ...]],
    shifts: tuple[int, ...],
) -> tuple[Coefficients, ...]:
    """What `recover` gives for the strips of an image, together, so that memory stays small.

    shifts: of each array 1 if it has half as many rows. A strip is seen with rows beside it, which
    chroma samples at its edges depend on.
    """
    height, width = image.shape[:2]
    rows = max(_LEAST_ROWS, _STRIP_PIXELS // width // _GRID * _GRID)
    found: list[tuple[Coefficients, ...]] = []
    for top in range(0, height, rows):
        first = max(top - _BESIDE, 0)
        made = recover(image[first : top + rows + _BESIDE])
        own = (
            array[(top - first) >> (3 + shift) :][: rows >> (3 + shift)]
            for array, shift in zip(made, shifts, strict=True)
        )
        found.append(tuple(own))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _unclipped(least: NDArray[Any], most: NDArray[Any]) -> tuple[Floats, Floats]:
    """Bounds of samples before they were clipped, from those after."""
    low = np.where(least <= 0, -np.inf, least).astype(np.float32)
    high = np.where(most >= 255, np.inf, most).astype(np.float32)
    return low, high


def _chroma(plane: Pixels, known: Mask, chroma: Chroma, steps: Steps) -> Coefficients:
    if chroma is Chroma.FULL:
        value = plane.astype(np.float32)
        low, high = _unclipped(value, value)
        low, high = np.where(known, low, -np.inf), np.where(known, high, np.inf)
        return coefficients_within(filled(value, steps, _ROUNDED), low, high, steps)
    target, trusted = whole(plane, known, chroma)
    wanted = target.astype(np.float32)
    rows, columns = target.shape[0] >> chroma.row_shift, target.shape[1] >> 1
    samples = filled(first_samples(plane, known, chroma), steps, _HALVED)
    best, fewest = None, 0
    for _ in range(_ROUNDS):
        found, made = project(samples, steps)
        inner = made[:rows, :columns]
        off = (wanted - chroma.enlarge(inner)) * trusted
        wrong = np.count_nonzero(off)
        if best is None or wrong < fewest:
            best, fewest = found, wrong
        if not wrong:
            break
        samples = filled(inner + shrink(off, chroma), steps, _HALVED)
    assert best is not None
    return best
