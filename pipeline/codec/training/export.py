"""A trained network to a model file of integers."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Mapping
from typing import Any

import torch

from seec.pipeline.codec.model.tables import build_tables, log_error_table
from seec.pipeline.codec.model.weights import Layer, save_model
from seec.pipeline.codec.training.networks import AdaptiveNetwork, SeecNetwork
from seec.pipeline.codec.training.quantised import IntegerLinear, quantise_weight


@torch.no_grad()
def export_model(network: SeecNetwork | AdaptiveNetwork, card: Mapping[str, Any]) -> bytes:
    """The model file of a network: int8 weights, int32 biases and shifts, tables, card.

    Raises InexactWeights if the integers could leave the range that floats hold exactly.
    """
    parts = network.named_children()
    layers = {name: _integers(part) for name, part in parts if isinstance(part, IntegerLinear)}
    tables = build_tables()
    if isinstance(network, AdaptiveNetwork):
        tables["log_error"] = log_error_table()
        return save_model(network.profile, card, layers, tables, network.starts())
    if network.side is not None:
        layers |= {name: _integers(layer) for name, layer in network.side.layers()}
        tables |= network.side.tables()
    return save_model(network.profile, card, layers, tables)


def _integers(layer: IntegerLinear) -> Layer:
    weight, bits = quantise_weight(layer.weight.cpu())
    bits = bits[..., 0]
    unit = 2 ** (bits + layer.in_bits)
    shift = bits + layer.in_bits - layer.out_bits
    return Layer(
        weight.to(torch.int8).numpy(),
        (layer.bias.cpu() * unit).round().to(torch.int32).numpy(),
        shift.to(torch.int32).numpy(),
    )
