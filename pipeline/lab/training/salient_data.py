"""ECSSD in memory: the split, and batches that never look the same twice."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as f
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

_STORED = 256  # edge at which images are kept in memory
_VALIDATION, _TEST = 100, 100


@dataclass(frozen=True)
class Split:
    """Names, without suffix, of each side of the split."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def split(folder: Path) -> Split:
    """800 / 100 / 100 of the names in `folder`/images, by rank of their SHA-256."""
    names = [p.stem for p in (folder / "images").iterdir() if p.suffix == ".jpg"]
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    held = _VALIDATION + _TEST
    return Split(tuple(ranked[held:]), tuple(ranked[:_VALIDATION]), tuple(ranked[_VALIDATION:held]))


def load_pair(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An image, [H, W, 3] uint8, and its mask, [H, W] bool."""
    with Image.open(folder / "images" / f"{name}.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    with Image.open(folder / "masks" / f"{name}.png") as mask:
        return pixels, np.asarray(mask.convert("L")) > 127


def load_pairs(
    folder: Path, names: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.bool_]]]:
    """Images and masks of these names, as `load_pair` gives them."""
    pairs = [load_pair(folder, name) for name in names]
    return [image for image, _ in pairs], [mask for _, mask in pairs]


class SalientData:
    """Training images, resized to squares, with backgrounds from which the object is gone."""

    def __init__(self, folder: Path, names: tuple[str, ...]):
        pairs = [_stored(*load_pair(folder, name)) for name in names]
        self._images = torch.stack([image for image, _ in pairs])
        self._masks = torch.stack([mask for _, mask in pairs])
        self._backgrounds = torch.cat(
            [
                _without_object(image[None], mask[None])
                for image, mask in zip(self._images, self._masks, strict=True)
            ]
        )

    def __len__(self) -> int:
        return len(self._images)

    def draw(
        self, rng: np.random.Generator, count: int, size: int, pasted: float
    ) -> tuple[Tensor, Tensor]:
        """A random batch.

        size: edge in pixels. pasted: share of objects that move to another background.
        Returns images [count, 3, size, size] float32 in 0 .. 1 and masks
        [count, 1, size, size] float32.
        """
        picks = torch.from_numpy(rng.choice(len(self), count, replace=False))
        images, masks = self._images[picks] / 255, self._masks[picks] / 255
        images, masks = _warp(torch.cat([images, masks], 1), rng, size).split([3, 1], 1)
        moved = torch.from_numpy(rng.random(count) < pasted)
        others = torch.from_numpy(rng.choice(len(self), count, replace=False))
        behind = _warp(self._backgrounds[others] / 255, rng, size)
        put = behind + masks * (jitter(images, rng) - behind)
        images = torch.where(moved[:, None, None, None], put, images)
        return jitter(images, rng), masks


def _stored(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    size = (_STORED, _STORED)
    small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    shape = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)
    return pixels, torch.from_numpy(np.array(shape))[None]


def _without_object(image: Tensor, mask: Tensor) -> Tensor:
    """Fill the object with colours from around it, from fine to coarse. uint8 [1, 3, H, W]."""
    known = (f.max_pool2d(mask.float(), 9, 1, 4) < 1).float()
    filled = image * known
    level, weight = filled, known
    while weight.shape[-1] > 1 and bool((known == 0).any()):
        level, weight = f.avg_pool2d(level, 2), f.avg_pool2d(weight, 2)
        size = image.shape[2:]
        wide = f.interpolate(level, size, mode="bilinear")
        share = f.interpolate(weight, size, mode="bilinear")
        reached = (share > 0.05).float() * (1 - known)
        filled = filled + reached * wide / share.clamp(min=1e-6)
        known = known + reached
    return filled.clamp(0, 255).to(torch.uint8)


def _warp(batch: Tensor, rng: np.random.Generator, size: int) -> Tensor:
    """Flip, crop, scale, stretch and turn a little, each image its own way."""
    count = len(batch)
    angle = rng.normal(0, 6, count) * math.pi / 180
    scale = rng.uniform(0.7, 1.08, count)
    stretch = np.exp(rng.normal(0, 0.1, count))
    across, down = scale * stretch, scale / stretch
    flip = rng.choice([-1.0, 1.0], count)
    # A crop stays inside the picture; a wider view shows its reflection beyond the border.
    x = rng.uniform(-1, 1, count) * np.maximum(0, 1 - across)
    y = rng.uniform(-1, 1, count) * np.maximum(0, 1 - down)
    rows = [
        [across * np.cos(angle) * flip, -down * np.sin(angle), x],
        [across * np.sin(angle) * flip, down * np.cos(angle), y],
    ]
    theta = torch.from_numpy(np.array(rows, np.float32).transpose(2, 0, 1))
    grid = f.affine_grid(theta, [count, 1, size, size], align_corners=False)
    return f.grid_sample(batch, grid, padding_mode="reflection", align_corners=False)


def jitter(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Change brightness, contrast, saturation, tint and gamma, each image its own way."""
    count = len(images)

    def draw(centre: float, spread: float, channels: int = 1) -> Tensor:
        values = rng.normal(centre, spread, (count, channels, 1, 1)).astype(np.float32)
        return torch.from_numpy(values)

    gray = images.mean(1, keepdim=True)
    saturation = draw(1, 0.25).clamp(0, 2) * torch.from_numpy(
        (rng.random((count, 1, 1, 1)) > 0.05).astype(np.float32)
    )
    images = gray + saturation * (images - gray)
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + draw(1, 0.15) * (images - middle) + draw(0, 0.06) + draw(0, 0.03, 3)
    return images.clamp(0, 1) ** torch.exp(draw(0, 0.15))
