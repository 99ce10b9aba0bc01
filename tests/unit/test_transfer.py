"""What a run that begins with a model promises: to say what it says, and to go on from there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from seec.jobs import train
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.codec import Model, load_model, packaged_model
from seec.pipeline.codec.model.profile import LITE_SIC, Predictor, Profile
from seec.pipeline.codec.model.weights import Layer
from seec.pipeline.codec.training.export import export_model
from seec.pipeline.codec.training.networks import AdaptiveNetwork, SeecNetwork
from seec.pipeline.lab.training.adaptive import AdaptiveData
from seec.pipeline.lab.training.entropy_models import Network
from seec.pipeline.lab.training.loop import Trainer, TrainingSettings
from seec.pipeline.lab.training.transfer import take_over
from seec.pipeline.segmentation.rate import RateSegmenter
from seec.schemas.errors import ModelError
from tests.pictures import textured
from tests.vectors.drawn import draw_model

WITHOUT_PREDICTORS = Profile(
    name="small", width=16, fused=32, hidden=16, entropy_models=2, mixtures=2
)
ADAPTIVE = replace(WITHOUT_PREDICTORS, predictors=(Predictor(4), Predictor(3, rows=8)))

# The reference that follows predictors is slow: one that hardly moves does for runs.
QUICK = replace(WITHOUT_PREDICTORS, predictors=(Predictor(3, every=64, sweeps=1),))


def network_of(profile: Profile, model: Model) -> Network:
    if profile.predictors:
        return AdaptiveNetwork(profile, model.starts)
    return SeecNetwork(profile)


def real(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight and bias; a row with a bit more than it needs is the same row."""
    unit = 0.5**layer.shift
    return layer.weight * unit[..., None], layer.bias * unit


@pytest.mark.parametrize("name", ["fast", "lite", "max"])
def test_the_weights_of_a_model_come_back_from_a_network_that_took_them(name: str):
    model = packaged_model(name)
    network = network_of(model.profile, model)
    take_over(network, model)
    again = load_model(export_model(network, {}))
    for name, known in model.layers.items():
        layer = again.layers[name]
        for ours, theirs in zip(real(layer), real(known), strict=True):
            np.testing.assert_array_equal(ours, theirs, name)


@pytest.mark.parametrize("profile", [WITHOUT_PREDICTORS, ADAPTIVE])
@pytest.mark.parametrize(
    "wider", [{}, {"width": 32}, {"fused": 64}, {"hidden": 32}, {"width": 48, "fused": 48}]
)
@torch.no_grad()
def test_a_wider_network_says_what_the_model_says(profile: Profile, wider: dict[str, Any]):
    model = load_model(draw_model(profile))
    narrow = network_of(profile, model)
    wide = network_of(replace(profile, **wider), model)
    for network in (narrow, wide):
        take_over(network, model)
    inputs = torch.randint(-127, 128, (50, profile.inputs + sum(profile.head_inputs))) / 32
    if not profile.predictors:
        inputs = inputs[:, : profile.inputs]
    for label in range(profile.entropy_models):
        said = [
            network.mixture_params(network.features(inputs), label) for network in (narrow, wide)
        ]
        assert said[0].abs().max() > 0
        assert torch.equal(*said)


@pytest.mark.parametrize(
    "other",
    [
        {"entropy_models": 3},
        {"mixtures": 3},
        {"fused": 16},
        {"predictors": (Predictor(4),)},
        {"predictors": ()},
    ],
)
def test_weights_that_do_not_fit_are_refused(other: dict[str, Any]):
    model = load_model(draw_model(ADAPTIVE))
    with pytest.raises(ModelError, match="cannot begin with these weights"):
        take_over(network_of(replace(ADAPTIVE, **other), model), model)


def test_sic_is_refused():
    model = load_model(draw_model(LITE_SIC))
    with pytest.raises(ModelError, match="SIC"):
        take_over(SeecNetwork(LITE_SIC), model)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(12):
        Image.fromarray(textured(96, 96, seed)).save(folder / f"image_{seed}.png")
    return folder


def train_on(photographs: Path, checkpoint: str, *options: str) -> Result:
    place = str(photographs.parent / checkpoint)
    return CliRunner().invoke(train.main, [str(photographs), place, "--json", *options])


def test_a_run_begins_with_a_model_and_remembers_it(photographs: Path):
    made = photographs.parent / "made.safetensors"
    fast = ("--profile", "fast", "--batch", "1", "--export", str(made))
    known = (*fast, "--begin-with", "fast")
    at_random = train_on(photographs, "random", *fast, "--steps", "1")
    assert "continues" not in load_model(made.read_bytes()).card
    first = train_on(photographs, "run", *known, "--steps", "1")
    lengths = [json.loads(run.stdout)["validation_bpsp"] for run in (first, at_random)]
    assert lengths[0] < lengths[1] - 0.05
    again = train_on(photographs, "run", *known, "--steps", "2")
    assert json.loads(again.stdout)["steps"] == 2
    assert load_model(made.read_bytes()).card["continues"] == packaged_model("fast").id


def test_blocks_go_to_the_best_of_the_entropy_models_that_a_run_began_with(photographs: Path):
    """In whatever order they stand: a run that begins at random teaches the first alone so far."""
    model = load_model(draw_model(QUICK))
    data = AdaptiveData(photographs, RateSegmenter(), QUICK, photographs.parent / "tiles")
    learnt: list[bool] = []
    for order in ([0, 1], [1, 0]):
        trainer = Trainer(QUICK, TrainingSettings(steps=3, batch=4, shared=1.0), data)
        trainer.begin_with(model)
        hidden, *_ = layers = trainer.network.entropy_layers()
        with torch.no_grad():
            for layer in layers:
                layer.weight[:], layer.bias[:] = layer.weight[order], layer.bias[order]
        before = hidden.weight[1].detach().clone()
        trainer.advance(1e9)
        learnt.append(not torch.equal(hidden.weight[1], before))
    assert any(learnt)


def test_bytes_that_are_no_model_are_refused(photographs: Path):
    broken = photographs.parent / "broken.safetensors"
    broken.write_bytes(b"no model")
    for name in (str(broken), str(photographs / "missing")):
        run = train_on(photographs, "run", "--profile", "fast", "--begin-with", name)
        assert run.exit_code in (ExitCode.UNEXPECTED, ExitCode.USAGE)
        assert name in run.stderr
