"""Models whose weights are drawn from SHAKE-256: any profile, the same on every machine.

They predict nothing, and need not: golden files ask only that decoders agree.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from pipeline.codec import Model, load_model
from pipeline.codec.profile import LITE_SIC, PAPER, Profile
from pipeline.codec.tables import normal_table
from pipeline.codec.transforms import shapes

FOLDER = Path(__file__).parent
_SMALL = {"width": 16, "fused": 16, "expert_hidden": 16}

# Stored beside their golden files: every number of classes, and SIC with and without attention.
STORED = {
    f"drawn-{p.name}": p
    for p in (
        *(Profile(name=f"experts-{n}", **_SMALL, experts=n, mixtures=2) for n in (1, 2, 8, 16)),
        Profile(name="one-component", **_SMALL, experts=4, mixtures=1),
        Profile(name="sic", **_SMALL, experts=2, mixtures=2, latents=2, features=4, transform=6),
        Profile(
            name="sic-attention",
            **_SMALL,
            experts=2,
            mixtures=2,
            latents=2,
            features=4,
            transform=6,
            heads=2,
        ),
    )
}


def draw_model(profile: Profile) -> bytes:
    """A model file of these sizes."""
    tensors = {
        name: value for name, value in _golden_tensors().items() if name.startswith("table.")
    }
    p = profile
    layers = {
        "context": (1, p.width, 72),
        "fusion": (1, p.fused, p.width + p.features),
        "expert_hidden": (p.experts, p.expert_hidden, p.fused),
        "expert_output": (p.experts, p.outputs, p.expert_hidden),
    }
    if p.latents:
        side, positions = shapes(p)
        layers |= {name: (1, *shape) for name, shape in side.items()}
        tensors |= {f"table.{n}": _bytes(n, s).astype(np.int32) for n, s in positions.items()}
        tensors["table.z"] = _bytes("z", (p.latents, 64)).astype(np.int32) + 129
        tensors["table.normal"] = _normal()
    for name, shape in layers.items():
        tensors |= _layer(name, shape)
    card = json.dumps({"name": f"drawn-{p.name}", "profile": p.as_dict()}, sort_keys=True)
    return safetensors.numpy.save(tensors, {"card": card})


# Too large to be stored: drawn again for each test.
UNSTORED = {p.name: p for p in (LITE_SIC, PAPER)}


def unstored_model(name: str, model_id: str | None = None) -> Model:
    """A drawn model with the sizes of a profile.

    model_id: what golden files call it; how safetensors orders a file may change.
    """
    model = load_model(draw_model(UNSTORED[name]))
    return model if model_id is None else replace(model, id=model_id)


def _layer(name: str, shape: tuple[int, int, int]) -> dict[str, NDArray]:
    """Weights in [-4, 3], shifted so that values keep about their size.

    The last layer's values are small: a sensible mixture, so that coding beats raw samples.
    """
    last = name == "expert_output"
    shift = round(np.log2(2.3 * shape[-1] ** 0.5)) + 6 * last
    bias = _bytes(f"{name}.bias", shape[:2]).astype(np.int32) >> 3 * last
    return {
        f"{name}.weight": (_bytes(f"{name}.weight", shape) & 7) - 4,
        f"{name}.bias": bias << shift,
        f"{name}.shift": np.full(shape[:2], shift, np.int32),
    }


def _bytes(name: str, shape: tuple[int, ...]) -> NDArray[np.int8]:
    drawn = hashlib.shake_256(name.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(drawn, np.int8).reshape(shape)


def _golden_tensors() -> dict[str, NDArray]:
    return safetensors.numpy.load((FOLDER / "tiny.safetensors").read_bytes())


def _normal() -> NDArray[np.int32]:
    """From a stored model if there is one, so that no floating point decides."""
    stored = FOLDER / "drawn-sic.safetensors"
    if not stored.exists():
        return normal_table()
    return safetensors.numpy.load(stored.read_bytes())["table.normal"]
