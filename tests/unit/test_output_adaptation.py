"""Layers that learn while a tile is decoded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seec.pipeline.codec import Encoder, Model, decode, load_model
from seec.pipeline.codec.coding.distribution import Mixture
from seec.pipeline.codec.model.profile import Adaptation, Profile
from seec.pipeline.codec.model.tables import build_tables
from seec.pipeline.codec.model.weights import save_model
from seec.pipeline.codec.native.kernels import NativeKernels
from seec.pipeline.codec.network.mixtures import make_mixture
from seec.pipeline.codec.network.output_adaptation import OutputAdapter, gradients_of
from seec.schemas.errors import ModelError
from tests.pictures import textured
from tests.unit.test_adaptive import canvases
from tests.vectors.drawn import FOLDER, LEARNING, STORED, draw_model

K = 3
TABLES = {name: torch.from_numpy(table) for name, table in build_tables().items()}


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model((FOLDER / "drawn-adaptation.safetensors").read_bytes())


def mixture(pi: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor, width: int = 1) -> Mixture:
    """Of n values; scale in 1/64."""
    blank = torch.zeros(len(pi), dtype=torch.int32)
    return make_mixture(TABLES, pi, mean, scale, blank, blank, blank + width)


def drawn(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Some pi, means, scales and values that are likely under them."""
    rng = np.random.default_rng(5)
    value = rng.integers(0, 256, n)
    value[:4] = 0, 0, 255, 255
    parts = (
        rng.integers(-90, 90, (n, K)),
        64 * value[:, None] + rng.integers(-500, 500, (n, K)),
        rng.integers(30, 400, (n, K)) & ~3,
        value,
    )
    pi, mean, scale, value = (torch.from_numpy(p.astype(np.int32)) for p in parts)
    return pi, mean, scale, value


def bits(pi, mean, scale, value):
    """Code length in floats; parameters as floats of the integers, log of the scale in 1/16."""
    spread = torch.exp2((scale / 4 - 16) / 16)
    away = value[:, None] - mean / 64
    above = torch.sigmoid((away + 0.5) / spread).maximum((value == 255)[:, None].double())
    below = torch.sigmoid((away - 0.5) / spread) * (value != 0)[:, None]
    likely = ((above - below) * torch.softmax(pi / 64, 1)).sum(1)
    return -torch.log2(likely + 2e-6)


def test_slopes_are_those_of_the_code_length():
    pi, mean, scale, value = drawn(2000)
    floats = [p.double().requires_grad_() for p in (pi, mean, scale)]
    length = bits(floats[0], floats[1], floats[2], value.double()).sum()
    exact = list(torch.autograd.grad(length, floats))
    exact[1] = exact[1] * torch.exp2((scale.double() / 4 - 16) / 16)
    found = gradients_of(mixture(pi, mean, scale), value).split(K, 1)
    for name, slope, true in zip(("pi", "mu", "sigma"), found, exact, strict=True):
        pair = torch.stack([slope.double().flatten(), true.flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.97, name
        clear = true.abs() > 0.1 * true.abs().max()
        assert (slope.sign() == true.sign())[clear].all(), name


def test_bins_of_several_values_have_no_slopes():
    pi, mean, scale, value = drawn(10)
    assert gradients_of(mixture(pi, mean, scale), value).any()
    for width in (0, 3):
        assert not gradients_of(mixture(pi, mean, scale, width), value).any()


def test_corrections_move_when_enough_pixels_are_coded_and_stay_within_their_limit():
    sizes = Profile(name="small", width=16, fused=16, hidden=2, entropy_models=1, mixtures=1)
    output_adapter = OutputAdapter(sizes, Adaptation(every=4, rate=200), 2, "cpu")
    hidden = torch.tensor([[100, -100]] * 3)
    said = torch.zeros((3, 4), dtype=torch.int32)
    tile = np.array([0, 0, 1])
    slopes = torch.tensor([[1, -1, 0]] * 3)

    def step() -> list[list[int]]:
        output_adapter.accumulate(0, tile, hidden, slopes)
        output_adapter.end_step(tile)
        return output_adapter.correct(0, tile, hidden, said).tolist()

    assert step() == [[0] * 4] * 3
    # Tile 0 has coded four pixels, tile 1 two: 200 x (100 + 100 + 128) / 2^12 = 16.
    assert step() == [[-16, 16, 0, 0]] * 2 + [[0] * 4]
    for _ in range(50):
        last = step()
    assert last == [[-164, 164, 0, 0]] * 3
    other = output_adapter.correct(1, tile, hidden, said)
    assert not other.any()


def test_learning_makes_files_smaller(model):
    """Of a picture whose weights were drawn: there is much to learn."""
    image = textured(64, 64)
    fixed = load_model(draw_model(replace(model.profile, adaptation=None)))
    sizes = [len(Encoder(m, screen=False).encode_batch([image], [None])[0]) for m in (model, fixed)]
    assert sizes[0] < 0.9 * sizes[1]


@pytest.mark.parametrize("name", ["adaptation", "learning"])
def test_neither_threads_nor_what_decodes_matter(name):
    """Whether output layers learn or all but the first."""
    model = load_model(draw_model(LEARNING if name == "learning" else STORED["drawn-adaptation"]))
    image = textured(40, 70)
    cut = {"tile_size": 16, "tiles_per_group": 2, "block_shift": 3, "screen": False}
    one, two = (Encoder(model, threads=n, **cut).encode_batch([image], [None])[0] for n in (1, 2))
    assert one == two
    for device in ("cpu", "torch:cpu"):
        assert (decode(one, models={model.id: model}, device=device, threads=2) == image).all()


OUT_OF_RANGE = [
    {"every": 0},
    {"every": 4097},
    {"rate": 0},
    {"rate": 256},
    {"hidden_rate": 256},
    {"fusion_rate": 256},
    {"hidden_rate": -1, "fusion_rate": 1},
    {"every": 1025, "hidden_rate": 1},
    {"every": 1025, "fusion_rate": 1},
]


@pytest.mark.parametrize("size", OUT_OF_RANGE)
def test_adaptation_out_of_range_is_refused(model, size):
    profile = replace(model.profile, adaptation=replace(model.profile.adaptation, **size))
    with pytest.raises(ModelError, match="out of range"):
        save_model(profile, {}, model.layers, model.tables, model.starts)


def test_adaptation_needs_predictors(golden_model):
    profile = replace(golden_model.profile, adaptation=Adaptation(every=20, rate=40))
    with pytest.raises(ModelError, match="without predictors"):
        save_model(profile, {}, golden_model.layers, golden_model.tables)


def test_small_tiles_never_learn(model):
    """A tile that ends before it has coded enough is coded as ever."""
    fixed = load_model(draw_model(replace(model.profile, adaptation=None)))
    (group,) = canvases(textured(4, 5), 32)
    assert NativeKernels(model).encode(group) == NativeKernels(fixed).encode(group)
