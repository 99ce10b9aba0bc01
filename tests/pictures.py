"""Small pictures that tests draw for themselves, the same on every machine."""

import numpy as np
from numpy.typing import NDArray


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
