"""Model files: integer weights and tables, checked so that no sum can leave 2^24.

A model file is a safetensors file whose metadata holds its card. Its id is the SHA-256 of
its bytes. Loading proves the bound that makes float carriers exact and refuses the rest.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from pipeline.codec.profile import (
    HIDDEN_LIMIT,
    INPUT_LIMIT,
    INPUTS,
    SCALE_COUNT,
    Profile,
)
from pipeline.codec.tables import (
    ACTIVITY_MAX,
    EXP_ENTRIES,
    LOGISTIC_NODES,
    LOGISTIC_ONE,
    Tables,
)
from schemas.errors import InexactWeights, ModelError

EXACT_LIMIT = 1 << 24
MAX_EXPERTS, MAX_MIXTURES, MAX_WIDTH = 16, 8, 512
LAYERS = ("context", "fusion", "expert_hidden", "expert_output")
Z_LIMIT = 31  # hyper-latents lie in [-31, 31]; their table has an entry more, which is not used
Z_VALUES = 64
POSITION_LIMIT = 1 << 12
_WIDTH_UNIT = 16
_TABLE_SIZES = {
    "reciprocal": 3 * ACTIVITY_MAX + 1,
    "log_activity": ACTIVITY_MAX + 1,
    "exp": EXP_ENTRIES,
    "logistic": LOGISTIC_NODES + 1,
    "inverse_scale": SCALE_COUNT,
    "reach": SCALE_COUNT,
}


@dataclass(frozen=True)
class Layer:
    """weight [groups, out, in] int8; bias and shift [groups, out] int32."""

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    shift: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Model:
    """A checked model.

    id: SHA-256 of the file, hex. payload: the file. card: what it is and how it was
    trained. layers and tables: what the integer decoder needs.
    """

    id: str
    payload: bytes
    profile: Profile
    card: Mapping[str, Any]
    layers: Mapping[str, Layer]
    tables: Tables

    @cached_property
    def short_id(self) -> bytes:
        """The first 8 bytes of the id, as `.seec` headers name a model."""
        return bytes.fromhex(self.id)[:8]


def load_model(payload: bytes) -> Model:
    """Parse and check a model file.

    Raises ModelError if it is not one, InexactWeights if a sum could leave 2^24.
    """
    try:
        tensors = safetensors.numpy.load(payload)
        header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
        card = json.loads(header["__metadata__"]["card"])
        profile = _profile(card["profile"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not a SEEC model file: {error}") from error
    _check_sizes(profile)
    side_layers, side_tables = _side_shapes(profile)
    layers = _take_layers(tensors, profile, side_layers)
    tables = _take_tables(tensors, side_tables)
    for name, layer in layers.items():
        _check_exact(name, layer)
    _check_tables(tables, profile)
    for name in side_tables:
        _check_side_table(name, tables[name])
    digest = hashlib.sha256(payload).hexdigest()
    return Model(digest, payload, profile, card, layers, tables)


def _profile(fields: Any) -> Profile:
    """ValueError, KeyError or TypeError unless these are the sizes of a profile."""
    fields = dict(fields)
    sizes = {name: value for name, value in fields.items() if name != "name"}
    if not all(type(value) is int for value in sizes.values()):
        raise ValueError("the sizes of a profile are whole numbers")
    return Profile(name=str(fields["name"]), **sizes)


def _check_sizes(p: Profile) -> None:
    widths = (p.width, p.fused, p.expert_hidden)
    if any(w % _WIDTH_UNIT or not _WIDTH_UNIT <= w <= MAX_WIDTH for w in widths):
        raise ModelError(f"layer widths {widths}: multiples of {_WIDTH_UNIT} up to {MAX_WIDTH}")
    if not (1 <= p.experts <= MAX_EXPERTS and 1 <= p.mixtures <= MAX_MIXTURES):
        raise ModelError(f"{p.experts} experts and {p.mixtures} mixtures are out of range")
    side = (p.latents, p.features, p.transform)
    if not (all(1 <= n <= MAX_WIDTH // 2 for n in side) or (not any(side) and not p.heads)):
        raise ModelError(f"latents, features and width {side} of SIC are out of range")
    if p.heads < 0 or (p.heads and p.transform % p.heads):
        raise ModelError(f"{p.heads} attention heads for a width of {p.transform}")


def _side_shapes(p: Profile) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, ...]]]:
    """Shapes of the layers and tables of SIC; none without it."""
    if not p.latents:
        return {}, {}
    # Only here, because a decoder of models without SIC gets by without torch.
    from pipeline.codec.transforms import shapes

    layers, positions = shapes(p)
    tables: dict[str, tuple[int, ...]] = dict(positions)
    return layers, tables | {"normal": (LOGISTIC_NODES + 1,), "z": (p.latents, Z_VALUES)}


def _take_layers(
    tensors: Mapping[str, NDArray[Any]], p: Profile, side: Mapping[str, tuple[int, int]]
) -> dict[str, Layer]:
    shapes = {
        "context": (1, p.width, INPUTS),
        "fusion": (1, p.fused, p.width + p.features),
        "expert_hidden": (p.experts, p.expert_hidden, p.fused),
        "expert_output": (p.experts, p.outputs, p.expert_hidden),
    } | {name: (1, *shape) for name, shape in side.items()}
    return {
        name: Layer(
            _take(tensors, f"{name}.weight", np.int8, shape),
            _take(tensors, f"{name}.bias", np.int32, shape[:2]),
            _take(tensors, f"{name}.shift", np.int32, shape[:2]),
        )
        for name, shape in shapes.items()
    }


def _take_tables(
    tensors: Mapping[str, NDArray[Any]], side: Mapping[str, tuple[int, ...]]
) -> Tables:
    shapes = {name: (size,) for name, size in _TABLE_SIZES.items()} | dict(side)
    return {
        name: _take(tensors, f"table.{name}", np.int32, shape) for name, shape in shapes.items()
    }


def _take(
    tensors: Mapping[str, NDArray[Any]], name: str, dtype: Any, shape: tuple[int, ...]
) -> NDArray[Any]:
    if name not in tensors:
        raise ModelError(f"the model file has no tensor {name}")
    tensor = tensors[name]
    if tensor.dtype != dtype or tensor.shape != shape:
        raise ModelError(f"{name} is {tensor.dtype}{tensor.shape} instead of {shape}")
    return np.ascontiguousarray(tensor)


def _check_exact(name: str, layer: Layer) -> None:
    """Every partial sum of a row must be an integer that float32 holds exactly."""
    largest = INPUT_LIMIT if name == "context" else HIDDEN_LIMIT
    if layer.shift.min() < 1 or layer.shift.max() > 23:
        raise InexactWeights(f"{name}: shifts lie in 1..23")
    reach = np.abs(layer.weight.astype(np.int64)).sum(-1) * largest
    reach += np.abs(layer.bias.astype(np.int64)) + (1 << (layer.shift.astype(np.int64) - 1))
    if reach.max() >= EXACT_LIMIT:
        group, row = np.unravel_index(reach.argmax(), reach.shape)
        raise InexactWeights(
            f"{name}, group {group}, row {row}: sums reach {reach.max()}, over {EXACT_LIMIT - 1}"
        )


def _check_side_table(name: str, table: NDArray[np.int32]) -> None:
    """Bounds under which latents can be coded and attention stays exact."""
    if name == "normal":
        _check_rises(name, table)
    elif name == "z":
        if table.min() < 1 or table.max() > EXACT_LIMIT // (2 * Z_VALUES):
            raise InexactWeights("table z leaves the frequencies that floats hold exactly")
    elif abs(table.astype(np.int64)).max() > POSITION_LIMIT:
        raise InexactWeights(f"table {name} leaves [-{POSITION_LIMIT}, {POSITION_LIMIT}]")


def _check_rises(name: str, nodes: NDArray[np.int32]) -> None:
    if nodes.min() < 0 or (np.diff(nodes) < 0).any() or nodes[-1] != LOGISTIC_ONE:
        raise InexactWeights(f"table {name} does not rise from 0 or more to {LOGISTIC_ONE}")


def _check_tables(t: Tables, profile: Profile) -> None:
    """Bounds under which the int32 arithmetic of the mixture cannot overflow."""
    ranges = {
        "reciprocal": (0, (2**31 - 2048) // 255 - 1),
        "log_activity": (-127 + 32, 127 + 32),
        "exp": (0, 255),
        "logistic": (0, LOGISTIC_ONE),
        "inverse_scale": (1, 2**31 - 1),
        "reach": (1, 2**31 - 1),
    }
    for name, (low, high) in ranges.items():
        if t[name].min() < low or t[name].max() > high:
            raise InexactWeights(f"table {name} leaves [{low}, {high}]")
    _check_rises("logistic", t["logistic"])
    if t["exp"][0] != 255:
        raise InexactWeights("table exp does not start with 255")
    if (t["reach"].astype(np.int64) * t["inverse_scale"]).max() >= 2**31:
        raise InexactWeights("tables reach and inverse_scale overflow together")
    if profile.mixtures * 255 * (LOGISTIC_ONE >> 2) + 1024 >= EXACT_LIMIT:
        raise InexactWeights("too many mixtures for exact frequencies")
