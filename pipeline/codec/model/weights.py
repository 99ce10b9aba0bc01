"""Model files: integer weights and tables, checked so that no sum can be inexact.

A model file is a safetensors file whose metadata holds its card. Its id is the SHA-256 of
its bytes. Loading proves the bounds that make float carriers exact (bounds.py) and refuses the
rest.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from seec.pipeline.codec.model.bounds import (
    Z_VALUES,
    check_layer,
    check_predictor,
    check_side_table,
    check_tables,
)
from seec.pipeline.codec.model.profile import (
    CHANNELS,
    SCALE_COUNT,
    TAPS,
    Adaptation,
    Predictor,
    Profile,
    SideSizes,
)
from seec.pipeline.codec.model.tables import (
    ACTIVITY_MAX,
    ERROR_MAX,
    EXP_ENTRIES,
    LOGISTIC_NODES,
    Tables,
)
from seec.schemas.errors import ModelError
from seec.schemas.json_text import parse_json
from seec.schemas.limits import MAX_TILE

MAX_ENTROPY_MODELS, MAX_MIXTURES, MAX_WIDTH, MAX_PREDICTORS = 16, 8, 512, 4
LAYERS = ("context", "fusion", "hidden", "output")
Z_LIMIT = 31  # hyper-latents lie in [-31, 31]; their table has an entry more, which is not used
_LEAST_TAPS, _MAX_STRIDE, _MAX_SWEEPS, _MAX_FORGET = 3, 64, 16, 15
# Gradients of so many pixels and those of a step of the largest tile add up to less than 2^31.
MAX_ADAPTATION_EVERY, _MAX_RATE = 4096, 255
TILE, DEEP_TILE = 512, 1024
# Where hidden layers learn, 511 x 2047 for each of them.
MAX_DEEP_EVERY, MAX_DEEP_TILE = 1024, 2048  # half of both with memory
# Gradients of so many hidden features, 511 x 127 for each, add up to less than 2^24.
_MAX_DEEP_HIDDEN = 256
_MAX_LEARNT = 1 << 19  # of which each tile of a group has its own
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


@dataclass(frozen=True)
class PredictorStart:
    """What a predictor knows before it has seen a pixel.

    prior: [T + 3, T + 3] int32, sums of products of its numbers, as if it had seen some pixels.
    start: [3, T + 2] int32, weights of each channel for the first strip of a tile, 12 fractional
    bits; channel c has T + c of them and zeros behind.
    """

    prior: NDArray[np.int32]
    start: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Model:
    """A checked model.

    id: SHA-256 of the file, hex. payload: the file. card: what it is and how it was
    trained. layers, tables and starts (one for each predictor): what the integer decoder needs.
    """

    id: str
    payload: bytes
    profile: Profile
    card: Mapping[str, Any]
    layers: Mapping[str, Layer]
    tables: Tables
    starts: tuple[PredictorStart, ...] = ()

    @property
    def usual_tile(self) -> int:
        """Edge of the tiles that images are cut into: larger with hidden-layer adaptation."""
        return DEEP_TILE if self.profile.learns_deeply else TILE

    @property
    def largest_tile(self) -> int:
        """Edge of the largest tiles that it codes, so that gradient sums stay below 2^31."""
        adaptation = self.profile.adaptation
        return MAX_DEEP_TILE >> adaptation.memory if adaptation and adaptation.deep else MAX_TILE

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
        header = parse_json(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
        card = parse_json(header["__metadata__"]["card"])
        profile = _profile(card["profile"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not a SEEC model file: {error}") from error
    _check_sizes(profile)
    side_layers, side_tables = _side_shapes(profile)
    layers = _take_layers(tensors, layer_shapes(profile) | side_layers)
    tables = _take_tables(tensors, profile, side_tables)
    starts = _take_starts(tensors, profile)
    for name, layer in layers.items():
        check_layer(name, layer.weight, layer.bias, layer.shift)
    check_tables(tables, profile)
    for name in side_tables:
        check_side_table(name, tables[name])
    for number, (predictor, start) in enumerate(zip(profile.predictors, starts, strict=True)):
        check_predictor(f"predictor {number}", predictor, start.prior, start.start)
    digest = hashlib.sha256(payload).hexdigest()
    return Model(digest, payload, profile, card, layers, tables, starts)


def save_model(
    profile: Profile,
    card: Mapping[str, Any],
    layers: Mapping[str, Layer],
    tables: Tables,
    starts: Sequence[PredictorStart] = (),
) -> bytes:
    """The model file of these integers, checked; the card gets the profile.

    Raises ModelError if tensors are missing or misshapen, InexactWeights as `load_model`.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for name, layer in layers.items():
        tensors |= {
            f"{name}.weight": layer.weight,
            f"{name}.bias": layer.bias,
            f"{name}.shift": layer.shift,
        }
    tensors |= {f"table.{name}": table for name, table in tables.items()}
    for number, start in enumerate(starts):
        tensors |= {
            f"predictor_{number}_prior": start.prior,
            f"predictor_{number}_start": start.start,
        }
    full_card = {**card, "profile": profile.as_dict()}
    payload = safetensors.numpy.save(tensors, {"card": json.dumps(full_card, sort_keys=True)})
    load_model(payload)
    return payload


