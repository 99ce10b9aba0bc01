"""Models whose weights are drawn from SHAKE-256: any profile, the same on every machine.

They predict nothing, and need not: golden files ask only that decoders agree.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from seec.pipeline.codec import Model, load_model
from seec.pipeline.codec.model.profile import (
    CHANNELS,
    PAPER,
    Adaptation,
    Predictor,
    Profile,
    SideSizes,
)
from seec.pipeline.codec.model.tables import log_error_table, normal_table
from seec.pipeline.codec.model.transforms import shapes
from seec.pipeline.codec.model.weights import Layer, PredictorStart, layer_shapes, save_model

FOLDER = Path(__file__).parent
_SMALL = Profile(name="", width=16, fused=16, hidden=16, entropy_models=4, mixtures=2)

# Stored beside their golden files: many entropy models, SIC with and without attention, predictors
# that learn at every step and rarely, and output layers that adapt fast enough for small pictures.
STORED = {
    f"drawn-{p.name}": p
    for p in (
        replace(_SMALL, name="16", entropy_models=16),
        replace(_SMALL, name="one-component", mixtures=1),
        replace(_SMALL, name="sic", entropy_models=2, side=SideSizes(2, 4, 6)),
        replace(
            _SMALL,
            name="sic-attention",
            entropy_models=2,
            side=SideSizes(latents=2, features=4, transform=6, heads=2),
        ),
        replace(
            _SMALL,
            name="predictor",
            entropy_models=1,
            mixtures=3,
            predictors=(Predictor(taps=3, rows=5, every=1, sweeps=1, forget=2),),
        ),
        replace(
            _SMALL,
            name="predictors",
            entropy_models=3,
            mixtures=1,
            predictors=(
                Predictor(taps=12, rows=8, every=2),
                Predictor(taps=22, rows=16, every=4, sweeps=3, forget=4),
            ),
        ),
        replace(
            _SMALL,
            name="adaptation",
            entropy_models=2,
            mixtures=3,
            predictors=(Predictor(taps=4, rows=8),),
            adaptation=Adaptation(every=20, rate=40),
        ),
    )
}
# Drawn again for each test: all layers but the first learn, of as many predictors as there can be.
LEARNING = replace(
    _SMALL,
    name="learning",
    entropy_models=3,
    predictors=(
        Predictor(taps=4, rows=8),
        Predictor(taps=6, rows=16, every=4),
        Predictor(taps=3, rows=4, every=1, sweeps=1),
        Predictor(taps=3, rows=4, every=1, forget=2),
    ),
    adaptation=Adaptation(every=20, rate=10, hidden_rate=12, fusion_rate=7, means=1),
)
_LAST_LAYERS = {"output", "output_r", "output_g", "output_b"}


def draw_model(profile: Profile) -> bytes:
    """A model file of these sizes."""
    p = profile
    golden = _tensors("tiny")
    tables = {n.removeprefix("table."): v for n, v in golden.items() if n.startswith("table.")}
    layers = layer_shapes(p)
    if p.side:
        side, positions = shapes(p.side)
        layers |= {name: (1, *shape) for name, shape in side.items()}
        tables |= {n: _bytes(n, s).astype(np.int32) for n, s in positions.items()}
        tables["z"] = _bytes("z", (p.side.latents, 64)).astype(np.int32) + 129
        tables["normal"] = _stored_table("drawn-sic", "normal", normal_table)
    if p.predictors:
        tables["log_error"] = _stored_table("drawn-predictor", "log_error", log_error_table)
    drawn = {name: _layer(name, shape) for name, shape in layers.items()}
    starts = [_start(f"predictor_{n}", predictor) for n, predictor in enumerate(p.predictors)]
    return save_model(p, {"name": f"drawn-{p.name}"}, drawn, tables, starts)


# Too large to be stored: drawn again for each test.
UNSTORED = {PAPER.name: PAPER}


def unstored_model(name: str, model_id: str | None = None) -> Model:
    """A drawn model with the sizes of a profile.

    model_id: what golden files call it; how safetensors orders a file may change.
    """
    model = load_model(draw_model(UNSTORED[name]))
    return model if model_id is None else replace(model, id=model_id)


def _layer(name: str, shape: tuple[int, int, int]) -> Layer:
    """Weights in [-4, 3], shifted so that values keep about their size.

    The last layers' values are small: a sensible mixture, so that coding beats raw samples.
    """
    last = name in _LAST_LAYERS
    shift = round(np.log2(2.3 * shape[-1] ** 0.5)) + 6 * last
    bias = _bytes(f"{name}.bias", shape[:2]).astype(np.int32) >> 3 * last
    return Layer(
        (_bytes(f"{name}.weight", shape) & 7) - 4,
        bias << shift,
        np.full(shape[:2], shift, np.int32),
    )


def _start(name: str, p: Predictor) -> PredictorStart:
    """A prior such as some 16 pixels of similar neighbours would leave, and weights below 1/8."""
    size = p.regressors + CHANNELS
    factors = _bytes(f"{name}.prior", (size, 16)).astype(np.int32) >> 3
    prior = factors @ factors.T + 2000 + 1000 * np.eye(size, dtype=np.int32)
    start = _bytes(f"{name}.start", (CHANNELS, size - 1)).astype(np.int32) << 2
    for channel, row in enumerate(start):
        row[p.regressors + channel :] = 0
    return PredictorStart(prior.astype(np.int32), start)


def _bytes(name: str, shape: tuple[int, ...]) -> NDArray[np.int8]:
    drawn = hashlib.shake_256(name.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(drawn, np.int8).reshape(shape)


def _tensors(name: str) -> dict[str, NDArray]:
    return safetensors.numpy.load((FOLDER / f"{name}.safetensors").read_bytes())


def _stored_table(name: str, table: str, build: Callable[[], NDArray]) -> NDArray:
    """From a stored model if there is one, so that no floating point decides."""
    stored = FOLDER / f"{name}.safetensors"
    return _tensors(name)[f"table.{table}"] if stored.exists() else build()
