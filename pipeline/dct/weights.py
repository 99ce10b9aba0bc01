"""Model files of the coefficient coder: what its contexts know before a file begins.

A model file is a zstandard frame of a safetensors file whose metadata holds its card. Its id is
the SHA-256 of its bytes. Loading proves the bounds that keep every sum in 32 bits.
"""

# safetensors' and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import safetensors.numpy
import zstandard
from numpy.typing import NDArray
from safetensors import SafetensorError

from seec.pipeline.dct import _dct
from seec.schemas.errors import ModelError
from seec.schemas.json_text import parse_json

CLASSES, LINES, NODES, SETS, LANES = 2, 48648, 10, 1066, 16
SOURCES, POSITIONS = 320, 64
LAYERS = ("first", "second", "third")
# Of luma.ac instead: a trunk, which is run once for a block, and a head for each coefficient.
TRUNK_LAYERS = (
    "trunk_first",
    "trunk_second",
    "share",
    "head_first",
    "head_second",
    "head_third",
)
# Luma's networks, then chroma's.
NETWORKS = tuple(f"{c}.{kind}" for c in ("luma", "chroma") for kind in ("last", "dc", "ac"))
FEATURES, WIDEST = 96, _dct.WIDEST
# Bytes that a trunk sees of a block, and a head beside FEATURES; numbers that a trunk hands to each
# position; outputs of a head.
TRUNK, EXTRAS, SHARED, HEAD_OUTPUTS = _dct.TRUNK, _dct.EXTRAS, _dct.SHARED, _dct.VALUE_OUTPUTS
# Of `slots`: one that begins knowing nothing; of others the decisions that each remembers.
UNUSED, START_COUNT = -128, 30
PREDICTORS = (NODES, 8, 6)
WEIGHT_UNIT = 256
# Layers that may have biases for each position.
_BY_POSITION = ("first", "third", "head_first", "head_third")
_OUTPUTS = {"last": 64, "dc": 16, "ac": 16}
SUM_LIMIT, _BIAS_LIMIT = (1 << 19) - 1, 1 << 29
_LARGEST = 1 << 25  # bytes of a model file without compression
_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Layer:
    """weight [out, in] int8; bias [1 or 64, out] int32, where 64 one for each position."""

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class DctModel:
    """A checked model.

    id: SHA-256 of the file, hex. payload: the file. slots: [2, lines, nodes] int8, probabilities
    of a 1 as ln(p / (1 - p)) in 1/2, or UNUSED. weights: [2, sets, lanes] int16 with 14 fractional
    bits. linear: [2, 2, sources, positions] int16, of coefficients and of their magnitudes, 13
    fractional bits. networks: layers of LAYERS each, luma.ac those of TRUNK_LAYERS where it has a
    trunk; or none.
    """

    id: str
    payload: bytes
    card: Mapping[str, Any]
    slots: NDArray[np.int8]
    weights: NDArray[np.int16]
    linear: NDArray[np.int16]
    networks: Mapping[str, tuple[Layer, ...]]
    learning: int

    @cached_property
    def short_id(self) -> bytes:
        """The first 8 bytes of the id, as coded files name a model."""
        return bytes.fromhex(self.id)[:8]


def is_dct_model(payload: bytes) -> bool:
    """Whether the bytes begin as a model file of the coefficient coder does."""
    return payload.startswith(_MAGIC)


