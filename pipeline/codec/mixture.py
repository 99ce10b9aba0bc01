"""MCDLM in floats, for training: the ideal code length of the integer decoder's mixture.

Multi-channel discrete logistic mixture (arXiv 2509.07704, MCDLM): per channel and
component pi, mu, sigma; beta feeds the residuals of R and G into the means of G and B.
"""

import torch
from torch import Tensor

from pipeline.codec.profile import BETA_LIMIT, OUTPUT_BITS, SCALE_BIAS, SCALE_COUNT
from pipeline.codec.quantised import straight_through

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
    away = residual - offset - given  # target - mean

    steps = log_scale * 16
    steps = straight_through(steps, torch.floor(steps.detach())) + log_activity[:, :, None]
    index = (steps + SCALE_BIAS).clamp(0, SCALE_COUNT - 1)
    inverse = torch.exp2((64 - index) / 16)

    upper = torch.sigmoid((away + 0.5) * inverse)
    lower = torch.sigmoid((away - 0.5) * inverse)
    upper = torch.maximum(upper, (target == 255)[:, :, None].to(upper.dtype))
    lower = lower * (target != 0)[:, :, None]
    weight = torch.exp(pi - pi.detach().amax(-1, keepdim=True))
    probability = (weight * (upper - lower)).sum(-1) / weight.sum(-1)
    floored = (probability + PROBABILITY_FLOOR) / (1 + 256 * PROBABILITY_FLOOR)
    return -torch.log2(floored)
