"""Hidden layers that learn while a tile is decoded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seec.pipeline.codec import Encoder, Model, decode, load_model
from seec.pipeline.codec.model.profile import Adaptation
from seec.pipeline.codec.model.tables import build_tables, log_error_table
from seec.pipeline.codec.model.weights import DEEP_TILE, TILE, save_model
from seec.pipeline.codec.network.hidden_adaptation import (
    CHANGE_LIMIT,
    HiddenAdapter,
    LearnedLayer,
    in_one_unit,
    runs_of,
)
from seec.pipeline.codec.network.layers import CarriedLayer, leak
from seec.pipeline.codec.network.mixtures import make_mixture
from seec.pipeline.codec.network.output_adaptation import gradients_of
from seec.pipeline.codec.training.mixture import mixture_bits
from seec.schemas.container import parse, serialise
from seec.schemas.errors import LimitExceeded, ModelError, SectionCorrupt
from tests.pictures import textured
from tests.vectors.drawn import LEARNING, draw_model

TABLES = {name: torch.from_numpy(table) for name, table in build_tables().items()}


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(draw_model(LEARNING))


def test_gradients_are_those_of_the_code_length():
    n, k = 2000, 3
    rng = torch.Generator().manual_seed(3)

    def drawn(width: int, spread: float) -> torch.Tensor:
        return (torch.randn((n, width), generator=rng) * spread).to(torch.int32)

    pi, mu, sigma = drawn(k, 64), drawn(k, 30), drawn(k, 40) - 20
    spread = torch.randint(5, 400, (n,), generator=rng)
    gain = (spread + 12).clamp_min(16).to(torch.int32)
    level = torch.from_numpy(log_error_table())[spread].to(torch.int32)
    med = torch.full((n,), 120, dtype=torch.int32)
    value = (120 + drawn(1, 1)[:, 0] * (spread >> 4)).clamp(0, 255).to(torch.int32)
    mixture = make_mixture(
        TABLES, pi, 64 * med[:, None] + ((mu * gain[:, None]) >> 4), sigma, level, med, None
    )
    mean_terms = drawn(3, 300)
    found = in_one_unit(gradients_of(mixture, value), mixture, gain, mean_terms).double() / 128

    floats = [(p.double() / 64).T.contiguous().requires_grad_() for p in (pi, mu, sigma)]
    gamma = torch.zeros((3, n), dtype=torch.float64, requires_grad=True)
    moved = (gamma * mean_terms.T / 64).sum(0)
    away = (value - med).double() - floats[1] * gain / 16 - moved
    bits = mixture_bits(floats[0], away, floats[2], level.double(), value.double(), 0)
    true = torch.autograd.grad(bits.sum() * np.log(2), [*floats, gamma])
    names = ("pi", "mu", "sigma", "gamma and beta")
    for name, one, other in zip(names, found.split(k, 1), true, strict=True):
        within = other.T.clamp(-2.7, 2.7)
        pair = torch.stack([one.clamp(-2.7, 2.7).flatten(), within.flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.98, name
        assert abs((pair[0] * pair[1]).sum() / (pair[1] ** 2).sum() - 1) < 0.05, name


def test_a_layer_that_has_not_learnt_says_what_the_model_says(model):
    layer = model.layers["hidden_g"]
    seen = torch.randint(-2047, 2048, (30, layer.weight.shape[2]))
    labels = np.arange(30, dtype=np.uint8) % 3
    runs = runs_of(np.arange(30) // 10, labels, seen.device)
    said = LearnedLayer(layer, 3, 5, Adaptation(20, 8), "cpu").forward(seen, runs)
    for label in range(3):
        own = CarriedLayer(layer, label, "cpu", torch.float64)(seen[labels == label].double())
        assert torch.equal(said[labels == label], leak(own, torch.int32))


def test_weights_move_against_their_gradients_up_to_a_limit(model):
    layer = model.layers["fusion"]
    learned = LearnedLayer(layer, 2, 32, Adaptation(512, 8), "cpu")
    seen = torch.zeros((1, layer.weight.shape[2]), dtype=torch.int32)
    seen[0, 5] = 2047
    runs = runs_of(np.array([1]), np.array([2], np.uint8), seen.device)
    before = learned.forward(seen, runs)
    gradient = torch.full((1, layer.weight.shape[1]), 16, dtype=torch.int32)
    learned.accumulate(seen, gradient, runs)
    learned.step(torch.tensor([1]))
    assert not learned.changes.any(), "16 x 2047 is noise"
    gradient += 1
    changes = []
    for _ in range(40):
        learned.accumulate(seen, gradient, runs)
        learned.step(torch.tensor([1]))
        changes.append(learned.changes[1, :, 5].clone())
    assert (changes[0] == -32).all()
    assert (changes[-1] == -CHANGE_LIMIT).all()
    assert not learned.changes[1, :, 4].any(), "an input of zero changes nothing"
    assert not learned.changes[0].any(), "a tile learns for itself"
    assert (learned.forward(seen, runs) < before).all()


def test_with_memory_half_of_what_was_heard_counts_again(model):
    layer = model.layers["fusion"]
    seen = torch.full((1, layer.weight.shape[2]), 2047, dtype=torch.int32)
    runs = runs_of(np.array([0]), np.array([0], np.uint8), seen.device)
    gradient = torch.full((1, layer.weight.shape[1]), 40, dtype=torch.int32)
    moves = []
    for memory in (0, 1):
        learned = LearnedLayer(layer, 1, 8, Adaptation(512, 8, memory=memory), "cpu")
        learned.accumulate(seen, gradient, runs)
        for _ in range(3):
            learned.step(torch.tensor([0]))
        moves.append(learned.changes[0, :, :-1].unique().tolist())
    assert moves == [[-8], [-16]], "40 x 2047 and half of it are more than noise, a quarter is not"


@pytest.mark.parametrize("rates", [{"hidden_rate": 8}, {"fusion_rate": 8}])
def test_gradients_go_back_through_the_layers(model, rates):
    """Steps against them change what the network says of the same pixels as they should."""
    adapter = HiddenAdapter(model, Adaptation(every=20, rate=8, **rates), 1, "cpu")
    rng = torch.Generator().manual_seed(1)
    n, heads = 200, LEARNING.head_inputs[1]
    context = torch.randint(0, 400, (n, LEARNING.width), generator=rng)
    head = torch.randint(-300, 300, (n, heads), generator=rng)
    runs = runs_of(np.zeros(n, np.int64), np.arange(n, dtype=np.uint8) % 3, context.device)
    wanted = torch.zeros((n, LEARNING.adapted_outputs), dtype=torch.int32)
    wanted[:, 1] = 500
    output = model.layers["output_g"]

    def said() -> float:
        """The mean of the parameter that is to fall."""
        fused = adapter.fuse(context, runs)
        hidden = adapter.hidden(1, torch.cat([fused, head], 1), runs)
        rows = [CarriedLayer(output, e, "cpu", torch.float64) for e in range(3)]
        every = [rows[label](hidden[own].double())[:, 1] for _, label, own in runs]
        return float(torch.cat(every).double().mean())

    first = said()
    for _ in range(5):
        fused = adapter.fuse(context, runs)
        seen = torch.cat([fused, head], 1)
        hidden = adapter.hidden(1, seen, runs)
        back = adapter.backprop(1, seen, hidden, wanted, runs)
        adapter.backprop_fusion(context, fused, back, runs)
        adapter.step(torch.tensor([0]))
    assert said() < first - 1


def test_learning_more_makes_files_smaller(model):
    image = textured(64, 64)
    shallow = load_model(draw_model(replace(LEARNING, adaptation=Adaptation(every=20, rate=10))))
    sizes = [
        len(Encoder(m, screen=False).encode_batch([image], [None])[0]) for m in (model, shallow)
    ]
    assert sizes[0] < 0.98 * sizes[1]


def test_tiles_are_larger_where_more_is_learnt(model):
    image = np.zeros((8, DEEP_TILE, 3), np.uint8)
    shallow = load_model(draw_model(replace(LEARNING, adaptation=Adaptation(every=512, rate=8))))
    for own, size in ((model, DEEP_TILE), (shallow, TILE)):
        assert Encoder(own).tile_size == size
        (blob,) = Encoder(own).encode_batch([image], [None])
        assert (decode(blob, models={own.id: own}) == image).all()


def test_tiles_too_large_for_hidden_adaptation_are_refused(model):
    with pytest.raises(LimitExceeded, match="codes up to 2048"):
        Encoder(model, tile_size=4096)
    adaptation = Adaptation(every=512, rate=8, hidden_rate=1, memory=1)
    with pytest.raises(LimitExceeded, match="codes up to 1024"):
        Encoder(load_model(draw_model(replace(LEARNING, adaptation=adaptation))), tile_size=2048)
    image = textured(16, 16)
    (blob,) = Encoder(model, tile_size=2048, screen=False).encode_batch([image], [None])
    larger = serialise(replace(parse(blob), tile_size=4096))
    with pytest.raises(SectionCorrupt, match="too large for their model"):
        decode(larger, models={model.id: model})


def test_tiles_may_not_learn_more_than_memory_holds(model):
    profile = replace(LEARNING, fused=512, width=512, hidden=64, entropy_models=16)
    with pytest.raises(ModelError, match="learn in each tile"):
        draw_model(profile)


def test_gradients_of_hidden_features_may_not_leave_what_floats_hold():
    """The portable kernels carry them as floats: 512 x 511 x 127 is beyond 2^24."""
    draw_model(replace(LEARNING, fused=16, width=16, hidden=256))
    with pytest.raises(ModelError, match="272 hidden features"):
        draw_model(replace(LEARNING, fused=16, width=16, hidden=272))


@pytest.mark.parametrize(
    "sizes",
    [
        {"every": 1025},
        {"every": 513, "memory": 1},
        {"hidden_rate": 256},
        {"fusion_rate": -1},
        {"means": 2},
        {"memory": 2},
        {"hidden_rate": 0, "means": 1},
        {"hidden_rate": 0, "memory": 1},
    ],
)
def test_sizes_that_could_overflow_are_refused(model, sizes):
    profile = replace(
        LEARNING, adaptation=replace(Adaptation(every=512, rate=8, hidden_rate=1), **sizes)
    )
    with pytest.raises(ModelError, match="out of range"):
        save_model(profile, {}, model.layers, model.tables, model.starts)
