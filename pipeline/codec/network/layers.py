"""The layers of a network in integers.

A layer is a matrix product of small integers carried in floats: exact in any order, because
loading a model proves that no partial sum reaches 2^24 (model/bounds.py).
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from seec.pipeline.codec.coding.tiles import Pixels
from seec.pipeline.codec.model.profile import HIDDEN_BITS, HIDDEN_LIMIT, LEAK_SHIFT
from seec.pipeline.codec.model.weights import Layer, Model
from seec.pipeline.codec.network.inputs import Tables


class CarriedLayer:
    """A layer whose integers travel in floats."""

    def __init__(self, layer: Layer, group: int, device: str, carrier: torch.dtype):
        shift = torch.from_numpy(layer.shift[group])
        start = torch.from_numpy(layer.bias[group]) + (1 << (shift - 1))
        self.weight = torch.from_numpy(layer.weight[group]).to(device, carrier).T.contiguous()
        self.start = start.to(device, carrier)
        self.shift = shift.to(device)

    def __call__(self, x: Tensor) -> Tensor:
        """Apply to x [n, in] in the carrier type. Returns [n, out] int32."""
        y = torch.addmm(self.start, x, self.weight).to(torch.int32) >> self.shift
        return y.clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)


class Layers:
    """The layers and tables of a model on a device; activations travel as `carrier`."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        self.device, self.carrier = device, carrier
        self.profile, self._layers = model.profile, model.layers
        self.tables: Tables = {k: torch.from_numpy(v).to(device) for k, v in model.tables.items()}

    def single(self, name: str) -> CarriedLayer:
        """A layer that all entropy models share."""
        return self._carried(self._layers[name], 0)

    def entropy_models(self, name: str) -> list[CarriedLayer]:
        """A layer that each entropy model has for itself."""
        layer = self._layers[name]
        return [self._carried(layer, label) for label in range(self.profile.entropy_models)]

    def _carried(self, layer: Layer, group: int) -> CarriedLayer:
        return CarriedLayer(layer, group, self.device, self.carrier)


def leak(y: Tensor, carrier: torch.dtype) -> Tensor:
    """Leaky ReLU of an int32 layer output, as the next layer wants it."""
    return torch.maximum(y, y >> LEAK_SHIFT).to(carrier)


def with_one(inputs: Tensor) -> Tensor:
    """Inputs of a layer [n, in] int32 and behind them a one, [n, in + 1] float64."""
    return pad(inputs.to(torch.float64), (0, 1), value=1 << HIDDEN_BITS)


def by_label(
    labels: Pixels,
    label: int | None,
    features: Tensor,
    outputs: int,
    function: Callable[[int, Tensor], Tensor],
) -> Tensor:
    """function(label, features) of each row of features [n, ...]: [n, outputs] int32.

    label: of all rows; None takes that of each row's label.
    """
    if label is not None:
        return function(label, features)
    found = torch.empty((len(labels), outputs), dtype=torch.int32, device=features.device)
    for e in np.unique(labels).tolist():
        own = torch.from_numpy(np.flatnonzero(labels == e)).to(features.device)
        found[own] = function(e, features[own])
    return found
