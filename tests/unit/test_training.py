"""What training promises: the right loss, entropy models that share, budgets, runs that resume."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seec.pipeline.codec import Encoder, inspect, load_model
from seec.pipeline.codec.model.profile import Profile
from seec.pipeline.codec.model.tables import build_tables
from seec.pipeline.codec.training.export import export_model
from seec.pipeline.codec.training.networks import SeecNetwork
from seec.pipeline.images.split import is_validation
from seec.pipeline.lab.training.data import Batch, Pixels, TrainingData, block_labels, make_batch
from seec.pipeline.lab.training.entropy_models import (
    assign,
    code_lengths_by_label,
    coded_bits,
    copy_first_entropy_model,
    labelled_bits,
    sampled_rates,
)
from seec.pipeline.lab.training.loop import Trainer, TrainingSettings
from seec.pipeline.lab.training.rounds import train_in_rounds
from seec.pipeline.segmentation import LabelMap
from seec.pipeline.segmentation.rate import RateSegmenter
from tests.pictures import textured

SMALL = Profile(name="small", width=16, fused=16, hidden=16, entropy_models=3, mixtures=2)


class HalvesSegmenter:
    """Labels the right half of each image 1."""

    name = "halves"
    labels = 2
    proposes = False

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        return [self._halves(*image.shape[:2]) for image in images]

    def _halves(self, height: int, width: int) -> LabelMap:
        return np.broadcast_to(np.arange(width) >= width // 2, (height, width)).astype(np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(12):
        Image.fromarray(textured(96, 96, seed)).save(folder / f"image_{seed}.png")
    assert {is_validation(p.name) for p in folder.iterdir()} == {True, False}
    return folder


@pytest.fixture(scope="module")
def data(photographs: Path) -> TrainingData:
    return TrainingData(photographs, RateSegmenter())


@pytest.fixture
def batch() -> Batch:
    patches = np.stack([textured(35, 38, seed) for seed in range(3)])
    return make_batch(patches, np.array([False, True, False]), build_tables())


@pytest.fixture
def network() -> SeecNetwork:
    torch.manual_seed(5)
    return SeecNetwork(SMALL)


def test_each_block_pays_what_its_entropy_model_would_charge(network, batch):
    features = network.features(batch.inputs)
    labels = torch.arange(batch.blocks) * 2 % SMALL.entropy_models
    lengths = code_lengths_by_label(network, features, batch)
    expected = lengths.gather(1, labels[:, None]).sum()
    got = labelled_bits(network, features, batch, labels)
    torch.testing.assert_close(got, expected)
    parameters = list(network.parameters())
    gradients = [torch.autograd.grad(b, parameters, retain_graph=True) for b in (got, expected)]
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-2)


def test_a_quarter_of_the_pixels_tells_the_entropy_models_apart(network, batch):
    features = network.features(batch.inputs)
    whole = code_lengths_by_label(network, features, batch).argmin(-1)
    assert (sampled_rates(network, features, batch).argmin(-1) == whole).float().mean() > 0.9


def test_the_loss_is_the_coded_size_of_the_exported_integers(network):
    image = textured(64, 64)
    batch = make_batch(
        np.pad(image, ((3, 0), (3, 3), (0, 0)), mode="edge")[None],
        np.zeros(1, bool),
        build_tables(),
    )
    with torch.no_grad():
        bits = coded_bits(network.mixture_params(network.features(batch.inputs), 0), batch).sum()
    model = load_model(export_model(network, {"name": "small"}))
    labels = np.zeros((64, 64), np.uint8)
    (blob,) = Encoder(model, screen=False).encode_batch([image], [labels])
    assert dict(inspect(blob).sections)["tile_group"] == pytest.approx(float(bits) / 8, rel=0.02)


def test_the_gradient_is_the_slope_of_the_loss(network, batch):
    """Biases of the last layer are on a fine grid: finite differences see through rounding."""
    labels = torch.zeros(batch.blocks, dtype=torch.int64)
    bias = network.output.bias
    features = network.features(batch.inputs)
    labelled_bits(network, features, batch, labels).backward()
    assert bias.grad is not None
    k, step = SMALL.mixtures, 4 / 64
    for row in (0, 3 * k, 6 * k):  # one of pi, mu, log scale
        slopes = []
        for sign in (-1, 1):
            with torch.no_grad():
                moved = bias.clone()
                moved[0, row] += sign * step
                kept, bias.data = bias.data, moved
                slopes.append(float(labelled_bits(network, features, batch, labels)))
                bias.data = kept
        assert float(bias.grad[0, row]) == pytest.approx(
            (slopes[1] - slopes[0]) / (2 * step), rel=0.15
        )


def test_a_temperature_of_zero_takes_the_best_and_a_high_one_takes_all():
    rates = torch.tensor([[2.0, 1.9, 2.1]]).repeat(3000, 1)
    rng = np.random.default_rng(0)
    assert (assign(rates, 0.0, rng) == 1).all()
    warm = torch.bincount(assign(rates, 0.1, rng), minlength=3) / 3000
    torch.testing.assert_close(warm, torch.softmax(-rates[0] / 0.1, 0), atol=0.04, rtol=0)


def test_copies_of_the_first_entropy_model_are_equal_and_their_own(network, batch):
    optimiser = torch.optim.Adam(network.parameters())
    labels = torch.zeros(batch.blocks, dtype=torch.int64)
    labelled_bits(network, network.features(batch.inputs), batch, labels).backward()
    optimiser.step()
    copy_first_entropy_model(network, optimiser)
    features = network.features(batch.inputs)
    for other in (1, 2):
        torch.testing.assert_close(
            network.mixture_params(features, other), network.mixture_params(features, 0)
        )
    with torch.no_grad():
        network.hidden.weight[1] += 1
    assert not torch.equal(network.mixture_params(features, 1), network.mixture_params(features, 0))


def test_block_labels_are_the_majority_in_the_order_of_the_pixels(batch):
    labels = np.zeros((3, 32, 32), np.uint8)
    labels[1, :16, 16:] = 2  # the second block of the second patch
    labels[2, 16:, :9] = 1  # 9 of 16 columns of the third block of the third patch
    labels[2, :16, :7] = 1
    assert block_labels(labels).tolist() == [0] * 5 + [2] + [0] * 4 + [1, 0]


def test_labels_travel_with_their_pixels(photographs: Path):
    data = TrainingData(photographs, HalvesSegmenter())
    for sample in data.validation:
        assert sample.labels is not None
        assert sample.labels.shape == (sample.batch.blocks,)
    drawn = data.draw(np.random.default_rng(1), 16).labels
    assert drawn is not None
    assert set(drawn.tolist()) == {0, 1}


def test_without_coefficients_beta_stays_zero(data: TrainingData):
    settings = TrainingSettings(steps=4, coefficients=False, batch=2)
    trainer = Trainer(SMALL, settings, data)
    trainer.advance(1e9)
    first = 9 * SMALL.mixtures
    for network in (trainer.network, trainer.average):
        assert isinstance(network, SeecNetwork)
        layer = network.output
        assert not layer.weight[:, first:].any()
        assert not layer.bias[:, first:].any()
        assert layer.weight[:, :first].any()
    model = load_model(export_model(trainer.average, {}))
    assert not model.layers["output"].weight[:, first:].any()


def test_a_budget_ends_the_run_and_cools_the_learning_rate(data: TrainingData):
    trainer = Trainer(SMALL, TrainingSettings(steps=10**9, budget_s=0.5, batch=2), data)
    (last,) = trainer.advance(1e9)
    assert trainer.done
    assert 0.5 <= trainer.seconds < 1.5
    assert last.step == trainer.step
    assert trainer.optimiser.param_groups[0]["lr"] < 1e-3


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(data: TrainingData, tmp_path: Path):
    settings = TrainingSettings(steps=12, batch=2, validate_every=5)
    whole = Trainer(SMALL, settings, data)
    whole.advance(1e9)
    first = Trainer(SMALL, settings, data)
    while first.step < 7:
        first.advance(1e-6)
    first.save(tmp_path / "run.checkpoint")
    second = Trainer(SMALL, settings, data)
    second.load(tmp_path / "run.checkpoint")
    second.advance(1e9)
    assert [replace(p, seconds=0) for p in second.history] == [
        replace(p, seconds=0) for p in whole.history
    ]
    for ours, theirs in zip(second.average.parameters(), whole.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_rounds_give_every_run_its_turn_and_resume(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("seec.pipeline.lab.training.rounds.SLICE_S", 1e-6)  # one step a slice

    def trainers() -> dict[str, Trainer]:
        settings = TrainingSettings(steps=3, batch=2)
        return {name: Trainer(SMALL, settings, data) for name in ("a", "b")}

    rounds = train_in_rounds(trainers(), tmp_path)
    assert [next(rounds) for _ in range(3)] == ["a", "b", "a"]
    resumed = trainers()
    assert list(train_in_rounds(resumed, tmp_path)) == ["a", "b", "b"]
    assert [t.step for t in resumed.values()] == [3, 3]
