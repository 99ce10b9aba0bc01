"""Model files that lie are refused before they are used."""

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from seec.pipeline.codec import Model, load_model
from seec.pipeline.codec.model.profile import SideSizes
from seec.pipeline.codec.model.weights import save_model
from seec.schemas.errors import InexactWeights, ModelError
from tests.vectors.drawn import FOLDER


@pytest.fixture(scope="module")
def adaptive_model() -> Model:
    """A model with two predictors, drawn from a hash."""
    return load_model((FOLDER / "drawn-predictors.safetensors").read_bytes())


def rebuilt(model: Model, **changes: np.ndarray | None) -> bytes:
    """The model file with some tensors replaced (`__` for `.`), or left out (None)."""
    tensors = safetensors.numpy.load(model.payload)
    for name, value in changes.items():
        tensors.pop(name.replace("__", "."))
        if value is not None:
            tensors[name.replace("__", ".")] = value
    return safetensors.numpy.save(tensors, {"card": json.dumps(dict(model.card))})


def test_a_rebuilt_model_loads(golden_model):
    load_model(rebuilt(golden_model))


@pytest.mark.parametrize("length", [0, 7, 8, 100])
def test_truncated_models_are_refused(golden_model, length):
    with pytest.raises(ModelError):
        load_model(golden_model.payload[:length])


def test_rows_that_could_leave_the_exact_range_are_refused(golden_model):
    layer = golden_model.layers["fusion"]
    bias = layer.bias.copy()
    bias[0, 0] = (1 << 24) - 1
    with pytest.raises(InexactWeights, match="fusion, group 0, row 0"):
        load_model(rebuilt(golden_model, fusion__bias=bias))
    with pytest.raises(InexactWeights, match="shifts"):
        load_model(rebuilt(golden_model, fusion__shift=np.zeros_like(layer.shift)))


@pytest.mark.parametrize(
    ("table", "index", "value"),
    [
        ("logistic", 5, 32768),
        ("logistic", 512, 5),
        ("exp", 3, 256),
        ("exp", 0, 0),
        ("inverse_scale", 0, 2**31 - 1),
        ("reach", 0, 0),
        ("reciprocal", 0, 2**30),
        ("log_activity", 0, 1000),
    ],
)
def test_tables_that_could_overflow_are_refused(golden_model, table, index, value):
    changed = golden_model.tables[table].copy()
    changed[index] = value
    with pytest.raises(InexactWeights, match=table):
        load_model(rebuilt(golden_model, **{f"table__{table}": changed}))


@pytest.mark.parametrize(
    "card",
    [
        {},
        [],
        {"profile": "lite"},
        {"profile": {"name": "x", "width": 16}},
    ],
)
def test_cards_that_make_no_sense_are_refused(golden_model, card):
    tensors = safetensors.numpy.load(golden_model.payload)
    with pytest.raises(ModelError):
        load_model(safetensors.numpy.save(tensors, {"card": json.dumps(card)}))


@pytest.mark.parametrize(
    ("size", "value"),
    [
        ("width", "wide"),
        ("width", 16.0),
        ("width", 1 << 40),
        ("depth", 3),
        ("entropy_models", 0),
        ("mixtures", -1),
        ("predictors", 2),
        ("predictors", [{"taps": 2.5}]),
        ("predictors", [{"reach": 3}]),
        ("predictors", [{"taps": 2}]),
        ("predictors", [{"taps": 23}]),
        ("predictors", [{"taps": 12, "every": 0}]),
        ("predictors", [{"taps": 12, "sweeps": 1 << 20}]),
        ("predictors", [{"taps": 12, "forget": 31}]),
        ("predictors", 3 * [{"taps": 12}]),
    ],
)
def test_sizes_out_of_range_are_refused(golden_model, size, value):
    tensors = safetensors.numpy.load(golden_model.payload)
    card = {"profile": golden_model.card["profile"] | {size: value}}
    with pytest.raises(ModelError):
        load_model(safetensors.numpy.save(tensors, {"card": json.dumps(card)}))


def test_missing_and_misshapen_tensors_are_named(golden_model):
    with pytest.raises(ModelError, match="no tensor table"):
        load_model(rebuilt(golden_model, table__exp=None))
    with pytest.raises(ModelError, match="context"):
        load_model(rebuilt(golden_model, context__weight=np.zeros((1, 2, 3), np.int8)))


def test_predictors_that_could_overflow_are_refused(adaptive_model):
    load_model(rebuilt(adaptive_model))
    prior = adaptive_model.starts[0].prior
    for row, column, value in ((0, 0, 2**30), (0, 0, -1), (0, 0, -(2**31)), (3, 4, 1)):
        changed = prior.copy()
        changed[row, column] = value
        with pytest.raises(InexactWeights, match="predictor 0"):
            load_model(rebuilt(adaptive_model, predictor_0_prior=changed))
    start = adaptive_model.starts[1].start
    for row, column, value in ((0, 0, 32768), (0, 0, -(2**31)), (0, -1, 1), (1, -1, 1)):
        changed = start.copy()
        changed[row, column] = value
        with pytest.raises(InexactWeights, match="predictor 1"):
            load_model(rebuilt(adaptive_model, predictor_1_start=changed))


def test_strips_that_could_overflow_are_refused(adaptive_model):
    with pytest.raises(InexactWeights, match="predictor 0: sums"):
        save_with_strips(adaptive_model, rows=64, every=64, forget=4)


@pytest.mark.parametrize("size", [{"rows": 65}, {"rows": 0}, {"every": 66}, {"every": 3}])
def test_strips_and_updates_of_other_sizes_are_refused(adaptive_model, size):
    with pytest.raises(ModelError, match="out of range"):
        save_with_strips(adaptive_model, **size)


def save_with_strips(m, **sizes):
    """Save a model whose first predictor has other sizes."""
    first, second = m.profile.predictors
    profile = replace(m.profile, predictors=(replace(first, **sizes), second))
    save_model(profile, m.card, m.layers, m.tables, m.starts)


def test_predictors_without_what_they_need_are_refused(adaptive_model):
    with pytest.raises(ModelError, match="no tensor predictor_1_prior"):
        load_model(rebuilt(adaptive_model, predictor_1_prior=None))
    with pytest.raises(ModelError, match="predictor_0_start"):
        load_model(rebuilt(adaptive_model, predictor_0_start=np.zeros((3, 3), np.int32)))
    with pytest.raises(ModelError, match="no tensor table"):
        load_model(rebuilt(adaptive_model, table__log_error=None))
    with pytest.raises(InexactWeights, match="log_error"):
        load_model(rebuilt(adaptive_model, table__log_error=np.full(6121, 160, np.int32)))
    m = adaptive_model
    both = replace(m.profile, side=SideSizes(latents=3, features=4, transform=4))
    with pytest.raises(ModelError, match="2 predictors with 3 latents"):
        save_model(both, m.card, m.layers, m.tables, m.starts)