def load_model(payload: bytes) -> DctModel:
    """Parse and check a model file; ModelError if it is not one or a sum could overflow."""
    try:
        if zstandard.frame_content_size(payload) not in range(1, _LARGEST):
            raise ModelError("a coefficient model of a strange size")
        plain = zstandard.ZstdDecompressor().decompress(payload)
        tensors = safetensors.numpy.load(plain)
        header = parse_json(plain[8 : 8 + int.from_bytes(plain[:8], "little")])
        card = parse_json(header["__metadata__"]["card"])
        learning = int(card["learning"])
    except (SafetensorError, zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not a model of DCT coefficients: {error}") from error
    if not 3 <= learning <= 8:
        raise ModelError(f"a coefficient model that learns by {learning}")
    slots = _take_slots(tensors)
    weights = _take(tensors, "weights", np.int8, (CLASSES, SETS, LANES)) * np.int16(WEIGHT_UNIT)
    linear = _take(tensors, "linear", np.int16, (CLASSES, 2, SOURCES, POSITIONS))
    if np.abs(linear.astype(np.int64)).sum(2).max() > SUM_LIMIT:
        raise ModelError("linear predictions of a coefficient model could overflow")
    names = NETWORKS if _weight(NETWORKS[0], LAYERS[0]) in tensors else ()
    networks = {name: _take_network(tensors, name) for name in names}
    if tensors:
        raise ModelError(f"a coefficient model with more than it needs: {', '.join(tensors)}")
    digest = hashlib.sha256(payload).hexdigest()
    return DctModel(digest, payload, card, slots, weights, linear, networks, learning)


def save_model(
    card: Mapping[str, Any],
    slots: NDArray[np.int8],
    predictors: NDArray[np.int16],
    weights: NDArray[np.int16],
    linear: NDArray[np.int16],
    networks: Mapping[str, tuple[Layer, ...]],
) -> DctModel:
    """A model file of these parts, loaded and checked.

    predictors: PREDICTORS int16, by which slots are told from their neighbours; 8 fractional bits.
    weights: multiples of WEIGHT_UNIT.
    """
    if slots.shape != (CLASSES, LINES, NODES) or predictors.shape != PREDICTORS:
        raise ModelError("a coefficient model whose slots are of another shape")
    coded = _dct.encode_slots(predictors, np.ascontiguousarray(slots))
    tensors: dict[str, NDArray[Any]] = {
        "slots": np.frombuffer(coded, np.uint8),
        "predictors": predictors,
        "weights": (weights // WEIGHT_UNIT).astype(np.int8),
        "linear": linear,
    }
    for name, layers in networks.items():
        parts = TRUNK_LAYERS if len(layers) == len(TRUNK_LAYERS) else LAYERS
        for part, layer in zip(parts, layers, strict=True):
            tensors[_weight(name, part)] = layer.weight
            tensors[f"{name}.{part}.bias"] = layer.bias
    tensors = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
    plain = safetensors.numpy.save(tensors, {"card": json.dumps(dict(card), sort_keys=True)})
    return load_model(zstandard.ZstdCompressor(level=22).compress(plain))


def _take_slots(tensors: dict[str, NDArray[Any]]) -> NDArray[np.int8]:
    predictors = _take(tensors, "predictors", np.int16, PREDICTORS)
    coded = tensors.pop("slots", None)
    slots = np.zeros((CLASSES, LINES, NODES), np.int8)
    if coded is None or coded.dtype != np.uint8 or coded.ndim != 1:
        raise ModelError("a coefficient model without slots")
    if not _dct.decode_slots(predictors, slots, coded):
        raise ModelError("a coefficient model whose slots no writer wrote")
    return slots


def _take(
    tensors: dict[str, NDArray[Any]], name: str, dtype: type[np.generic], shape: tuple[int, ...]
) -> NDArray[Any]:
    tensor = tensors.pop(name, None)
    if tensor is None or tensor.dtype != dtype or tensor.shape != shape:
        raise ModelError(f"a coefficient model whose {name} is missing or of another shape")
    return tensor


def _take_network(tensors: dict[str, NDArray[Any]], name: str) -> tuple[Layer, ...]:
    if name == "luma.ac" and _weight(name, TRUNK_LAYERS[0]) in tensors:
        trunk, head = TRUNK_LAYERS[:3], TRUNK_LAYERS[3:]
        seen = FEATURES + EXTRAS + SHARED + 2 * POSITIONS
        shared = _take_layers(tensors, name, trunk, TRUNK, SHARED * POSITIONS)
        return *shared, *_take_layers(tensors, name, head, seen, HEAD_OUTPUTS)
    return _take_layers(tensors, name, LAYERS, FEATURES, _OUTPUTS[name.partition(".")[2]])


def _take_layers(
    tensors: dict[str, NDArray[Any]], name: str, parts: Sequence[str], inputs: int, wanted: int
) -> tuple[Layer, ...]:
    """Three layers from so many inputs to so many outputs."""
    layers: list[Layer] = []
    for part in parts:
        weight = tensors.pop(_weight(name, part), None)
        bias = tensors.pop(f"{name}.{part}.bias", None)
        if weight is None or bias is None or weight.ndim != 2 or weight.dtype != np.int8:
            raise ModelError(f"a coefficient model without {name}.{part}")
        outputs = len(weight)
        if (
            weight.shape[1] != inputs
            or outputs % 16
            or (outputs != wanted if part == parts[-1] else not 16 <= outputs <= WIDEST)
            or bias.dtype != np.int32
            or bias.shape not in ((1, outputs), (POSITIONS, outputs))
        ):
            raise ModelError(f"a coefficient model whose {name}.{part} is of another shape")
        if len(bias) != 1 and part not in _BY_POSITION:
            raise ModelError(f"a coefficient model whose {name}.{part} has biases by position")
        if np.abs(bias.astype(np.int64)).max() > _BIAS_LIMIT:
            raise ModelError(f"a coefficient model whose {name}.{part} could overflow")
        layers.append(Layer(weight, bias))
        inputs = outputs
    return tuple(layers)


def _weight(name: str, part: str) -> str:
    return f"{name}.{part}.weight"
