"""How well a saliency network finds what people call salient."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from seec.pipeline.segmentation.protocol import Pixels, Saliency
from seec.pipeline.segmentation.saliency import SaliencySegmenter

_BETA_SQUARED = 0.3
_LEVELS = 256


@dataclass(frozen=True)
class SaliencyFigures:
    """images: how many. iou: mean intersection over union at the segmenter's threshold.

    max_f: largest F-measure of mean precision and mean recall over 256 thresholds
    (beta^2 = 0.3). seconds: per image, on one thread.
    """

    images: int
    iou: float
    max_f: float
    seconds: float


def measure(
    segmenter: SaliencySegmenter, images: Sequence[Pixels], masks: Sequence[NDArray[np.bool_]]
) -> SaliencyFigures:
    """Compare a segmenter's maps with masks that people drew.

    images: each [H, W, 3] uint8; masks: [H, W] bool, True on the object.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        segmenter.saliency(images[0])  # the first call pays for what all others find ready
        start = time.perf_counter()
        maps = [segmenter.saliency(image) for image in images]
        seconds = (time.perf_counter() - start) / len(images)
    finally:
        torch.set_num_threads(threads)
    overlaps = [
        intersection_over_union(saliency >= segmenter.threshold, mask)
        for saliency, mask in zip(maps, masks, strict=True)
    ]
    return SaliencyFigures(
        len(images), float(np.mean(overlaps)), max_f_measure(maps, masks), seconds
    )


def intersection_over_union(found: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float:
    """Of two sets of pixels; 1 if both are empty."""
    either = np.count_nonzero(found | mask)
    return np.count_nonzero(found & mask) / either if either else 1.0


def max_f_measure(maps: Sequence[Saliency], masks: Sequence[NDArray[np.bool_]]) -> float:
    """The largest F-measure that one threshold for all images gives.

    As Achanta et al. (CVPR 2009) and the literature since: precision and recall are averaged
    over images for each of 256 thresholds, then combined.
    """
    curves = np.array([_curves(m, mask) for m, mask in zip(maps, masks, strict=True)])
    precision, recall = curves.mean(0)
    bottom = np.maximum(_BETA_SQUARED * precision + recall, 1e-12)
    return float(((1 + _BETA_SQUARED) * precision * recall / bottom).max())


def _curves(saliency: Saliency, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Precision and recall at each threshold, [2, 256]; precision is 0 where nothing is found."""
    level = np.rint(saliency * (_LEVELS - 1)).astype(np.int64)
    # How many pixels have at least each level.
    found = np.bincount(level.ravel(), minlength=_LEVELS)[::-1].cumsum()[::-1]
    hits = np.bincount(level[mask], minlength=_LEVELS)[::-1].cumsum()[::-1]
    return np.stack([hits / np.maximum(found, 1), hits / max(1, np.count_nonzero(mask))])
