"""What training of networks with predictors promises: the decoder's code lengths, kept tiles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seec.pipeline.codec import load_model
from seec.pipeline.codec.coding.tiles import canvas_of
from seec.pipeline.codec.encoder import BLOCK_SHIFT
from seec.pipeline.codec.model.profile import Predictor, Profile
from seec.pipeline.codec.model.tables import build_tables, log_error_table
from seec.pipeline.codec.network.torch_kernels import TorchKernels
from seec.pipeline.codec.training.export import export_model
from seec.pipeline.codec.training.networks import AdaptiveNetwork
from seec.pipeline.images.split import is_validation
from seec.pipeline.lab.training.adaptive import (
    AdaptiveBatch,
    AdaptiveData,
    PatchPlanes,
    adaptive_batch,
)
from seec.pipeline.lab.training.entropy_models import coded_bits
from seec.pipeline.lab.training.loop import Trainer, TrainingSettings
from seec.pipeline.lab.training.starts import learn_starts
from seec.pipeline.lab.training.tiles import TileFile, TileMaker
from seec.pipeline.segmentation.rate import RateSegmenter
from tests.pictures import textured

SMALL = Profile(
    name="small",
    width=16,
    fused=16,
    hidden=16,
    entropy_models=2,
    mixtures=2,
    predictors=(Predictor(5, rows=8), Predictor(6, rows=16, every=4, sweeps=1)),
)
# The reference is slow: a predictor that hardly moves does for runs.
QUICK = replace(SMALL, predictors=(Predictor(3, every=64, sweeps=1),))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    numbers = iter(range(100))
    for validates, edge, count in ((False, 40, 2), (True, 80, 1)):
        names = (f"image_{number}.png" for number in numbers)
        chosen = (name for name in names if is_validation(name) == validates)
        for seed, name in zip(range(count), chosen, strict=False):
            Image.fromarray(textured(edge, edge, seed)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(photographs: Path, cache: Path) -> AdaptiveData:
    return AdaptiveData(photographs, RateSegmenter(), QUICK, cache)


def batch_of(maker: TileMaker, image: np.ndarray, gray: bool = False) -> AdaptiveBatch:
    """A whole tile, whose edges are multiples of 16, as one patch."""
    patches = PatchPlanes.of(maker.records(image)[None], np.array([gray]))
    tables = build_tables() | {"log_error": log_error_table()}
    return adaptive_batch(
        patches, {name: torch.from_numpy(table) for name, table in tables.items()}
    )


@pytest.mark.parametrize("label", [0, 1])
def test_the_loss_is_the_code_length_of_the_exported_integers(label):
    image = textured(32, 32, 4)
    starts = learn_starts(SMALL.predictors, [image])
    torch.manual_seed(3)
    network = AdaptiveNetwork(SMALL, starts)
    with torch.no_grad():
        for parameter in network.parameters():  # so that no term of the mixture is silent
            parameter.add_(torch.randn_like(parameter) * 0.05)
    batch = batch_of(TileMaker(SMALL.predictors, starts), image)
    with torch.no_grad():
        ours = coded_bits(network.mixture_params(network.features(batch.inputs), label), batch)

    model = load_model(export_model(network, {}))
    group = canvas_of([image], BLOCK_SHIFT)
    group.labels[:] = label
    lengths = torch.from_numpy(TorchKernels(model).code_lengths(group)) / 256
    theirs = lengths[0].unflatten(0, (2, 16)).unflatten(2, (2, 16)).transpose(1, 2).flatten()
    assert float(ours.sum()) == pytest.approx(float(theirs.sum()), rel=0.005)
    ordinary = theirs < 24  # bits; floors of the probability are not the same
    assert ordinary.float().mean() > 0.8
    assert (ours - theirs)[ordinary].abs().quantile(0.95) < 0.1


def test_starts_are_the_solution_that_the_prior_asks_for():
    images = [textured(64, 64, seed) for seed in range(3)]
    (start,) = learn_starts((Predictor(4),), images)
    known = 12
    for channel in range(3):
        size = known + channel
        assert not start.start[channel, size:].any()
        slope = start.prior[:size, known + channel] - (
            start.prior[:size, :size] @ start.start[channel, :size] / 4096
        )
        before = np.abs(start.prior[:size, known + channel]).max()
        assert np.abs(slope).max() < 0.05 * before


def test_cached_predictions_serve_the_same_images_only(tmp_path: Path, monkeypatch):
    images = [textured(32, 32, seed) for seed in range(2)]
    maker = TileMaker(QUICK.predictors, learn_starts(QUICK.predictors, images))
    first = TileFile(tmp_path / "some.tiles", maker)
    first.fill(images, 1, iter(images))
    kept = [first.tile(i).copy() for i in range(2)]
    assert (kept[1]["pixel"][3:, 3:-3] == images[1]).all()

    again = TileFile(tmp_path / "some.tiles", maker)
    with monkeypatch.context() as patch:
        patch.setattr(maker, "records", None)  # nothing is followed again
        again.fill(images, 1, iter(images))
    assert all((again.tile(i) == kept[i]).all() for i in range(2))

    other = TileFile(tmp_path / "some.tiles", maker)
    other.fill(images[:1], 1, iter(images[:1]))
    assert len(other.shapes) == 1


def test_gray_tiles_pay_for_one_channel():
    image = np.repeat(textured(16, 32, 1)[..., :1], 3, -1)
    maker = TileMaker(QUICK.predictors, learn_starts(QUICK.predictors, [image]))
    assert batch_of(maker, image, gray=True).weight.sum(0).tolist() == [512, 0, 0]


def test_a_run_learns(data: AdaptiveData):
    settings = TrainingSettings(steps=60, batch=2, shared=0.5, validate_every=20)
    trainer = Trainer(QUICK, settings, data)
    seen = trainer.advance(1e9)
    assert seen[-1].validation_bpsp < seen[0].validation_bpsp
    assert not torch.equal(*trainer.network.entropy_layers()[0].weight)
    assert load_model(export_model(trainer.average, {})).profile == QUICK


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    data: AdaptiveData, photographs: Path, cache: Path, tmp_path: Path
):
    settings = TrainingSettings(steps=8, batch=2, shared=0.4, validate_every=4)
    whole = Trainer(QUICK, settings, data)
    whole.advance(1e9)
    first = Trainer(QUICK, settings, data)
    while first.step < 5:
        first.advance(1e-6)
    first.save(tmp_path / "run.checkpoint")
    second = Trainer(QUICK, settings, AdaptiveData(photographs, RateSegmenter(), QUICK, cache))
    second.load(tmp_path / "run.checkpoint")
    second.advance(1e9)
    assert [p.validation_bpsp for p in second.history] == [p.validation_bpsp for p in whole.history]
    for ours, theirs in zip(second.average.parameters(), whole.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_budget_by_the_clock_ends_the_run(data: AdaptiveData):
    settings = TrainingSettings(steps=10**9, budget_wall_s=0.5, batch=1)
    trainer = Trainer(QUICK, settings, data)
    trainer.advance(1e9)
    assert trainer.wall_s >= 0.5
    assert trainer.progress == 1