def _profile(fields: Any) -> Profile:
    """ValueError, KeyError or TypeError unless these are the sizes of a profile."""
    fields = dict(fields)
    name, predictors = fields.pop("name"), fields.pop("predictors", [])
    adaptation = fields.pop("adaptation", None)
    parts = predictors if adaptation is None else [*predictors, adaptation]
    if not all(type(n) is int for sizes in (fields, *parts) for n in dict(sizes).values()):
        raise ValueError("the sizes of a profile are whole numbers")
    side = SideSizes(**{size: fields.pop(size, 0) for size in SideSizes.__dataclass_fields__})
    return Profile(
        name=str(name),
        side=side if any(asdict(side).values()) else None,
        predictors=tuple(Predictor(**p) for p in predictors),
        adaptation=None if adaptation is None else Adaptation(**adaptation),
        **fields,
    )


def _check_sizes(p: Profile) -> None:
    widths = (p.width, p.fused, p.hidden)
    if any(w % _WIDTH_UNIT or not _WIDTH_UNIT <= w <= MAX_WIDTH for w in widths):
        raise ModelError(f"layer widths {widths}: multiples of {_WIDTH_UNIT} up to {MAX_WIDTH}")
    if not (1 <= p.entropy_models <= MAX_ENTROPY_MODELS and 1 <= p.mixtures <= MAX_MIXTURES):
        raise ModelError(
            f"{p.entropy_models} entropy models and {p.mixtures} mixtures are out of range"
        )
    if p.side:
        _check_side_sizes(p.side)
    if len(p.predictors) > MAX_PREDICTORS:
        raise ModelError(f"{len(p.predictors)} predictors")
    if p.predictors and p.side:
        raise ModelError(f"{len(p.predictors)} predictors with {p.side.latents} latents")
    for predictor in p.predictors:
        _check_predictor_sizes(predictor)
    if p.adaptation:
        _check_adaptation(p, p.adaptation)


