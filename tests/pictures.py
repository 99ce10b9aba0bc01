"""Small pictures that tests draw for themselves, the same on every machine."""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.family import Family
from seec.pipeline.codec.colours.presets import JFIF


class Cut(TypedDict, total=False):
    """How an encoder is to cut a picture."""

    tile_size: int
    tiles_per_group: int
    block_shift: int
    turned: bool


def textured(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Slow gradients, an edge and noise: [height, width, 3] uint8. Integers only."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = 60 + 2 * y + x + 40 * (x > y)
    noise = rng.integers(-6, 7, (height, width, 3)) + rng.integers(-6, 7, (height, width, 1))
    tint = np.array([20, 0, -30])
    return np.clip(base[..., None] + tint + noise, 0, 255).astype(np.uint8)


def gray(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """One channel of `textured`: [height, width] uint8."""
    return textured(height, width, seed)[..., 1].copy()


def made_of_planes(
    height: int, width: int, chroma: Chroma = Chroma.FULL, family: Family = JFIF
) -> NDArray[np.uint8]:
    """`textured`, about, as a decoder of a JPEG file or a video makes it."""
    wide = textured(height, width).astype(np.int16)
    blue, red = (wide[..., 2] >> 3) - 12, (wide[..., 0] >> 3) - 16
    planes = (wide[..., 1] >> 1) + 50, blue + family.blue_zero, red + family.red_zero
    luma, blue, red = (p.astype(np.uint8) for p in planes)
    down = slice(None, None, 1 << chroma.row_shift), slice(None, None, 1 << chroma.column_shift)
    blue, red = (chroma.enlarge(p[down])[:height, :width] for p in (blue, red))
    return family.pixels(luma, blue, red)


def screenshot(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Glyphs over and over, lines, a gradient and some noise: [height, width, 3] uint8."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), (250, 249, 246), np.uint8)
    inks = rng.integers(0, 256, (4, 3), np.uint8)
    glyphs = rng.integers(0, 4, (5, 6, 5)) * (rng.random((5, 6, 5)) < 0.6)
    for y in range(1, height - 6, 8):
        for x in range(1, width - 5, 6):
            glyph = glyphs[rng.integers(5)]
            part = image[y : y + 6, x : x + 5]
            part[glyph > 0] = inks[glyph[glyph > 0]]
    image[height // 2] = inks[0]
    y, x = np.mgrid[: height // 4, : width // 3]
    image[-(height // 4) :, : width // 3] = np.stack([4 * x, 3 * y, x + y], -1).astype(np.uint8)
    image[-4:, -8:] = rng.integers(0, 256, (4, 8, 3))
    return image
