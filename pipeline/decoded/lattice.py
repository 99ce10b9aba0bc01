"""Quantised coefficients of blocks of samples, each known or within bounds (encoder only)."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.decoded.blocks import Pixels, in_blocks, in_plane, inverse

Floats = NDArray[np.float32]
Coefficients = NDArray[np.int16]
Steps = NDArray[np.uint16]
_PROJECTIONS = 4
_MOVES = 24  # of a block's coefficients, at most
_TRIED = 12  # coefficients, those that promise most
_AT_ONCE = 1 << 9  # blocks that are moved together
# What rounding takes, and the transform in integers is off by.
_ROUNDING = np.float32(0.5 + 1 / 64)


def forward(samples: Floats) -> Floats:
    """Coefficients [n, 64], not rounded, of samples [n, 64], which are of -128 to 127."""
    return samples @ basis().T


def nearest(samples: Floats, steps: Steps) -> Coefficients:
    """Quantised coefficients [n, 64] nearest to those of samples [n, 64] from 0 to 255."""
    return np.rint(forward(samples - 128) / steps.astype(np.float32)).astype(np.int16)


def project(samples: Floats, steps: Steps) -> tuple[Coefficients, Pixels]:
    """Quantised coefficients [rows, columns, 64] nearest to samples, and what they give back.

    samples: [8 rows, 8 columns], 0 to 255.
    """
    blocks = in_blocks(samples)
    found = nearest(blocks.reshape(-1, 64), steps)
    made = inverse(found, steps).reshape(blocks.shape)
    return found.reshape(blocks.shape), in_plane(made)


def padded(plane: Floats) -> Floats:
    """A plane with whole blocks: what is added repeats the edge."""
    return np.pad(plane, [(0, -size % 8) for size in plane.shape], "edge")


def coefficients_within(start: Floats, least: Floats, most: Floats, steps: Steps) -> Coefficients:
    """Coefficients [rows, columns, 64] whose samples are within bounds, as far as they are found.

    start: [8 rows, 8 columns], a first guess. least, most: [h, w], the bounds, infinite where there
    is none; samples behind these have none either. The guess and the coefficients are brought
    nearer to the bounds in turn; where that does not suffice, coefficients are moved by a step.
    """
    pad = [(0, a - b) for a, b in zip(start.shape, least.shape, strict=True)]
    least = np.pad(least, pad, constant_values=-np.inf)
    most = np.pad(most, pad, constant_values=np.inf)
    samples = start
    found, made = project(samples, steps)
    for _ in range(_PROJECTIONS):
        drawn = made.astype(np.float32).clip(least, most)
        if (drawn == samples).all():
            break
        samples = drawn
        found, made = project(samples, steps)
    blocks = found.reshape(-1, 64)
    low, high = in_blocks(least).reshape(-1, 64), in_blocks(most).reshape(-1, 64)
    missed = _missed(blocks, steps, low, high)
    (at,) = np.nonzero(missed)
    for first in range(0, len(at), _AT_ONCE):
        some = at[first : first + _AT_ONCE]
        moved = _moved(blocks[some], steps, low[some], high[some])
        better = _missed(moved, steps, low[some], high[some]) < missed[some]
        blocks[some[better]] = moved[better]
    return found


def _missed(blocks: Coefficients, steps: Steps, low: Floats, high: Floats) -> NDArray[np.intp]:
    """How many samples of each block are not within bounds: [n]."""
    made = inverse(blocks, steps)
    return ((made < low) | (made > high)).sum(1)


def _moved(blocks: Coefficients, steps: Steps, low: Floats, high: Floats) -> Coefficients:
    """Blocks after moves by a step, each of which brings samples nearer to their bounds."""
    low, high, blocks = low - _ROUNDING, high + _ROUNDING, blocks.copy()
    effect = basis() * steps[:, None].astype(np.float32)
    samples = blocks.astype(np.float32) @ effect + 128
    power = (effect**2).sum(1)
    left = np.arange(len(blocks))
    for _ in range(_MOVES):
        now, least, most = samples[left], low[left], high[left]
        off = now - now.clip(least, most)
        cost = (off * off).sum(1)
        slope = off @ effect.T
        promise = np.abs(slope) - 0.5 * power * (off != 0).mean(1, keepdims=True)
        tried = np.argsort(-promise, 1)[:, :_TRIED]
        sign = -np.sign(np.take_along_axis(slope, tried, 1))
        after = now[:, None] + sign[..., None] * effect[tried]
        off = after - after.clip(least[:, None], most[:, None])
        costs = (off * off).sum(2)
        best = costs.argmin(1)
        rows = np.arange(len(left))
        better = costs[rows, best] < cost
        rows, left, best = rows[better], left[better], best[better]
        if not left.size:
            break
        blocks[left, tried[rows, best]] += sign[rows, best].astype(np.int16)
        samples[left] = after[rows, best]
    return blocks


@cache
def basis() -> Floats:
    """What each coefficient adds to the samples of its block: [64 coefficients, 64 samples]."""
    k = np.arange(8)
    one = np.cos((2 * k + 1) * k[:, None] * np.pi / 16) / 2
    one[0] /= np.sqrt(2)
    return np.kron(one, one).astype(np.float32)
