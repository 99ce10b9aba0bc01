"""Networks with predictors: the C kernels at every instruction set say what torch says.

Among them some whose output layers, and some whose hidden layers and fusion learn while they code.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seec.pipeline.codec import Model, load_model
from seec.pipeline.codec.coding.tiles import GroupCanvas
from seec.pipeline.codec.model.profile import Adaptation
from seec.pipeline.codec.model.weights import PredictorStart, save_model
from seec.pipeline.codec.native.kernels import NativeKernels, NativePredictors, levels
from seec.pipeline.codec.network.predictors import follow
from seec.pipeline.codec.network.torch_kernels import TorchKernels
from tests.pictures import gray, textured
from tests.unit.test_adaptive import canvases, emptied
from tests.vectors.drawn import FOLDER, LEARNING, STORED, draw_model


def stored(name: str) -> Model:
    return load_model((FOLDER / f"{name}.safetensors").read_bytes())


def loud() -> Model:
    """Weights and outputs so large that whatever can be clamped is."""
    model = stored("drawn-predictors")
    starts = [PredictorStart(s.prior, s.start << 5) for s in model.starts]
    layers = {
        name: replace(layer, shift=layer.shift - 4) if name.startswith("output") else layer
        for name, layer in model.layers.items()
    }
    return load_model(save_model(model.profile, {"name": "loud"}, layers, model.tables, starts))


def hasty() -> Model:
    """Output layers that learn all that they can from the first pixels on, and forget it again."""
    return tuned(stored("drawn-adaptation"), Adaptation(every=1, rate=255))


def wide() -> Model:
    """As many components as there can be, and hidden features that do not fit the vectors."""
    sizes = {"name": "wide", "hidden": 48, "mixtures": 8, "adaptation": Adaptation(37, 20)}
    return load_model(draw_model(replace(STORED["drawn-predictors"], **sizes)))


def abrupt() -> Model:
    """Components that lie below no value or below all: slopes leave every range."""
    model = stored("drawn-adaptation")
    steps = np.full(513, 16384, np.int32)
    steps[-1] = 32768
    tables = {**model.tables, "logistic": steps}
    return load_model(
        save_model(model.profile, {"name": "abrupt"}, model.layers, tables, model.starts)
    )


def tuned(model: Model, adaptation: Adaptation) -> Model:
    profile = replace(model.profile, adaptation=adaptation)
    return load_model(save_model(profile, {}, model.layers, model.tables, model.starts))


def learning(**sizes) -> Model:
    """All layers but the first learn; other sizes than LEARNING has."""
    return load_model(draw_model(replace(LEARNING, **sizes)))


def deep_and_loud() -> Model:
    """Gradients so large that they, too, are clamped wherever they can be."""
    model = learning(adaptation=Adaptation(every=10, rate=100, hidden_rate=100, fusion_rate=100))
    less = {"hidden": 2, "output": 3}
    layers = {
        name: replace(layer, shift=layer.shift - less.get(name[:6], 0))
        for name, layer in model.layers.items()
    }
    return load_model(save_model(model.profile, {}, layers, model.tables, model.starts))


def labelled(groups: list[GroupCanvas], entropy_models: int) -> list[GroupCanvas]:
    """The same, with an entropy model for each block."""
    for group in groups:
        group.labels[:] = np.arange(group.labels.size).reshape(group.labels.shape) % entropy_models
    return groups


def hard_edges(height: int, width: int) -> np.ndarray:
    """Black and white in blocks, with noise: [height, width, 3] uint8."""
    y, x = np.mgrid[:height, :width]
    blocks = 255 * ((y // 5 + x // 7) % 2)
    noise = np.random.default_rng(3).integers(-40, 41, (height, width, 3))
    return (blocks[..., None] + noise).clip(0, 255).astype(np.uint8)


MODELS = {
    "one": lambda: stored("drawn-predictor"),
    "two": lambda: stored("drawn-predictors"),
    "loud": loud,
}
ADAPTED = {
    "drawn": lambda: stored("drawn-adaptation"),
    "loud": lambda: tuned(loud(), Adaptation(every=10, rate=100)),
    "hasty": hasty,
    "wide": wide,
    "abrupt": abrupt,
    "deep": learning,
    "deep and hasty": lambda: learning(
        adaptation=Adaptation(1, 255, hidden_rate=255, fusion_rate=255)
    ),
    "deep and loud": deep_and_loud,
    "deep and wide": lambda: learning(
        width=48, fused=32, hidden=48, mixtures=8, predictors=LEARNING.predictors[:3]
    ),
    "deep in part": lambda: learning(
        entropy_models=1, adaptation=Adaptation(30, 20, hidden_rate=9)
    ),
    "deep with memory": lambda: learning(
        adaptation=Adaptation(7, 9, hidden_rate=40, fusion_rate=30, means=1, memory=1)
    ),
}
IMAGES = {
    "pixel": textured(1, 1),
    "row": textured(1, 30),
    "column": textured(23, 1),
    "two columns": gray(25, 2),
    "colour": textured(19, 26),
    "gray": gray(7, 33),
    "edges": hard_edges(30, 44),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]()


@pytest.fixture(scope="module", params=IMAGES)
def groups(request: pytest.FixtureRequest) -> list[GroupCanvas]:
    """Two tiles in a group, where the image is that large."""
    return canvases(IMAGES[request.param], 32, 2)


@pytest.mark.parametrize("level", levels())
def test_predictors_say_the_same(model, groups, level):
    native = NativePredictors(model.profile.predictors, model.starts, level)
    tables = {"reciprocal": torch.from_numpy(model.tables["reciprocal"])}
    for group in groups:
        planes = follow(model.profile.predictors, model.starts, tables, group)
        base, ls, full = native.follow(group)
        assert np.array_equal(base, planes.base.numpy())
        assert np.array_equal(ls, planes.ls.numpy())
        assert np.array_equal(full, planes.full.numpy())


def test_kernels_write_read_and_measure_the_same(model, groups):
    check_kernels(model, groups)


CASES = [
    (name, image)
    for name in ADAPTED
    for image in ("column", "gray", "colour" if name.startswith("deep") else "edges")
]


@pytest.mark.parametrize(("name", "image"), CASES)
def test_layers_learn_the_same(name, image):
    model = ADAPTED[name]()
    check_kernels(model, labelled(canvases(IMAGES[image], 32, 2), model.profile.entropy_models))


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_layers_learn_from_their_own_tile_only(carrier):
    """Groups that are decoded together, in any order, come out as each was written alone."""
    model = learning()
    groups = labelled(canvases(textured(12, 24), 8, 2), LEARNING.entropy_models)
    words = [NativeKernels(model).encode(group) for group in groups]
    kernels = TorchKernels(model, "cpu", carrier)
    assert kernels.encode(groups[0]) == words[0]
    order = [2, 0, 1]
    found = [emptied(groups[n]) for n in order]
    kernels.decode(found, [words[n] for n in order])
    for n, other in zip(order, found, strict=True):
        for tile in range(len(other.sizes)):
            assert (other.interior(tile) == groups[n].interior(tile)).all()


def test_each_kind_of_layer_that_learns_changes_bytes():
    """The models above differ by what learns in them, and by nothing else."""
    (group,) = labelled(canvases(textured(19, 26), 32), LEARNING.entropy_models)
    rates = [{}, {"hidden_rate": 9}, {"fusion_rate": 9}, {"hidden_rate": 9, "fusion_rate": 9}]
    models = [learning(adaptation=Adaptation(30, 20, **rate)) for rate in rates]
    assert len({NativeKernels(model).encode(group) for model in models}) == len(models)


def check_kernels(model: Model, groups: list[GroupCanvas]) -> None:
    reference = TorchKernels(model)
    for group in groups:
        words, costs = reference.encode(group), reference.measure(group)
        for level in levels():
            kernels, found = NativeKernels(model, level), emptied(group)
            assert kernels.encode(group) == words
            assert np.array_equal(kernels.measure(group), costs)
            kernels.decode([found], [words])
            for number in range(len(group.sizes)):
                assert (found.interior(number) == group.interior(number)).all()


@pytest.mark.parametrize("width", [0, 9])
def test_lossy_backgrounds_end_as_the_same_pixels(model, width):
    """Predictors learn from what was decoded, not from what was there."""
    check_background(model, width)


@pytest.mark.parametrize("width", [0, 9])
@pytest.mark.parametrize("name", ["drawn", "deep"])
def test_layers_learn_nothing_from_backgrounds(name, width):
    check_background(ADAPTED[name](), width)


def check_background(model: Model, width: int) -> None:
    (group,) = canvases(hard_edges(20, 24), 32)
    group.widths[:, 1:, 1:] = width
    words, seen = TorchKernels(model).encode(group), group.canvas
    for level in levels():
        (again,) = canvases(hard_edges(20, 24), 32)
        again.widths[:] = group.widths
        found = emptied(again)
        kernels = NativeKernels(model, level)
        assert kernels.encode(again) == words
        kernels.decode([found], [words])
        inside = np.s_[0, 3:23, 3:27]
        assert (again.canvas[inside] == seen[inside]).all()
        assert (found.canvas[inside] == seen[inside]).all()
