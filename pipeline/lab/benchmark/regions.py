"""What region-of-interest coding promises and saves (arXiv 2509.07704, Fig. 3), measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec import Background, Model, default_model, encode
from seec.pipeline.codec.decoder import decode
from seec.schemas.loss import SKIP

Pixels = NDArray[np.uint8]
ERRORS = (None, 1, 2, 4, 8, SKIP)


@dataclass(frozen=True)
class RegionFigures:
    """Images coded with one background error, as in `seec.schemas.loss`; None is lossless.

    bpsp: mean over images. worst_error: of any decoded sub-pixel. region_exact: whether every
    pixel of every region came back.
    """

    background_error: int | None
    images: int
    bpsp: float
    worst_error: int
    region_exact: bool


def measure(
    images: Sequence[Pixels],
    masks: Sequence[NDArray[np.bool_]],
    errors: Iterable[int | None] = ERRORS,
    model: Model | None = None,
) -> list[RegionFigures]:
    """Encode and decode images with each background error, and compare every pixel.

    images: each [H, W] or [H, W, 3] uint8. masks: [H, W] bool, True where every pixel must come
    back. model: default the packaged one.
    """
    model = model or default_model()
    return [_measure(images, masks, error, model) for error in errors]


def _measure(
    images: Sequence[Pixels], masks: Sequence[NDArray[np.bool_]], error: int | None, model: Model
) -> RegionFigures:
    rates: list[float] = []
    worst, exact = 0, True
    for image, mask in zip(images, masks, strict=True):
        background = None if error is None else Background(mask, error or None)
        blob = encode(image, background=background, model=model)
        decoded = decode(blob, models={model.id: model})
        away = np.abs(decoded.astype(np.int16) - image)
        rates.append(8 * len(blob) / image.size)
        worst = max(worst, int(away.max()))
        exact = exact and not away[mask].any()
    return RegionFigures(error, len(images), float(np.mean(rates)), worst, exact)
