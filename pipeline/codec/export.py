"""A trained network to a model file of integers."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from pipeline.codec.networks import IntegerLinear, SeecNetwork, quantise_weight
from pipeline.codec.tables import build_tables
from pipeline.codec.weights import LAYERS, load_model


@torch.no_grad()
def export_model(network: SeecNetwork, card: Mapping[str, Any]) -> bytes:
    """The model file of a network: int8 weights, int32 biases and shifts, tables, card.

    Raises InexactWeights if the integers could leave the range that floats hold exactly.
    """
    tensors: dict[str, np.ndarray] = {}
    for name in LAYERS:
        layer = getattr(network, name)
        tensors |= {f"{name}.{part}": value for part, value in _integers(layer).items()}
    tensors |= {f"table.{name}": table for name, table in build_tables().items()}
    full_card = {**card, "profile": network.profile.as_dict()}
    payload = safetensors.numpy.save(tensors, {"card": json.dumps(full_card, sort_keys=True)})
    load_model(payload)
    return payload


def _integers(layer: IntegerLinear) -> dict[str, np.ndarray]:
    weight, bits = quantise_weight(layer.weight)
    bits = bits[..., 0]
    unit = 2 ** (bits + layer.in_bits)
    shift = bits + layer.in_bits - layer.out_bits
    return {
        "weight": weight.to(torch.int8).numpy(),
        "bias": (layer.bias * unit).round().to(torch.int32).numpy(),
        "shift": shift.to(torch.int32).numpy(),
    }
