"""Begin a run with what a model has learnt, in a network as wide or wider."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import replace

import torch
from torch import Tensor

from seec.pipeline.codec.model.weights import Layer, Model
from seec.pipeline.codec.training.quantised import IntegerLinear
from seec.pipeline.lab.training.entropy_models import Network
from seec.schemas.errors import ModelError


@torch.no_grad()
def take_over(network: Network, model: Model) -> None:
    """Give a network the weights of a model, and say what it says.

    The network may be wider: what is new of it stays as it was made, and no other layer listens to
    it yet (net2wider of arXiv 1511.05641, with new features in the place of copies). What
    predictors know at first stays as it is, too. ModelError if the sizes do not fit.
    """
    _check_sizes(network, model)
    for name, layer in model.layers.items():
        fused = model.profile.fused if name.startswith("hidden") else None
        _copy(getattr(network, name), layer, fused)


def _check_sizes(network: Network, model: Model) -> None:
    own, other = network.profile, model.profile
    widths = {"width", "fused", "hidden"}
    grown = {name: getattr(own, name) for name in widths}
    alike = replace(other, name=own.name, adaptation=own.adaptation, **grown) == own
    if not alike or own.side or any(getattr(other, name) > grown[name] for name in widths):
        raise ModelError(
            f"a network of profile {own.name} cannot begin with these weights: all but width, "
            "fused and hidden has to be alike, none of those larger, and neither with SIC"
        )


def _copy(layer: IntegerLinear, known: Layer, fused: int | None) -> None:
    """fused: which of the inputs that the known layer sees are features that there may be more of.

    None: all of them are. The others stand last in both.
    """
    weight, bias = _floats(layer, known)
    rows, columns = weight.shape[1:]
    first = columns if fused is None else fused
    last = columns - first
    layer.weight[:, :rows] = 0
    layer.weight[:, :rows, :first] = weight[..., :first]
    layer.weight[:, :rows, layer.weight.shape[2] - last :] = weight[..., first:]
    layer.bias[:, :rows] = bias


def _floats(layer: IntegerLinear, known: Layer) -> tuple[Tensor, Tensor]:
    """Weight and bias as training has them; `codec.training.export` goes the other way."""
    bits = torch.from_numpy(known.shift).to(torch.float32) - layer.in_bits + layer.out_bits
    weight = torch.from_numpy(known.weight).to(torch.float32) * 2 ** -bits[..., None]
    bias = torch.from_numpy(known.bias).to(torch.float32) * 2 ** -(bits + layer.in_bits)
    return weight, bias
