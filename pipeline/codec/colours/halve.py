"""From chroma at full resolution back to the samples that it was made of (encoder only).

Interpolation is linear but for its rounding. Least squares gives samples whose pixels are off by
more than rounding explains; corrections for what is too much give better ones. Then each sample
is moved by one wherever that explains the pixels around it better.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours.chroma import Chroma, triangle

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]
Places = tuple[NDArray[np.intp], NDArray[np.intp]]  # rows and columns, [n] each
_TAIL = 4  # how far the inverse of the interpolation is followed: to (1/3)^4 of a level
_CORRECTIONS, _ROUNDING = 4, 0.3  # levels; less than the half that rounding may take, for speed


def halve(plane: Pixels, known: NDArray[np.bool_], chroma: Chroma) -> Pixels:
    """Samples that `chroma.enlarge` turns into the plane, as far as it can.

    plane: [h, w] uint8. known: [h, w] bool, where the plane can be trusted.
    """
    samples = estimate(plane, known, chroma)
    if chroma.reach and not chroma.is_midpoint:
        target, trusted = whole(plane, known, chroma)
        for moves in (_SINGLE, _SINGLE + _PAIRS):
            wrong = (chroma.enlarge(samples) != target) & trusted
            for at in _apart(wrong, chroma):
                _move(samples, at, target, trusted, chroma, moves)
    return samples


def estimate(plane: Pixels, known: NDArray[np.bool_], chroma: Chroma) -> Pixels:
    """Samples that `chroma.enlarge` turns into about the plane; arguments as of `halve`."""
    if not chroma.reach:
        return plane[:: 1 << chroma.row_shift, :: 1 << chroma.column_shift].copy()
    if chroma.is_midpoint:
        row, column = chroma.odd
        return whole(plane, known, chroma)[0][row :: 1 << chroma.row_shift, column::2].copy()
    return np.rint(before_rounding(plane, known, chroma)).clip(0, 255).astype(np.uint8)


def before_rounding(plane: Pixels, known: NDArray[np.bool_], chroma: Chroma) -> Plane:
    """Samples, not whole, that the triangle makes about the plane of; arguments as of `halve`."""
    target, trusted = whole(plane, known, chroma)
    samples = shrink(target.astype(np.float32), chroma)
    for _ in range(_CORRECTIONS):
        off = target - _stretch(samples, chroma)
        off -= off.clip(-_ROUNDING, _ROUNDING)
        samples += shrink(off * trusted, chroma)
    return samples


def whole(
    plane: Pixels, known: NDArray[np.bool_], chroma: Chroma
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Enough pixels for whole samples; those that are added are not known."""
    pad = [(0, -plane.shape[0] % (1 << chroma.row_shift)), (0, plane.shape[1] % 2)]
    return np.pad(plane, pad, "edge"), np.pad(known, pad)


def shrink(plane: Plane, chroma: Chroma) -> Plane:
    """The samples whose interpolation by the triangle is closest to a plane of whole samples."""
    rows = _least_squares(plane, 0) if chroma.row_shift else plane
    return _least_squares(rows, 1)


def _least_squares(plane: Plane, axis: int) -> Plane:
    """Half as many values along an axis, whose interpolation is closest to the plane.

    In the frequency domain this divides by 1.25 + 0.75 cos w, whose inverse is (-1/3)^|k|.
    """
    pixels = np.moveaxis(plane, axis, 0)
    left, right = pixels[0::2], pixels[1::2]
    projected = 0.75 * (left + right)
    projected[1:] += 0.25 * right[:-1]
    projected[:1] += 0.25 * left[:1]
    projected[:-1] += 0.25 * left[1:]
    projected[-1:] += 0.25 * right[-1:]
    padded = np.pad(projected, ((_TAIL, _TAIL), (0, 0)), "edge")
    taps = ((-1 / 3) ** np.arange(_TAIL + 1)).astype(np.float32)
    taps /= 4 * taps.sum() - 2 * taps[0]  # so that what is constant stays as it is
    stop = len(padded) - _TAIL
    solved = taps[0] * padded[_TAIL:stop]
    for k in range(1, _TAIL + 1):
        solved += taps[k] * (padded[_TAIL - k : stop - k] + padded[_TAIL + k : stop + k])
    return np.moveaxis(solved, 0, axis)


def _stretch(samples: Plane, chroma: Chroma) -> Plane:
    """The interpolation without rounding."""
    rows = triangle(samples, 0) / 4 if chroma.row_shift else samples
    return np.asarray(triangle(rows, 1) / 4, np.float32)


