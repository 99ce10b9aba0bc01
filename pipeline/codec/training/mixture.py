"""MCDLM in floats, for training: the ideal code length of the integer decoder's mixture.

Multi-channel discrete logistic mixture (arXiv 2509.07704, MCDLM): per channel and
component pi, mu, sigma; beta feeds the residuals of R and G into the means of G and B.
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import torch
from torch import Tensor

from seec.pipeline.codec.model.profile import (
    BETA_LIMIT,
    CHANNELS,
    OUTPUT_BITS,
    SCALE_BIAS,
    SCALE_COUNT,
)
from seec.pipeline.codec.training.quantised import straight_through

PROBABILITY_FLOOR = 2e-6
_GRID = 2**OUTPUT_BITS


def code_length(
    params: Tensor, target: Tensor, prediction: Tensor, activity: Tensor, log_activity: Tensor
) -> Tensor:
    """Ideal code length of each sub-pixel.

    params: [pixels, 12 K] float, mixture parameters (decoder integers / 64).
    target, prediction, activity, log_activity: [pixels, 3] float: the pixel, its MED
    prediction, the sum of six absolute tap differences, and the table entry for it.
    Returns [pixels, 3] float, bits.
    """
    pixels, outputs = params.shape
    k = outputs // 12
    p = params.view(pixels, 12, k)
    pi, mu, log_scale, beta = p[:, 0:3], p[:, 3:6], p[:, 6:9], p[:, 9:12]
    beta = beta.clamp(-BETA_LIMIT / _GRID, BETA_LIMIT / _GRID)
    residual = (target - prediction)[:, :, None]

    offset = mu * torch.clamp(activity + 3, min=6.0)[:, :, None] * 0.25
    given = torch.stack(
        [
            torch.zeros_like(beta[:, 0]),
            beta[:, 0] * residual[:, 0],
            beta[:, 1] * residual[:, 0] + beta[:, 2] * residual[:, 1],
        ],
        1,
    )
    away = residual - offset - given
    level = log_activity[:, :, None]
    return mixture_bits(pi, away, log_scale, level, target[..., None], -1)


def adaptive_code_length(
    params: Tensor,
    target: Tensor,
    prediction: Tensor,
    bases: Tensor,
    spread: Tensor,
    log_spread: Tensor,
    errors: Tensor,
) -> Tensor:
    """Ideal code length of each sub-pixel under a network with predictors.

    params: [pixels, 9 K + 3 P + 3] float, decoder integers / 64, channel by channel: pi, mu and
    sigma of K components, gamma of P predictors, beta of the channels before it.
    target, prediction, spread, log_spread: [pixels, 3] float: the pixel, its MED prediction, the
    sum of the first predictor's six absolute errors around it, and the table entry for it.
    bases: [pixels, P, 3] float, what the predictors say, in pixel values.
    errors: [pixels, 3] float, the first predictor's at the pixel itself, in pixel values.
    Returns [pixels, 3] float, bits.
    """
    predictors = bases.shape[1]
    k = (params.shape[1] // CHANNELS - predictors - 1) // 3
    gain = torch.clamp(spread + 12, min=16.0) / 16
    corrections = bases - prediction[:, None]
    # Parameters in rows: loops over pixels are long enough for vectors, those over K are not.
    rows = params.t().contiguous()
    lengths: list[Tensor] = []
    first = 0
    for c in range(CHANNELS):
        sizes = [k, k, k, predictors, c]
        pi, mu, log_scale, gamma, beta = rows[first : first + sum(sizes)].split(sizes)
        first += sum(sizes)
        beta = beta.clamp(-BETA_LIMIT / _GRID, BETA_LIMIT / _GRID)
        mean = prediction[:, c] + (gamma * corrections[:, :, c].t()).sum(0)
        mean = mean + (beta * errors[:, :c].t()).sum(0)
        away = (target[:, c] - mean) - mu * gain[:, c]
        lengths.append(mixture_bits(pi, away, log_scale, log_spread[:, c], target[:, c], 0))
    return torch.stack(lengths, -1)


def mixture_bits(
    pi: Tensor, away: Tensor, log_scale: Tensor, level: Tensor, target: Tensor, axis: int
) -> Tensor:
    """Bits of targets that lie `away` from the means of their components, which are along an axis.

    pi, log_scale: decoder integers / 64. level: what scales start from. target, level: with one
    component, or without the axis if it is the first.
    """
    steps = log_scale * 16
    steps = straight_through(steps, torch.floor(steps.detach())) + level
    index = (steps + SCALE_BIAS).clamp(0, SCALE_COUNT - 1)
    inverse = torch.exp2((64 - index) / 16)

    upper = torch.sigmoid((away + 0.5) * inverse)
    lower = torch.sigmoid((away - 0.5) * inverse)
    upper = torch.maximum(upper, (target == 255).to(upper.dtype))
    lower = lower * (target != 0)
    weight = torch.exp(pi - pi.detach().amax(axis, keepdim=True))
    probability = (weight * (upper - lower)).sum(axis) / weight.sum(axis)
    floored = (probability + PROBABILITY_FLOOR) / (1 + 256 * PROBABILITY_FLOOR)
    return -torch.log2(floored)
