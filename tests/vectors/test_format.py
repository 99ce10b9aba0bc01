"""FORMAT.md is enough: a decoder written from it alone reads the golden files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seec.pipeline.codec import Background, Encoder, decode, load_model
from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.model.profile import Tuning
from seec.schemas.container import Coding, SectionKind, parse
from tests.pictures import made_of_planes, textured
from tests.vectors import plain_decoder
from tests.vectors.drawn import LEARNING, STORED, draw_model
from tests.vectors.make import of_predictors, screens

FOLDER = Path(__file__).parent
SMALL = ["pixel", "column", "raw-noise", "small", "roi-nothing", "turned", "turned-gray"]
LARGER = ["rgb", "small-blocks", "given-labels", "gray", "tiles", "groups", "flat"]
SMALL += ["colours-columns", "colours-midpoint-columns", "colours-photo-cd"]
LARGER += ["colours-triangles", "colours-repeated", "colours-midpoints", "colours-levels"]
LARGER += ["colours-gray-levels"]
LARGER += ["roi-error-1", "roi-error-8", "roi-error-127", "roi-skip", "roi-gray"]


@pytest.mark.parametrize("name", SMALL)
def test_a_decoder_written_from_the_specification_reads_golden_files(name, golden_model):
    blob = (FOLDER / f"v1-tiny-{name}.seec").read_bytes()
    height, width, channels, samples = plain_decoder.decode(blob, golden_model.payload)
    pixels = decode(blob, models={golden_model.id: golden_model})
    assert (*pixels.shape[:2], 1 if pixels.ndim == 2 else 3) == (height, width, channels)
    assert pixels.tobytes() == samples


@pytest.mark.parametrize("name", sorted(STORED))
def test_it_reads_files_of_other_models(name):
    """Numbers of classes and of components; SIC with and without attention; predictors."""
    model = load_model((FOLDER / f"{name}.safetensors").read_bytes())
    blob = (FOLDER / f"v1-{name}.seec").read_bytes()
    samples = plain_decoder.decode(blob, model.payload)[3]
    assert decode(blob, models={model.id: model}).tobytes() == samples


@pytest.mark.parametrize("name", sorted(of_predictors()))
@pytest.mark.parametrize("drawn", ["predictors", "tuning"])
def test_it_reads_files_of_a_model_with_predictors(drawn, name):
    model = load_model((FOLDER / f"drawn-{drawn}.safetensors").read_bytes())
    prefix = "v1-drawn-tuning" if drawn == "tuning" else "v1-drawn"
    blob = (FOLDER / f"{prefix}-{name}.seec").read_bytes()
    samples = plain_decoder.decode(blob, model.payload)[3]
    assert decode(blob, models={model.id: model}).tobytes() == samples


@pytest.mark.parametrize("name", ["drawn-predictor", "drawn-predictors"])
@pytest.mark.parametrize("kind", ["column", "planes"])
def test_it_reads_what_golden_files_of_predictors_lack(name, kind):
    """A column too regular to be stored raw: one pixel every other step. The sheet of planes."""
    model = load_model((FOLDER / f"{name}.safetensors").read_bytes())
    rising = np.arange(180, dtype=np.uint8).reshape(60, 1, 3) // 9 + 60
    image = rising if kind == "column" else made_of_planes(21, 33, Chroma.TRIANGLE_BOTH)
    blob = Encoder(model, screen=False).encode_batch([image], [None])[0]
    sections = parse(blob).sections
    assert sections[-1].coding is Coding.RANGE
    assert (sections[0].kind is SectionKind.COLOUR_SET) == (kind == "planes")
    assert plain_decoder.decode(blob, model.payload)[3] == image.tobytes()


@pytest.mark.parametrize("kind", ["hasty", "gray", "background", "without means", "memory"])
def test_it_reads_what_a_model_wrote_whose_layers_all_learn(kind):
    """Of four tiles in a group and several experts, with four predictors."""
    tunings = {
        "hasty": Tuning(6, 40, hidden=120, fusion=120, means=1),  # up to its limits
        "without means": Tuning(20, 40, hidden=12, fusion=7),
        "memory": Tuning(20, 40, hidden=12, fusion=7, means=1, memory=1),
    }
    tuning = tunings.get(kind, LEARNING.tuning)
    model = load_model(draw_model(replace(LEARNING, tuning=tuning)))
    y, x = np.mgrid[:18, :21]
    image = textured(18, 21) // 8 + (60 + 4 * x + 3 * y).astype(np.uint8)[..., None]
    image = image[..., 0] if kind == "gray" else image
    labels = ((y + x) // 8 % LEARNING.experts).astype(np.uint8)
    background = Background(y < 10, 4) if kind == "background" else None
    encoder = Encoder(model, tile_size=16, tiles_per_group=4, block_shift=3, screen=False)
    (blob,) = encoder.encode_batch([image], [labels], [background])
    assert parse(blob).sections[-1].coding is Coding.RANGE
    samples = plain_decoder.decode(blob, model.payload)[3]
    assert decode(blob, models={model.id: model}).tobytes() == samples


@pytest.mark.parametrize("name", sorted(screens()))
def test_it_reads_screen_coded_files(name, golden_model):
    blob = (FOLDER / f"v1-tiny-{name}.seec").read_bytes()
    assert all(s.coding is Coding.SCREEN for s in parse(blob).sections)
    samples = plain_decoder.decode(blob, golden_model.payload)[3]
    assert samples == screens()[name][0].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGER)
def test_the_rest_of_the_golden_files_too(name, golden_model):
    blob = (FOLDER / f"v1-tiny-{name}.seec").read_bytes()
    samples = plain_decoder.decode(blob, golden_model.payload)[3]
    assert decode(blob, models={golden_model.id: golden_model}).tobytes() == samples
