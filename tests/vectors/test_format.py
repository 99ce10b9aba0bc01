"""FORMAT.md is enough: a decoder written from it alone reads the golden files."""

import json
from dataclasses import replace

import google_crc32c
import numpy as np
import pytest

from seec.pipeline.codec import Background, Encoder, decode, load_model
from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.model.profile import Adaptation
from seec.schemas.container import Coding, SectionKind, parse
from tests.pictures import made_of_planes, textured
from tests.vectors import plain_decoder
from tests.vectors.drawn import LEARNING, draw_model
from tests.vectors.format_examples import FORMAT, examples
from tests.vectors.make import FOLDER, LISTING, golden_files, golden_model

VECTORS = json.loads(LISTING.read_text())
LARGE = ("fast-", "lite-", "max-", "paper-")  # networks that take plain Python minutes
SLOW = 1000  # pixels
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if golden.image.size > 3 * SLOW else [])
    for name, (_, golden) in sorted(golden_files().items())
    if not name.startswith(LARGE)
]


@pytest.mark.parametrize("name", NAMES)
def test_a_decoder_written_from_the_specification_reads_golden_files(name):
    blob, model = (FOLDER / name).read_bytes(), golden_model(VECTORS[name]["model"])
    height, width, channels, samples = plain_decoder.decode(blob, model.payload)
    pixels = decode(blob, models={model.id: model})
    assert (*pixels.shape[:2], 1 if pixels.ndim == 2 else 3) == (height, width, channels)
    assert pixels.tobytes() == samples


def test_the_examples_of_the_specification_are_what_the_plain_reader_computes():
    """After a change: `python -m tests.vectors.format_examples`."""
    assert FORMAT.read_text("utf-8").endswith(examples())


def test_the_check_value_of_the_specification_is_that_of_the_checksum():
    assert f"0x{plain_decoder.crc32c(b'123456789'):X}" in FORMAT.read_text("utf-8")
    assert plain_decoder.crc32c(b"123456789") == google_crc32c.value(b"123456789")


def test_screen_coded_golden_files_are_screen_coded():
    for name in ("tiny-screen.seec", "tiny-screen-groups.seec", "tiny-screen-dots.seec"):
        sections = parse((FOLDER / name).read_bytes()).sections
        assert all(s.coding is Coding.SCREEN for s in sections)


@pytest.mark.parametrize("name", ["drawn-predictor", "drawn-predictors"])
@pytest.mark.parametrize("kind", ["column", "planes"])
def test_the_plain_reader_decodes_cases_beyond_the_golden_files_of_predictors(name, kind):
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
def test_the_plain_reader_decodes_files_of_a_model_with_hidden_adaptation(kind):
    """Of four tiles in a group and several entropy models, with four predictors."""
    adaptations = {
        "hasty": Adaptation(6, 40, hidden_rate=120, fusion_rate=120, means=1),  # up to its limits
        "without means": Adaptation(20, 40, hidden_rate=12, fusion_rate=7),
        "memory": Adaptation(20, 40, hidden_rate=12, fusion_rate=7, means=1, memory=1),
    }
    adaptation = adaptations.get(kind, LEARNING.adaptation)
    model = load_model(draw_model(replace(LEARNING, adaptation=adaptation)))
    y, x = np.mgrid[:18, :21]
    image = textured(18, 21) // 8 + (60 + 4 * x + 3 * y).astype(np.uint8)[..., None]
    image = image[..., 0] if kind == "gray" else image
    labels = ((y + x) // 8 % LEARNING.entropy_models).astype(np.uint8)
    background = Background(y < 10, 4) if kind == "background" else None
    encoder = Encoder(model, tile_size=16, tiles_per_group=4, block_shift=3, screen=False)
    (blob,) = encoder.encode_batch([image], [labels], [background])
    assert parse(blob).sections[-1].coding is Coding.RANGE
    samples = plain_decoder.decode(blob, model.payload)[3]
    assert decode(blob, models={model.id: model}).tobytes() == samples