def _check_side_sizes(side: SideSizes) -> None:
    sizes = (side.latents, side.features, side.transform)
    if not all(1 <= n <= MAX_WIDTH // 2 for n in sizes):
        raise ModelError(f"latents, features and width {sizes} of SIC are out of range")
    if side.heads < 0 or (side.heads and side.transform % side.heads):
        raise ModelError(f"{side.heads} attention heads for a width of {side.transform}")


def _check_predictor_sizes(p: Predictor) -> None:
    strides = 1 <= p.rows <= _MAX_STRIDE and 1 <= p.every <= _MAX_STRIDE
    learning = 1 <= p.sweeps <= _MAX_SWEEPS and 1 <= p.forget <= _MAX_FORGET
    # A column of pixels has one in every other step: an odd stride would miss some of them.
    regular = p.every == 1 or p.every % 2 == 0
    if not (_LEAST_TAPS <= p.taps <= len(TAPS) and strides and learning and regular):
        raise ModelError(f"{p} is out of range")


def _check_adaptation(p: Profile, adaptation: Adaptation) -> None:
    if not (1 <= adaptation.every <= MAX_ADAPTATION_EVERY and 1 <= adaptation.rate <= _MAX_RATE):
        raise ModelError(f"{adaptation} is out of range")
    rates, switches = (
        (adaptation.hidden_rate, adaptation.fusion_rate),
        (adaptation.means, adaptation.memory),
    )
    if any(not 0 <= rate <= _MAX_RATE for rate in rates):
        raise ModelError(f"{adaptation} is out of range")
    if any(not 0 <= switch <= adaptation.deep for switch in switches):
        raise ModelError(f"{adaptation} is out of range")
    if adaptation.deep and adaptation.every > MAX_DEEP_EVERY >> adaptation.memory:
        raise ModelError(f"{adaptation} is out of range where hidden layers learn")
    if adaptation.deep and p.hidden > _MAX_DEEP_HIDDEN:
        raise ModelError(
            f"{p.hidden} hidden features where they learn, more than {_MAX_DEEP_HIDDEN}"
        )
    learnt = p.fused * (p.width + CHANNELS * p.hidden * p.entropy_models)
    if adaptation.deep and learnt > _MAX_LEARNT:
        raise ModelError(f"{learnt} weights learn in each tile, more than {_MAX_LEARNT}")
    if not p.predictors:
        raise ModelError("adaptation of a network without predictors")


def layer_shapes(p: Profile) -> dict[str, tuple[int, int, int]]:
    """Groups, outputs and inputs of each layer but those of SIC."""
    shapes = {
        "context": (1, p.width, p.inputs),
        "fusion": (1, p.fused, p.width + p.features),
    }
    if not p.predictors:
        return shapes | {
            "hidden": (p.entropy_models, p.hidden, p.fused),
            "output": (p.entropy_models, p.outputs, p.hidden),
        }
    for name, heads, outputs in zip("rgb", p.head_inputs, p.channel_outputs, strict=True):
        shapes[f"hidden_{name}"] = (p.entropy_models, p.hidden, p.fused + heads)
        shapes[f"output_{name}"] = (p.entropy_models, outputs, p.hidden)
    return shapes


def _side_shapes(
    p: Profile,
) -> tuple[dict[str, tuple[int, int, int]], dict[str, tuple[int, ...]]]:
    """Shapes of the layers and tables of SIC; none without it."""
    if p.side is None:
        return {}, {}
    # Only here, because a decoder of models without SIC gets by without torch.
    from seec.pipeline.codec.model.transforms import shapes

    layers, positions = shapes(p.side)
    tables: dict[str, tuple[int, ...]] = dict(positions)
    return (
        {name: (1, *shape) for name, shape in layers.items()},
        tables | {"normal": (LOGISTIC_NODES + 1,), "z": (p.side.latents, Z_VALUES)},
    )


def _take_layers(
    tensors: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Layer]:
    return {
        name: Layer(
            _take(tensors, f"{name}.weight", np.int8, shape),
            _take(tensors, f"{name}.bias", np.int32, shape[:2]),
            _take(tensors, f"{name}.shift", np.int32, shape[:2]),
        )
        for name, shape in shapes.items()
    }


def _take_tables(
    tensors: Mapping[str, NDArray[Any]], p: Profile, side: Mapping[str, tuple[int, ...]]
) -> Tables:
    shapes = {name: (size,) for name, size in _TABLE_SIZES.items()} | dict(side)
    if p.predictors:
        shapes["log_error"] = (ERROR_MAX + 1,)
    return {
        name: _take(tensors, f"table.{name}", np.int32, shape) for name, shape in shapes.items()
    }


def _take_starts(tensors: Mapping[str, NDArray[Any]], p: Profile) -> tuple[PredictorStart, ...]:
    starts: list[PredictorStart] = []
    for number, predictor in enumerate(p.predictors):
        known = predictor.regressors
        square, weights = (known + CHANNELS,) * 2, (CHANNELS, known + CHANNELS - 1)
        prior = _take(tensors, f"predictor_{number}_prior", np.int32, square)
        start = _take(tensors, f"predictor_{number}_start", np.int32, weights)
        starts.append(PredictorStart(prior, start))
    return tuple(starts)


def _take(
    tensors: Mapping[str, NDArray[Any]], name: str, dtype: Any, shape: tuple[int, ...]
) -> NDArray[Any]:
    if name not in tensors:
        raise ModelError(f"the model file has no tensor {name}")
    tensor = tensors[name]
    if tensor.dtype != dtype or tensor.shape != shape:
        raise ModelError(f"{name} is {tensor.dtype}{tensor.shape} instead of {shape}")
    return np.ascontiguousarray(tensor)
