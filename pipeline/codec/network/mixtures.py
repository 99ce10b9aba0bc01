"""Mixture parameters of a network to mixtures of logistic distributions."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import torch
from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture, bins_around
from seec.pipeline.codec.model.profile import SCALE_BIAS, SCALE_COUNT
from seec.pipeline.codec.model.tables import LOGISTIC_ONE
from seec.pipeline.codec.network.inputs import Tables


def make_mixture(
    tables: Tables,
    pi: Tensor,
    mean: Tensor,
    scale: Tensor,
    level: Tensor,
    med: Tensor,
    width: Tensor | None,
) -> Mixture:
    """The mixtures of n values from the parameters that a network gives.

    pi, mean (1/64 of a value), scale: [n, K] int32. level: [n] int32, what scales start from.
    med: [n] int32, what bins lie around. width: of the bins; None is 1.
    """
    below = (pi.amax(-1, keepdim=True) - pi).clamp_max(511)
    weight = tables["exp"][below]
    index = ((scale >> 2) + level[:, None] + SCALE_BIAS).clamp(0, SCALE_COUNT - 1)
    width = torch.ones_like(level) if width is None else width
    return Mixture(
        mean,
        weight,
        tables["inverse_scale"][index],
        tables["reach"][index],
        (LOGISTIC_ONE >> 2) * weight.sum(-1, dtype=torch.int32),
        tables["logistic"],
        bins_around(med, width),
        width,
    )
