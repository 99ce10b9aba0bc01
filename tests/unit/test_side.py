"""SIC: what is trained is what runs, everything comes back, and the paper's sizes work."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seec.pipeline.codec import Encoder, Region, decode, decode_region, inspect, load_model
from seec.pipeline.codec.coding.tiles import Tile
from seec.pipeline.codec.model.profile import PAPER, Profile, SideSizes
from seec.pipeline.codec.sic.latents import SideCoder
from seec.pipeline.codec.training.export import export_model
from seec.pipeline.codec.training.networks import SeecNetwork
from seec.pipeline.lab.training.data import TrainingData
from seec.pipeline.lab.training.loop import Trainer, TrainingSettings
from seec.pipeline.segmentation import make_segmenter
from seec.schemas.container import parse, reader, serialise
from seec.schemas.errors import InexactWeights, SectionCorrupt
from tests.pictures import gray, textured

SIC = Profile(
    name="small",
    width=16,
    fused=16,
    hidden=16,
    entropy_models=2,
    mixtures=2,
    side=SideSizes(latents=3, features=4, transform=6, heads=2),
)


@pytest.fixture(scope="module")
def network() -> SeecNetwork:
    """With weights so large that latents and features spread over their range."""
    torch.manual_seed(3)
    network = SeecNetwork(SIC).eval()
    assert network.side is not None
    with torch.no_grad():
        layers = dict(network.side.layers())
        layers["g_a.6"].weight.mul_(1.5)
        for table in network.side.arithmetic.positions.values():
            table.normal_()
    return network


@pytest.fixture(scope="module")
def model(network: SeecNetwork):
    return load_model(export_model(network, {"name": "small"}))


def test_features_in_training_are_the_features_of_the_decoder(network, model):
    patches = np.stack([textured(64, 64, seed) for seed in range(2)])
    with torch.no_grad():
        floats, _ = network.side(torch.from_numpy(patches).permute(0, 3, 1, 2))
    coder, tiles = SideCoder(model), [Tile(0, 0, 64, 64)]
    for patch, expected in zip(patches, floats, strict=True):
        latents = coder.analyse(patch, tiles)
        assert len(latents[0].y.unique()) > 10
        integers = coder.features(latents, tiles)[0]
        assert (integers == (expected.permute(1, 2, 0) * 128).numpy()).all()


def test_the_rate_in_training_is_the_size_of_the_sections(network, model):
    patches = np.stack([textured(64, 64, seed) for seed in range(8)])
    with torch.no_grad():
        _, bits = network.side(torch.from_numpy(patches).permute(0, 3, 1, 2))
    coder = SideCoder(model)
    latents = [coder.analyse(patch, [Tile(0, 0, 64, 64)])[0] for patch in patches]
    coded = 8 * sum(map(len, coder.encode(latents)))
    assert coded == pytest.approx(float(bits), rel=0.1)


@pytest.mark.parametrize("draw", [gray, textured])
@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (70, 100)])
def test_any_image_comes_back_whatever_kernels_threads_and_carriers(model, shape, draw):
    image, models = draw(*shape), {model.id: model}
    (blob,) = Encoder(model, tile_size=48).encode_batch([image], [None])
    for device, threads in (("cpu", 2), ("torch:cpu", 1)):
        encoder = Encoder(model, device, threads, tile_size=48)
        assert encoder.encode_batch([image], [None]) == [blob]
        assert (decode(blob, models=models, threads=threads, device=device) == image).all()
    exact = SideCoder(model, carrier=torch.float64)
    tiles = [Tile(0, 0, *image.shape[:2])]
    pixels = image if image.ndim == 3 else image[..., None]
    float32 = SideCoder(model)
    latents = float32.analyse(pixels, tiles)
    assert (exact.features(latents, tiles) == float32.features(latents, tiles)).all()


def test_a_crop_needs_only_its_own_tiles(model):
    image = textured(100, 120)
    (blob,) = Encoder(model, tile_size=32).encode_batch([image], [None])
    crop = decode_region(reader(blob), Region(40, 30, 20, 25), models={model.id: model})
    assert (crop == image[30:55, 40:60]).all()


def test_latents_are_in_the_file_and_needed(model):
    image, models = textured(40, 40), {model.id: model}
    (blob,) = Encoder(model, screen=False).encode_batch([image], [None])
    names = [name for name, _ in inspect(blob).sections]
    assert names[-3:] == ["hyper_latents", "latents", "tile_group"]
    container = parse(blob)
    for gone in ({"HYPER_LATENTS"}, {"LATENTS"}, {"HYPER_LATENTS", "LATENTS"}):
        kept = tuple(s for s in container.sections if s.kind.name not in gone)
        with pytest.raises(SectionCorrupt, match="latents"):
            decode(serialise(replace(container, sections=kept)), models=models)


def test_random_latents_never_give_a_picture(model):
    """Sealed with valid checksums: only the decoder itself can notice."""
    (blob,) = Encoder(model, screen=False).encode_batch([textured(40, 40)], [None])
    container, rng = parse(blob), np.random.default_rng(0)
    for _ in range(20):
        sections = tuple(
            replace(s, payload=rng.bytes(4 * int(rng.integers(0, 12))))
            if "LATENTS" in s.kind.name
            else s
            for s in container.sections
        )
        with pytest.raises(SectionCorrupt):
            decode(serialise(replace(container, sections=sections)), models={model.id: model})


def test_tables_of_positions_and_latents_have_bounds(network):
    import json

    import safetensors.numpy

    payload = export_model(network, {"name": "small"})
    tensors = safetensors.numpy.load(payload)
    header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
    for name, value in (("table.z", 0), ("table.g_s.1.0.position", 5000), ("table.normal", -1)):
        damaged = {n: t.copy() for n, t in tensors.items()}
        damaged[name].flat[3] = value
        with pytest.raises(InexactWeights):
            load_model(safetensors.numpy.save(damaged, header["__metadata__"]))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(12):
        Image.fromarray(textured(96, 96, seed)).save(folder / f"image_{seed}.png")
    return folder


def test_training_lowers_what_latents_and_pixels_cost_together(photographs):
    data = TrainingData(photographs, make_segmenter("none"))
    trainer = Trainer(SIC, TrainingSettings(steps=40, batch=4, validate_every=20), data)
    first, last = trainer.advance(1e9)
    assert last.validation_bpsp < first.validation_bpsp
    side = trainer.network.side
    assert side is not None
    before = {n: p.clone() for n, p in side.named_parameters()}
    trainer.schedule = replace(trainer.schedule, steps=41)
    trainer.advance(1e9)
    stuck = [n for n, p in side.named_parameters() if torch.equal(p, before[n])]
    assert not stuck, "every weight of SIC must learn"


def test_the_sizes_of_the_paper_build_train_code_and_decode(photographs):
    data = TrainingData(photographs, make_segmenter("none"))
    data.validation = data.validation[:1]
    trainer = Trainer(PAPER, TrainingSettings(steps=2, batch=4), data)
    trainer.advance(1e9)
    assert trainer.step == 2
    model = load_model(export_model(trainer.average, {"name": "paper, two steps"}))
    image, models = textured(20, 33), {model.id: model}
    (blob,) = Encoder(model, tile_size=64).encode_batch([image], [None])
    assert (decode(blob, models=models, threads=1) == image).all()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert (decode(blob, models=models, threads=2) == image).all()
        assert Encoder(model, threads=2, tile_size=64).encode_batch([image], [None]) == [blob]
    finally:
        torch.set_num_threads(before)
