"""Floats that are whole multiples of a step: integers, decimals, quarters, scaled counts."""

import numpy as np
from numpy.typing import NDArray

from seec.schemas.deep import MOST_OTHERS

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_LEAST_STEP = 2.0**-100  # integers, taken for floats, have smaller ones
_LARGEST = 2.0**60  # larger ones say "nothing here"
_MOST_BITS = 24  # of a multiple of a power of two: every one is a float
_MOST_STEPS = 1 << 21  # of another step: each multiple stands for four floats or more
_HAIR = 2.0**-50  # between bounds that are one number
_TOLD_BY = 4096
_DECIMALS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def find_step(occurring: Floats, counts: NDArray[np.int64]) -> float:
    """A step that all floats but a few are whole multiples of; 0 if none is known.

    occurring: floats that occur, each once. counts: how often each.
    """
    usable = np.isfinite(occurring) & (np.abs(occurring) < _LARGEST) & (occurring != 0)
    values, counts = occurring[usable].astype(np.float64), counts[usable]
    if not len(values):
        return 0.0
    # Of most floats a few tell that they are no multiples.
    some = slice(None, None, 1 + len(values) // _TOLD_BY)
    power = _power_of_two(values[some], counts[some]) and _power_of_two(values, counts)
    if power:
        return power if power >= _LEAST_STEP else 0.0
    for step in (*_DECIMALS, *_by_differences(values)):
        if _holds(values[some], step) and _holds(values, step):
            return step
    return 0.0


def multiples(samples: Floats, step: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of each float the nearest multiple, and whether that gives back its bits."""
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.rint(samples.astype(np.float64) / step)
    # Of infinities and NaN there is none; a zero with a sign is no multiple of an integer.
    numbers = np.where(np.abs(near) < 1 << 30, near, 0.0).astype(np.int64)
    return numbers, from_multiples(numbers, step).view(np.uint32) == samples.view(np.uint32)


def from_multiples(numbers: NDArray[np.int64], step: float) -> Floats:
    """The floats nearest to numbers times step, in the arithmetic of IEEE 754."""
    return (numbers.astype(np.float64) * step).astype(np.float32)


def _power_of_two(values: Doubles, counts: NDArray[np.int64]) -> float:
    """The largest power of two that divides all, where large values need it as much as small ones.

    Where they do not, floats are dense near zero, and their bits tell more.
    """
    mantissas, exponents = np.frexp(values)
    whole = (np.abs(mantissas) * (1 << _MOST_BITS)).astype(np.int64)
    lowest = exponents - _MOST_BITS + np.frexp((whole & -whole).astype(np.float64))[1] - 1
    sizes = np.abs(values)
    order = np.argsort(sizes, kind="stable")
    half = order[np.searchsorted(np.cumsum(counts[order]), counts.sum() / 2) :]
    least = int(lowest.min())
    if int(lowest[half].min()) > least or sizes.max() >= 2.0 ** (least + _MOST_BITS):
        return 0.0
    return 2.0**least


def _holds(values: Doubles, step: float) -> bool:
    if not step > 0 or np.abs(values).max() / step >= _MOST_STEPS:
        return False
    return int((~multiples(values.astype(np.float32), step)[1]).sum()) <= MOST_OTHERS


def _by_differences(values: Doubles) -> tuple[float, ...]:
    """The least difference, made exact by ever larger values; then what all of them allow."""
    steps = np.diff(np.sort(values))
    step = float(steps.min()) if len(steps) else 0.0
    sizes = np.abs(values)
    if not step or sizes.max() >= _MOST_STEPS * 2 * step:
        return ()
    for most in (1 << 4, 1 << 8, 1 << 12, 1 << 16, _MOST_STEPS):
        some = sizes[sizes < most * step]
        numbers = np.rint(some / step)
        if numbers.any():
            step = float((some * numbers).sum() / (numbers * numbers).sum())
    numbers = np.rint(sizes / step)
    if not numbers.all() or numbers.max() >= _MOST_STEPS:
        return ()
    half = np.spacing(sizes.astype(np.float32)).astype(np.float64) / 2
    low, high = float(((sizes - half) / numbers).max()), float(((sizes + half) / numbers).min())
    return (_simplest(low, high),) if low < high * (1 + _HAIR) else ()


def _simplest(low: float, high: float) -> float:
    """The decimal of the fewest digits that lies between."""
    middle = (low + high) / 2
    for digits in range(1, 17):
        step = float(f"{middle:.{digits}g}")
        if low * (1 - _HAIR) < step < high * (1 + _HAIR):
            return step
    return middle
