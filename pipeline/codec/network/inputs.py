"""What a network with predictors sees of pixels, in integers.

It sees the pixel's neighbours, what local least-squares predictors (predictor.py) make of them and
by how much those were off nearby; entropy models of G and B also see how the predictors did on the
channels before them.
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false

from dataclasses import dataclass

import torch
from torch import Tensor

from seec.pipeline.codec.model.profile import ACTIVITY_TAPS, INPUT_LIMIT
from seec.pipeline.codec.network.integer import Context, Tables, surroundings


@dataclass(frozen=True)
class Sight:
    """What is seen of pixels before anything of them is known; all int32.

    context: MED and activity. scaled: [..., 22, 3], normalised taps. scale: [...], the reciprocal
    behind them. around: [..., 6, P, 3], errors of the predictors at the six nearest places, in
    1/4 of a value. ls: [..., P, 3], network inputs that the predictors give.
    """

    context: Context
    scaled: Tensor
    scale: Tensor
    around: Tensor
    ls: Tensor

    def spread(self) -> Tensor:
        """How far the predictors were off nearby, [..., P, 3]."""
        return self.around.abs().sum(-3, dtype=torch.int32)

    def gain(self) -> Tensor:
        """What mu is in units of, 1/16 of a value: [..., 3]."""
        return (self.spread()[..., 0, :] + 12).clamp_min(16)


def network_inputs(sight: Sight, tables: Tables) -> Tensor:
    """The numbers that enter the context layer, [..., inputs] int32."""
    level = tables["log_error"][sight.spread()] - 32
    errors = _scaled_errors(sight.around[..., 0, :], sight.scale[..., None, None])
    parts = [
        sight.scaled.flatten(-2),
        surroundings(sight.context, tables["log_activity"]),
        sight.ls[..., 0, :],
        errors.flatten(-2),
        level[..., 0, :],
    ]
    for p in range(1, sight.ls.shape[-2]):
        parts += [sight.ls[..., p, :], level[..., p, :]]
    return torch.cat(parts, -1)


def head_inputs(full: Tensor, known: Tensor, scale: Tensor, tables: Tables) -> Tensor:
    """What an entropy model sees of the channels before its own, [..., P + 3 known] int32.

    full: [..., P] int32, head numbers of its channel. known: [..., channels before it] int32, the
    errors of the first predictor there. scale: as in Sight. Nothing for R.
    """
    if not known.shape[-1]:
        return known
    errors = _scaled_errors(known, scale[..., None])
    level = tables["log_error"][len(ACTIVITY_TAPS) * known.abs()] - 32
    own = torch.stack([errors, errors.abs(), level], -1).flatten(-2)
    return torch.cat([full[..., :1], own, full[..., 1:]], -1)


def _scaled_errors(error: Tensor, scale: Tensor) -> Tensor:
    return ((error * scale + 8192) >> 14).clamp(-INPUT_LIMIT, INPUT_LIMIT)
