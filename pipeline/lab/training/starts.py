"""What predictors know before their first pixel, from the images that a run learns from."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import MARGIN, canvas_of
from seec.pipeline.codec.encoder import BLOCK_SHIFT
from seec.pipeline.codec.model.profile import (
    CHANNELS,
    PREDICTOR_BITS,
    PREDICTOR_LIMIT,
    TAPS,
    Predictor,
)
from seec.pipeline.codec.model.tables import build_tables
from seec.pipeline.codec.model.weights import PredictorStart
from seec.pipeline.codec.network.inputs import in_units, normalised_taps
from seec.pipeline.lab.training.data import Pixels, neighbours, shifted

_CROPS, _CROP_EDGE = 26, 384
_PRIOR_PIXELS = 16  # a prior counts as much as so many average pixels
_RIDGE = 1e-3  # of the mean variance


def learn_starts(predictors: Sequence[Predictor], images: Sequence[Pixels]) -> list[PredictorStart]:
    """Priors from the mean products of regressors, starts from their least-squares solution.

    images: [H, W, 3] uint8; crops of some of them are looked at.
    """
    some = images[:: max(1, len(images) // _CROPS)]
    moments = _moments([image[:_CROP_EDGE, :_CROP_EDGE] for image in some])
    return [_start(predictor, moments) for predictor in predictors]


def _moments(crops: Sequence[Pixels]) -> NDArray[np.float64]:
    """Mean products of the regressors of all taps, tap by tap, and of the residuals: [69, 69]."""
    size = CHANNELS * (len(TAPS) + 1)
    total, pixels = np.zeros((size, size)), 0
    for crop in crops:
        numbers = _regressors(crop)
        total += numbers.T @ numbers
        pixels += len(numbers)
    return total / pixels


def _regressors(crop: Pixels) -> NDArray[np.float64]:
    """[pixels, 69], as a predictor with all taps would see them."""
    group = canvas_of([crop], BLOCK_SHIFT)
    height, width = crop.shape[:2]
    canvas = group.canvas[:, : height + MARGIN, : width + 2 * MARGIN]
    x = torch.from_numpy(canvas).to(torch.int32)
    reciprocal = torch.from_numpy(build_tables()["reciprocal"])
    context, scaled = normalised_taps(neighbours(x, TAPS), reciprocal)
    scale = reciprocal[context.activity.sum(-1)]
    residual = in_units(shifted(x) - context.med, scale[..., None])
    return torch.cat([scaled.flatten(-2), residual], -1).flatten(0, 2).double().numpy()


def _start(predictor: Predictor, moments: NDArray[np.float64]) -> PredictorStart:
    known = predictor.regressors
    rows = [CHANNELS * tap + c for tap in predictor.nearest for c in range(CHANNELS)]
    rows += range(len(moments) - CHANNELS, len(moments))
    own = moments[np.ix_(rows, rows)]
    ridge = _RIDGE * np.trace(own) / len(own)
    start = np.zeros((CHANNELS, known + CHANNELS - 1), np.int32)
    for c in range(CHANNELS):
        size = known + c
        left = own[:size, :size] + ridge * np.eye(size)
        weights = np.linalg.solve(left, own[:size, known + c]) * 2**PREDICTOR_BITS
        start[c, :size] = np.rint(weights).clip(-PREDICTOR_LIMIT, PREDICTOR_LIMIT)
    return PredictorStart(np.rint(own * _PRIOR_PIXELS).astype(np.int32), start)