def _apart(wrong: NDArray[np.bool_], chroma: Chroma) -> Iterator[Places]:
    """Places of samples with wrong pixels, in sets whose neighbourhoods share no pixels."""
    y, x = np.nonzero(_any_around(wrong, chroma.row_shift))
    rows = _STRIDE if chroma.row_shift else 1
    which = y % rows * _STRIDE + x % _STRIDE
    for number in range(rows * _STRIDE):
        mine = which == number
        yield y[mine], x[mine]


def _any_around(wrong: NDArray[np.bool_], halved: int) -> NDArray[np.bool_]:
    """For each sample, whether any of the pixels that it takes part in is wrong."""
    wide = np.pad(wrong, ((0, 0), (1, 1)))
    wrong = wide[:, :-2:2] | wide[:, 1:-2:2] | wide[:, 2::2] | wide[:, 3::2]
    return _any_around(wrong.T, 0).T if halved else wrong


def _move(
    samples: Pixels,
    at: Places,
    target: Pixels,
    known: NDArray[np.bool_],
    chroma: Chroma,
    moves: Sequence[NDArray[np.int16]],
) -> None:
    """Move the samples around these places by whichever of the moves is best, or not."""
    spot = _Neighbourhood(at, samples.shape, target.shape, chroma)
    goal = spot.pixels(target).astype(np.int16)
    trust = (spot.pixels(known) & spot.inside).astype(np.int16)
    near = spot.samples(samples)
    best, least = near, np.full(near.shape[-1], np.inf)
    for move in (_STAY, *moves):
        tried = spot.moved(near, move)
        miss = (np.abs(spot.enlarge(tried) - goal) * trust).sum((0, 1))
        better = miss < least
        best, least = np.where(better, tried, best), np.where(better, miss, least)
    spot.put(samples, best)


class _Neighbourhood:
    """The samples around n places, and the pixels that those next to the places take part in."""

    def __init__(self, at: Places, coarse: tuple[int, ...], fine: tuple[int, ...], chroma: Chroma):
        self._chroma = chroma
        y, x = at
        self._y, inside_y = _pixels_of(y, chroma.row_shift, fine[0])
        self._x, inside_x = _pixels_of(x, 1, fine[1])
        self.inside = inside_y[:, None] & inside_x
        reach = 2 * chroma.row_shift
        self._rows = (y + np.arange(-reach, reach + 1)[:, None]).clip(0, coarse[0] - 1)
        self._columns = (x + np.arange(-2, 3)[:, None]).clip(0, coarse[1] - 1)
        # Behind an edge stands the edge itself: it moves, too.
        self._from = (self._rows - y + 2)[:, None], self._columns - x + 2

    def pixels(self, plane: NDArray[Any]) -> NDArray[Any]:
        """What a plane [h, w] holds there: [8 or 1, 8, n]."""
        return plane[self._y[:, None], self._x]

    def samples(self, samples: Pixels) -> NDArray[np.int16]:
        """The samples around the places: [5 or 1, 5, n]."""
        return samples[self._rows[:, None], self._columns].astype(np.int16)

    def moved(self, near: NDArray[np.int16], move: NDArray[np.int16]) -> NDArray[np.int16]:
        """Samples after a move, [5, 5] around a place."""
        return (near + move[self._from]).clip(0, 255)

    def enlarge(self, near: NDArray[np.int16]) -> NDArray[np.uint8]:
        """What chroma samples become."""
        made = self._chroma.enlarge(near.astype(np.uint8))
        skip = self._chroma.row_shift
        return made[skip : len(made) - skip, 1:-1]

    def put(self, samples: Pixels, near: NDArray[np.int16]) -> None:
        """Write the samples next to the places back."""
        rows = slice(self._chroma.row_shift, len(near) - self._chroma.row_shift)
        samples[self._rows[rows, None], self._columns[1:-1]] = near[rows, 1:-1]


def _pixels_of(
    sample: NDArray[np.intp], halved: int, size: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Rows or columns [8 or 1, n] of the pixels around samples [n], and which there are."""
    pixels = 2 * sample + np.arange(-3, 5)[:, None] if halved else sample[None]
    return pixels.clip(0, size - 1), (pixels >= 0) & (pixels < size)


def _step(*parts: tuple[int, int, int]) -> NDArray[np.int16]:
    """A move: (row, column, by how much), the place itself at 0, 0."""
    move = np.zeros((5, 5), np.int16)
    for row, column, much in parts:
        move[2 + row, 2 + column] = much
    return move


_STRIDE = 4  # how far apart places are so that their neighbourhoods share no pixels
_STAY = _step()
_SINGLE = [_step((0, 0, much)) for much in (-1, 1)]
# Interpolation hides what goes up here and down next to it: such pairs are moved together.
_PAIRS = [
    _step((0, 0, much), (row, column, -much))
    for much in (-1, 1)
    for row, column in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
]
