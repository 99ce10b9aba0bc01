"""The integers that enter a network, from the pixels coded before.

Every network sees the taps of a pixel as differences from their MED prediction, in units of the
activity. A network with predictors also sees local least-squares predictions (predictors.py) and
their errors nearby; its entropy models of G and B also see the errors in the channels before.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from seec.pipeline.codec.model.profile import ACTIVITY_TAPS, INPUT_LIMIT, NW, N, W

Tables = Mapping[str, Tensor]


@dataclass(frozen=True)
class Context:
    """Per pixel: MED prediction and activity, [..., 3] int32."""

    med: Tensor
    activity: Tensor


def normalised_taps(taps: Tensor, reciprocal: Tensor) -> tuple[Context, Tensor]:
    """The taps [..., 22, 3] int32 as differences from MED in units of the activity.

    Returns the context, and the same shape of integers in [-127, 127].
    """
    west, north = taps[..., W, :], taps[..., N, :]
    low, high = torch.minimum(west, north), torch.maximum(west, north)
    med = torch.minimum(torch.maximum(west + north - taps[..., NW, :], low), high)
    difference = taps - med[..., None, :]
    activity = difference[..., list(ACTIVITY_TAPS), :].abs().sum(-2, dtype=torch.int32)
    scale = reciprocal[activity.sum(-1)]
    return Context(med, activity), in_units(difference, scale[..., None, None])


def in_units(difference: Tensor, scale: Tensor) -> Tensor:
    """Differences of values in units of the activity, given its reciprocal."""
    return ((difference * scale + 2048) >> 12).clamp(-INPUT_LIMIT, INPUT_LIMIT)


def surroundings(context: Context, log_activity: Tensor) -> Tensor:
    """The six inputs of every network that tell of activity and brightness, [..., 6]."""
    return torch.cat([log_activity[context.activity] - 32, (context.med - 128) >> 1], -1)


def front_end(taps: Tensor, log_activity: Tensor, reciprocal: Tensor) -> tuple[Context, Tensor]:
    """The integers before a network without predictors.

    taps: [..., 22, 3] int32, the causal neighbours; the tables as in tables.py.
    Returns the context, and the network inputs [..., 72] int32.
    """
    context, scaled = normalised_taps(taps, reciprocal)
    by_channel = scaled.transpose(-1, -2).flatten(-2)
    return context, torch.cat([by_channel, surroundings(context, log_activity)], -1)


@dataclass(frozen=True)
class NetworkInputs:
    """The inputs of pixels of which no channel is known yet; all int32.

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


def context_inputs(inputs: NetworkInputs, tables: Tables) -> Tensor:
    """The numbers that enter the context layer, [..., inputs] int32."""
    level = tables["log_error"][inputs.spread()] - 32
    errors = _scaled_errors(inputs.around[..., 0, :], inputs.scale[..., None, None])
    parts = [
        inputs.scaled.flatten(-2),
        surroundings(inputs.context, tables["log_activity"]),
        inputs.ls[..., 0, :],
        errors.flatten(-2),
        level[..., 0, :],
    ]
    for p in range(1, inputs.ls.shape[-2]):
        parts += [inputs.ls[..., p, :], level[..., p, :]]
    return torch.cat(parts, -1)


def head_inputs(full: Tensor, known: Tensor, scale: Tensor, tables: Tables) -> Tensor:
    """The inputs of an entropy model beside the features, [..., P + 3 known] int32.

    full: [..., P] int32, head numbers of its channel. known: [..., channels before it] int32, the
    errors of the first predictor there. scale: as in NetworkInputs. Nothing for R.
    """
    if not known.shape[-1]:
        return known
    errors = _scaled_errors(known, scale[..., None])
    level = tables["log_error"][len(ACTIVITY_TAPS) * known.abs()] - 32
    own = torch.stack([errors, errors.abs(), level], -1).flatten(-2)
    return torch.cat([full[..., :1], own, full[..., 1:]], -1)


def _scaled_errors(error: Tensor, scale: Tensor) -> Tensor:
    return ((error * scale + 8192) >> 14).clamp(-INPUT_LIMIT, INPUT_LIMIT)
