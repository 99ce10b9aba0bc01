"""Looks at parts of an image that tell which way of coding it is worth a try (encoder only)."""

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.kernels import Kernels
from seec.pipeline.codec.coding.tiles import Tile, canvas_of
from seec.pipeline.codec.screen import encode_screen, looks_drawn

Pixels = NDArray[np.uint8]
SPOT = 96  # edge of the squares that are looked at
_APART = 256  # so far, about, from one to the next: an eighth of the pixels tells enough
_AT_ONCE = 8
_STRIPS, _STRIP_ROWS = 4, 16
_SMALL = 1 << 16  # pixels, with which the try itself is quick


def turned(image: Pixels) -> Pixels:
    """An image [H, W, channels] turned to the left, [W, H, channels]: its last column is on top."""
    return np.ascontiguousarray(np.rot90(image))


def spots(image: Pixels) -> list[list[Tile]]:
    """Where to look whether an image [H, W, channels] should be turned, a few places at a time.

    Nowhere if it is small or a part of it looks drawn: text is coded along its lines.
    """
    height, width = image.shape[:2]
    if min(height, width) < SPOT:
        return []
    found = [Tile(y, x, SPOT, SPOT) for y in _places(height) for x in _places(width)]
    if any(looks_drawn(image[t.rows, t.columns]) for t in found):
        return []
    return [found[i : i + _AT_ONCE] for i in range(0, len(found), _AT_ONCE)]


def _places(size: int) -> list[int]:
    """Where spots begin along an axis of so many pixels."""
    return _spread(size - SPOT, max(1, round(size / _APART)))


def turning_gain(kernels: Kernels, image: Pixels, some: list[Tile], block_shift: int) -> int:
    """By how much the code length of spots falls if they are turned, in 1/512 bit.

    Contexts are not symmetric: a pixel sees three rows above it, and its predictors learn along
    rows.
    """
    upright = [image[spot.rows, spot.columns] for spot in some]
    costs = _half_lengths(kernels, [*upright, *map(turned, upright)], block_shift)
    return sum(costs[: len(some)]) - sum(costs[len(some) :])


def screen_may_win(kernels: Kernels, image: Pixels, block_shift: int) -> bool:
    """Whether screen coding takes less for a few strips of an image that looks drawn.

    image: [H, W, channels]. Noise on black looks drawn, too, and screen coding is slow where
    nothing repeats.
    """
    height, width, channels = image.shape
    if height * width <= _SMALL or height <= _STRIPS * _STRIP_ROWS:
        return True
    starts = _spread(height - _STRIP_ROWS, _STRIPS)
    strips = np.concatenate([image[start : start + _STRIP_ROWS] for start in starts])
    tiles = [Tile(0, 0, len(strips), width)]
    screen_bits = 8 * len(encode_screen(strips.tobytes(), tiles, channels))
    return 128 * screen_bits < sum(_half_lengths(kernels, [strips], block_shift))


def _spread(room: int, count: int) -> list[int]:
    """`count` places in [0, room], evenly spread."""
    return [(2 * i + 1) * room // (2 * count) for i in range(count)]


def _half_lengths(kernels: Kernels, pictures: list[Pixels], block_shift: int) -> list[int]:
    """Code length of the even rows of each of some pictures of one shape, in 1/256 bit.

    Each block is under its best entropy model.
    """
    costs = kernels.measure(canvas_of(pictures, block_shift))
    return costs.min(-1).sum((1, 2)).tolist()
