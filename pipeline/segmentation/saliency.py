"""From the saliency of a small picture to the label map of a large image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as f
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seec.pipeline.segmentation.protocol import LabelMap, Pixels, Saliency

# Longest edge of the copy of the image that guides the filter. In larger images a block of labels
# is coarser than a pixel of the copy.
_GUIDE_EDGE = 1024
_RADIUS, _FLATNESS = 4, 4e-3
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
_IMAGENET_SPREAD = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]

Predict = Callable[[NDArray[np.float32]], Saliency]


@dataclass(frozen=True)
class SaliencySegmenter:
    """Two labels, from a network: 1 on salient objects, 0 elsewhere.

    size: edge of the square input of `predict`. predict: [3, size, size] float32, sRGB in 0 .. 1,
    to saliency [h, w] float32 in 0 .. 1. threshold: least saliency of label 1.
    """

    name: str
    size: int
    predict: Predict
    threshold: float = 0.5
    labels: int | None = field(default=2, init=False)
    proposes: bool = field(default=False, init=False)

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        """Label maps. One image at a time, so that a map does not depend on the batch."""
        return [self._labels(image) for image in images]

    def _labels(self, image: Pixels) -> LabelMap:
        labels = (self._refined(image) >= self.threshold).astype(np.uint8)
        return _enlarge(labels, image.shape[:2])

    def saliency(self, image: Pixels) -> Saliency:
        """The saliency of each pixel, [H, W] float32 in 0 .. 1."""
        return _enlarge(self._refined(image), image.shape[:2])

    def _refined(self, image: Pixels) -> Saliency:
        picture = Image.fromarray(image).convert("RGB")
        guide = (np.asarray(_reduced(picture), np.float32) @ _LUMA / 255).astype(np.float32)
        square = picture.resize((self.size, self.size), Image.Resampling.BILINEAR, reducing_gap=2.0)
        pixels = np.asarray(square, np.float32).transpose(2, 0, 1) / np.float32(255)
        return sharpen(self.predict(pixels), guide)


def normalised(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """[3, H, W] in 0 .. 1, normalised as for networks trained on ImageNet."""
    return (pixels - _IMAGENET_MEAN) / _IMAGENET_SPREAD


def _reduced(picture: Image.Image) -> Image.Image:
    scale = _GUIDE_EDGE / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(edge * scale)) for edge in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


def sharpen(saliency: Saliency, guide: NDArray[np.float32]) -> Saliency:
    """Give a coarse map the edges of the picture.

    A guided filter (He, Sun, "Fast Guided Filter", arXiv 1505.00996): around each pixel the fine
    map is a linear function of brightness, fitted at the resolution of the coarse map.
    saliency: [h, w] float32; guide: [H, W] float32, both in 0 .. 1. Returns [H, W] float32.
    """
    coarse, fine = torch.from_numpy(saliency)[None, None], torch.from_numpy(guide)[None, None]
    small = f.interpolate(fine, coarse.shape[2:], mode="bilinear", antialias=True)
    mean, mean_guide = _around(coarse), _around(small)
    slope = (_around(coarse * small) - mean * mean_guide) / (
        _around(small * small) - mean_guide**2 + _FLATNESS
    )
    offset = mean - slope * mean_guide
    line = torch.cat([_around(slope), _around(offset)], 1)
    slope, offset = f.interpolate(line, fine.shape[2:], mode="bilinear").split(1, 1)
    return (slope * fine + offset).clamp(0, 1)[0, 0].numpy()


def _around(values: Tensor) -> Tensor:
    """Means over a square around each place; at the borders, over the part inside."""
    edge = 2 * _RADIUS + 1
    return f.avg_pool2d(values, edge, 1, _RADIUS, count_include_pad=False)


def _enlarge(values: NDArray, shape: tuple[int, ...]) -> NDArray:
    """Repeat values up to a larger shape."""
    if values.shape == shape:
        return values
    rows, columns = (
        np.arange(large) * small // large for large, small in zip(shape, values.shape, strict=True)
    )
    return values[rows[:, None], columns]
