"""A trained network to a model file of integers."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from pipeline.codec.networks import SeecNetwork
from pipeline.codec.quantised import IntegerLinear, quantise_weight
from pipeline.codec.tables import build_tables
from pipeline.codec.weights import LAYERS, load_model


@torch.no_grad()
def export_model(network: SeecNetwork, card: Mapping[str, Any]) -> bytes:
    """The model file of a network: int8 weights, int32 biases and shifts, tables, card.

    Raises InexactWeights if the integers could leave the range that floats hold exactly.
    """
    tensors: dict[str, np.ndarray] = {}
    for name in LAYERS:
        tensors |= _integers(name, getattr(network, name))
    tables = build_tables()
    if network.side is not None:
        for name, layer in network.side.layers():
            tensors |= _integers(name, layer)
        tables |= network.side.tables()
    tensors |= {f"table.{name}": table for name, table in tables.items()}
    full_card = {**card, "profile": network.profile.as_dict()}
    payload = safetensors.numpy.save(tensors, {"card": json.dumps(full_card, sort_keys=True)})
    load_model(payload)
    return payload


def _integers(name: str, layer: IntegerLinear) -> dict[str, np.ndarray]:
    weight, bits = quantise_weight(layer.weight.cpu())
    bits = bits[..., 0]
    unit = 2 ** (bits + layer.in_bits)
    shift = bits + layer.in_bits - layer.out_bits
    return {
        f"{name}.weight": weight.to(torch.int8).numpy(),
        f"{name}.bias": (layer.bias.cpu() * unit).round().to(torch.int32).numpy(),
        f"{name}.shift": shift.to(torch.int32).numpy(),
    }
