"""Networks with predictors, as the torch kernels run them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seec.pipeline.codec import Background, Encoder, Model, decode, load_model
from seec.pipeline.codec.coding.tiles import (
    MARGIN,
    BlockMaps,
    GroupCanvas,
    border_colours,
    empty_canvas,
    fill_canvas,
    join_groups,
    tile_groups,
    wavefront,
)
from seec.pipeline.codec.network.parts import Part
from seec.pipeline.codec.network.predictors import Planes, follow, solve
from seec.pipeline.codec.network.torch_kernels import TorchKernels
from tests.pictures import gray, textured
from tests.vectors.drawn import FOLDER

DEVICE = "torch:cpu"
NAMES = ["drawn-predictor", "drawn-predictors", "drawn-adaptation"]


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> Model:
    return load_model((FOLDER / f"{request.param}.safetensors").read_bytes())


def canvases(image: np.ndarray, tile_size: int, per_group: int = 1) -> list[GroupCanvas]:
    """The full canvases of an image, labels 0."""
    pixels = image[..., None] if image.ndim == 2 else image
    groups = []
    height, width = image.shape[:2]
    for tiles in tile_groups(height, width, tile_size, per_group):
        maps = BlockMaps.blank(height, width, 3)
        groups.append(empty_canvas(tiles, border_colours(pixels, tiles), maps))
        fill_canvas(groups[-1], pixels, tiles)
    return groups


def emptied(group: GroupCanvas) -> GroupCanvas:
    """As decoding starts: the border colour in the first row, nothing that it must not know."""
    canvas = np.full_like(group.canvas, 77)
    canvas[:, :MARGIN] = group.canvas[:, :MARGIN]
    canvas[:, MARGIN, :MARGIN] = group.canvas[:, MARGIN, :MARGIN]
    return GroupCanvas(
        canvas,
        group.sizes,
        group.labels,
        group.widths,
        group.side,
        group.block_shift,
        group.channels,
    )


def planes_of(model: Model, group: GroupCanvas) -> Planes:
    tables = {"reciprocal": torch.from_numpy(model.tables["reciprocal"])}
    return follow(model.profile.predictors, model.starts, tables, group)


@pytest.mark.parametrize(
    "image",
    [textured(1, 1), textured(1, 30), textured(23, 1), gray(25, 2), textured(19, 26), gray(7, 33)],
    ids=lambda i: "x".join(map(str, i.shape)),
)
def test_every_size_decodes_to_the_same_pixels(model, image):
    kernels = TorchKernels(model)
    for group in canvases(image, 32):
        words = kernels.encode(group)
        found = emptied(group)
        kernels.decode([found], [words])
        for number in range(len(group.sizes)):
            assert (found.interior(number) == group.interior(number)).all()


def test_groups_decode_together_as_they_do_alone(model):
    """Groups of one shape are joined: a tile learns from itself only."""
    kernels = TorchKernels(model)
    groups = canvases(textured(18, 40), 16, 2)
    words = [kernels.encode(group) for group in groups]
    found = [emptied(group) for group in groups]
    kernels.decode(found, words)
    for group, other in zip(groups, found, strict=True):
        for number in range(len(group.sizes)):
            assert (other.interior(number) == group.interior(number)).all()


def test_predictors_learn_from_their_own_tile_only(model):
    groups = canvases(textured(20, 34), 16)
    alike = [g for g in groups if g.canvas.shape == groups[0].canvas.shape]
    together = planes_of(model, join_groups(alike)[0])
    for number, group in enumerate(alike):
        assert torch.equal(planes_of(model, group).base[:, 0], together.base[:, number])


def test_steps_and_planes_say_the_same(model):
    """What a network sees step by step is what it sees of a full canvas at once.

    But for what output layers learn: of a full canvas nobody knows that.
    """
    (group,) = canvases(textured(18, 21), 32)
    fixed = replace(model, profile=replace(model.profile, adaptation=None))
    network = TorchKernels(fixed)._network
    order, flat = wavefront(group), torch.from_numpy(group.canvas).view(-1)
    following, recalling = network.follow(group), network.recall(group)
    for first in range(len(order.starts) - 1):
        part = Part.of_steps(group, order, flat, first, first + 1)
        pixel = part.pixels()
        live, recalled = following.model_of(part), recalling.model_of(part)
        for channel in range(3):
            a, b = (v.channel_model().mixture(channel, pixel) for v in (live, recalled))
            assert torch.equal(a.mean, b.mean)
            assert torch.equal(a.weight, b.weight)
            assert torch.equal(a.inverse, b.inverse)
        live.learn(pixel)


def test_predictors_learn(model):
    """On a texture with a rule they come close, whatever they started from."""
    y, x = np.mgrid[:40, :40]
    ruled = (128 + 100 * np.sin(x / 2.5 + y / 3)).astype(np.uint8)
    (group,) = canvases(ruled, 48)
    error = planes_of(model, group).error[:, 0, MARGIN : MARGIN + 40, MARGIN : MARGIN + 40]
    early, late = error[:, :8].abs().double().mean(), error[:, 30:].abs().double().mean()
    assert late < 0.75 * early


@pytest.mark.parametrize("error", [1, 20, None])
def test_a_lossy_background_decodes_to_what_the_encoder_saw(model, error):
    image = textured(18, 20)
    region = np.zeros((18, 20), bool)
    region[2:6, 3:7] = True
    encoder = Encoder(model, DEVICE, tile_size=32, block_shift=3, screen=False)
    (blob,) = encoder.encode_batch([image], [None], [Background(region, error)])
    decoded = decode(blob, models={model.id: model}, device=DEVICE)
    assert (decoded[region] == image[region]).all()
    if error is not None:
        assert np.abs(decoded.astype(int) - image).max() <= error


def test_labels_change_what_entropy_models_say_and_nothing_else():
    model = load_model((FOLDER / "drawn-predictors.safetensors").read_bytes())
    kernels = TorchKernels(model)
    (group,) = canvases(textured(24, 24), 32)
    costs = kernels.measure(group)
    assert costs.shape == (1, 3, 3, 3)
    plain = kernels.encode(group)
    group.labels[:] = costs.argmin(-1)
    words = kernels.encode(group)
    assert words != plain
    found = emptied(group)
    kernels.decode([found], [words])
    assert (found.interior(0) == group.interior(0)).all()


def test_code_lengths_are_what_is_written(model):
    (group,) = canvases(textured(24, 24), 32)
    kernels = TorchKernels(model)
    words = kernels.encode(group)
    assert kernels.code_lengths(group).sum() / 256 == pytest.approx(8 * len(words), rel=0.02)


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_carriers_do_not_change_bytes(model, carrier):
    (group,) = canvases(textured(16, 20), 32)
    assert TorchKernels(model, "cpu", carrier).encode(group) == TorchKernels(model).encode(group)


def test_a_solution_stays_where_it_is():
    """Weights that solve the normal equations exactly are a fixed point, and are reached."""
    sums = torch.zeros((1, 6, 6), dtype=torch.int64)
    sums[0] = torch.eye(6, dtype=torch.int64) * 1_000_000
    sums[0, 0, 3] = sums[0, 3, 0] = 501_000
    found = solve(sums, torch.zeros((1, 3, 5), dtype=torch.int64), 2)
    assert found[0, 0, 0] == 4096 * 501_000 // 1_000_000
    assert found.count_nonzero() == 1
    assert torch.equal(solve(sums, found, 5), found)
