"""Images made of images, and the tiles that predictors are followed through."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from seec.pipeline.lab.training.data import LUMA, Pixels

_TILE, _LEAST = 512, 32  # edges of tiles
_MIDDLE = 384
_SCALED_OVER, _SCALES = 250_000, (0.45, 0.9)
_GRAY_SHARE = 0.04


def variants(images: Sequence[Pixels], seed: int) -> Iterator[Pixels]:
    """The images, then mirrored ones, large ones scaled as well; a few of all turn gray."""
    rng = np.random.default_rng(seed)
    for image in images:
        yield _sometimes_gray(image, rng)
    for image in images:
        yield _sometimes_gray(_scaled(image, rng)[:, ::-1], rng)


def _scaled(image: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    if height * width <= _SCALED_OVER:
        return image
    factor = rng.uniform(*_SCALES)
    size = (int(width * factor), int(height * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _sometimes_gray(image: Pixels, rng: np.random.Generator) -> Pixels:
    if rng.random() >= _GRAY_SHARE:
        return image
    luma = np.rint(image @ LUMA).astype(np.uint8)
    return np.repeat(luma[..., None], 3, -1)


def tiles_of(images: Iterable[Pixels], seed: int) -> Iterator[Pixels]:
    """Tiles of at most 512 pixels, cut at random places; slivers are left out."""
    rng = np.random.default_rng(seed)
    for image in images:
        columns = _cuts(image.shape[1], rng)
        for top, bottom in _cuts(image.shape[0], rng):
            for left, right in columns:
                yield image[top:bottom, left:right]


def _cuts(length: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    places = [0, *range(int(rng.integers(1, _TILE + 1)), length, _TILE), length]
    return [(first, last) for first, last in pairwise(places) if last - first >= _LEAST]


def middle(image: Pixels) -> Pixels:
    """The middle of an image, at most 384 pixels wide and high."""
    edge = min(_MIDDLE, *image.shape[:2])
    y, x = (image.shape[0] - edge) // 2, (image.shape[1] - edge) // 2
    return image[y : y + edge, x : x + edge]
