"""Pixel art, codes, patterns and noise."""

import numpy as np

from seec.pipeline.lab.benchmark.drawings.ink import PALETTE, Pixels, blob, canvas, smooth


def _sprite(seed: int, size: int = 16) -> Pixels:
    """A symmetrical figure in five colours."""
    rng = np.random.default_rng(200 + seed)
    half = rng.integers(0, 5, (size, size // 2)) * (rng.random((size, size // 2)) < 0.7)
    for _ in range(2):  # neighbours often agree
        copy = rng.random(half.shape) < 0.4
        half = np.where(copy, np.roll(half, 1, 0), half)
    palette = np.concatenate([[(92, 148, 252)], rng.integers(0, 256, (4, 3))]).astype(np.uint8)
    return palette[np.concatenate([half, half[:, ::-1]], 1)]


def sprites(scale: int) -> Pixels:
    """Figures in rows; scale: pixels of the image for one of a figure."""
    rows = [np.concatenate([_sprite(12 * r + c) for c in range(12)], 1) for r in range(9)]
    return np.repeat(np.repeat(np.concatenate(rows), scale, 0), scale, 1)


def game() -> Pixels:
    """A map of 16 x 16 tiles: ground, water and figures."""
    rng = np.random.default_rng(20)
    kinds = [_sprite(300 + n) for n in range(12)]
    plan = np.repeat(np.repeat(rng.integers(0, 12, (12, 18)), 3, 0), 3, 1)
    rare = rng.random(plan.shape) < 0.15
    plan = np.where(rare, rng.integers(0, 12, plan.shape), plan)
    return np.concatenate([np.concatenate([kinds[k] for k in row], 1) for row in plan])


def matrix_code(modules: int, scale: int) -> Pixels:
    """Random modules with finder patterns; scale: pixels of a module."""
    bits = np.random.default_rng(21).integers(0, 2, (modules, modules)).astype(np.uint8)
    finder = np.pad(np.pad(np.ones((3, 3)), 1), 1, constant_values=1)
    for y, x in ((0, 0), (0, modules - 7), (modules - 7, 0)):
        bits[y : y + 7, x : x + 7] = finder
    return np.repeat(np.repeat(255 * (1 - np.pad(bits, 4)), scale, 0), scale, 1).astype(np.uint8)


def bar_code() -> Pixels:
    """Bars of random widths."""
    widths = np.random.default_rng(22).integers(1, 5, 120)
    bars = np.repeat(np.arange(120) % 2 * 255, 2 * widths).astype(np.uint8)
    return np.pad(np.repeat(bars[None], 160, 0), 20, constant_values=255)


def repeats() -> Pixels:
    """A smooth motif, 37 x 53 pixels, over and over."""
    motif, draw = canvas(53, 37, (245, 240, 225))
    rng = np.random.default_rng(23)
    for number in range(6):
        x, y = rng.uniform(8, 32, 2)
        draw.polygon(blob(rng, x, y, 7), PALETTE[number])
    return np.tile(np.asarray(smooth(motif)), (14, 12, 1))


def hatching() -> Pixels:
    """Four patterns of lines and dots in squares."""
    y, x = np.mgrid[:420, :560]
    which = (y // 70 + x // 70) % 4
    kinds = np.stack(
        [(x + y) % 8 < 2, (x - y) % 6 == 0, (x % 4 == 0) & (y % 4 == 0), x * y % 7 == 0]
    )
    return np.where(np.take_along_axis(kinds, which[None], 0)[0], 30, 240).astype(np.uint8)


def noise_patches() -> Pixels:
    """Flat paper with patches of noise in 2, 16 and 256 levels."""
    rng = np.random.default_rng(24)
    image = np.full((360, 480, 3), 235, np.uint8)
    image[40:140, 40:200] = 255 * rng.integers(0, 2, (100, 160, 1))
    palette = rng.integers(0, 256, (16, 3), np.uint8)
    image[40:140, 260:440] = palette[rng.integers(0, 16, (100, 180))]
    image[200:320, 40:160] = rng.integers(0, 256, (120, 120, 3))
    image[200:320, 260:440] = 200 + rng.integers(-3, 4, (120, 180, 1))
    return image
