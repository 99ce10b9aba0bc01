"""Rasters of all kinds that the coder of samples of any depth is for, the same everywhere."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.pictures import textured

Rasters = tuple[list[NDArray[Any]], int]  # each [height, width, samples]; bits of a sample


def _smooth(height: int, width: int, seed: int) -> NDArray[np.int64]:
    """About 12 bits, a slope with texture."""
    y, x = np.mgrid[:height, :width]
    texture = textured(height, width, seed)[..., 0].astype(np.int64)
    return 1000 + 17 * x + 9 * y + (x * y) % 23 + 4 * texture


def _floats_of(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """With places that hold no number, a zero with a sign and one that is far away."""
    floats = values.astype(np.float32)
    floats[3:6, 4:9] = np.nan
    floats[9, 2:5] = -9999
    floats[12, 7] = -0.0
    return floats


def _in_order(floats: NDArray[np.float32]) -> NDArray[np.uint32]:
    """As archives hold floats."""
    bits = floats.view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def rasters() -> dict[str, Rasters]:
    """By name."""
    gray = _smooth(21, 37, 1)
    bands = np.stack([gray, gray // 2 + 9 * _smooth(21, 37, 2) // 8, 3 * gray // 4, gray[::-1]], -1)
    holes = np.where(_smooth(21, 37, 3) % 7 == 0, 0, gray)
    stack = [(_smooth(10, 18, 4) + 30 * i)[..., None].astype(np.uint16) for i in range(3)]
    floats = (np.sign(gray - 1500) * np.sqrt(np.abs(gray - 1500))).astype(np.float32)
    floats[3:6, 4:9] = np.nan
    parts = (np.sqrt(gray) / 8 - 5.5).astype(np.float32)
    halves = (np.arange(37) - 18.0) * (np.arange(21)[:, None] - 10.0) / 8 + gray % 3
    parts[3:6, 4:9], parts[7, 7], parts[2, 30:] = -3e38, -0.0, 0
    parts[8, 5:8] = 1e-30, -1e-9, np.inf
    labels = (gray // 300)[..., None]
    return {
        "gray": ([gray[..., None].astype(np.uint16)], 16),
        "bands": ([bands.astype(np.uint16)], 16),
        "holes": ([(holes * 16)[..., None].astype(np.uint16)], 16),
        "edges": ([np.where(holes > 0, 50 * gray, 0)[..., None].astype(np.uint16)], 16),
        "stack": (stack, 16),
        "labels": ([(labels * 900 + 70).astype(np.uint16)], 16),
        "mask": ([(gray[..., None] % 512 > 200).astype(np.uint8)], 1),
        "masks": ([(one > 1600).astype(np.uint8) for one in stack], 1),
        "float": ([floats.view(np.uint32)[..., None]], 32),
        "quarters": ([_floats_of((gray - 1500) / 4).view(np.uint32)[..., None]], 32),
        "decimals": ([_in_order(_floats_of((gray - 1500) / 100))[..., None]], 32),
        "parts": ([parts.view(np.uint32)[..., None]], 32),
        "ordered_parts": ([_in_order(np.stack([parts, -parts[::-1]], -1))], 32),
        "half": ([halves.astype(np.float16).view(np.uint16)[..., None]], 16),
        "large": ([(gray[..., None] * 70001 + 5).astype(np.uint32)], 32),
        "constant": ([np.full((5, 4, 2), 777, np.uint16)], 16),
        "noise": ([np.random.default_rng(1).integers(0, 65536, (9, 70, 1)).astype(np.uint16)], 16),
        "pixel": ([np.full((1, 1, 1), 9, np.uint16)], 16),
        "column": ([gray[:, :1, None].astype(np.uint16)], 16),
        "row": ([gray[:1, :, None].astype(np.uint16)], 16),
        "repeated": ([np.tile(np.arange(64, dtype=np.uint16), (40, 2))[..., None] * 1021], 16),
    }
