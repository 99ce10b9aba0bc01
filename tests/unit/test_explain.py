import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from seec.jobs import explain
from seec.pipeline.codec import Background, Encoder, default_model, encode
from seec.pipeline.codec.insight import explain as look_into
from seec.schemas.container import SectionKind, parse
from tests.pictures import gray, textured


@pytest.mark.parametrize("draw", [gray, textured])
def test_code_lengths_add_up_to_the_coded_size(draw) -> None:
    image = draw(64, 80)
    (blob,) = Encoder(default_model(), tile_size=48).encode_batch([image], [None])
    seen = look_into(blob)
    assert np.array_equal(seen.pixels, image)
    assert seen.labels.shape == seen.code_length.shape == image.shape[:2]
    coded = sum(
        8 * len(s.payload) for s in parse(blob).sections if s.kind is SectionKind.TILE_GROUP
    )
    assert seen.code_length.sum() == pytest.approx(coded, rel=0.02)


@pytest.mark.parametrize("error", [60, None], ids=["within 60", "skipped"])
def test_code_lengths_of_a_lossy_file_add_up_too(error: int | None) -> None:
    """Short tiles, half lossy: all exact pixels see border colours, which the loss would move."""
    image = textured(3, 16 * 32)
    region = np.arange(16 * 32) % 32 >= 16
    image[:, ~region] //= 8
    background = Background(np.broadcast_to(region, image.shape[:2]), error)
    encoder = Encoder(default_model(), tile_size=32, tiles_per_group=16)
    (blob,) = encoder.encode_batch([image], [None], [background])
    seen = look_into(blob)
    assert (seen.pixels != image).any()
    (group,) = [s.payload for s in parse(blob).sections if s.kind is SectionKind.TILE_GROUP]
    words = group[3 * 16 :]  # behind the border colours of 16 tiles
    assert seen.code_length.sum() == pytest.approx(8 * len(words), rel=0.01)


def test_labels_are_those_of_the_file() -> None:
    labels = np.zeros((32, 48), np.uint8)
    labels[16:, 32:] = 3
    (blob,) = Encoder(default_model(), screen=False).encode_batch([textured(32, 48)], [labels])
    assert np.array_equal(look_into(blob).labels, labels)


def test_turned_images_are_shown_upright() -> None:
    image = textured(64, 96)
    image[:, :32] = 50
    (blob,) = Encoder(default_model(), screen=False, turned=True).encode_batch([image], [None])
    seen = look_into(blob)
    assert parse(blob).turned
    assert np.array_equal(seen.pixels, image)
    assert seen.labels.shape == seen.code_length.shape == (64, 96)
    assert 2 * seen.code_length[:, :32].mean() < seen.code_length[:, 32:].mean()


def test_raw_groups_cost_what_they_cost() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    assert (look_into(encode(noise)).code_length == 24).all()


def test_the_page_holds_everything_itself(tmp_path: Path) -> None:
    source, page = tmp_path / "a<b>.png", tmp_path / "page.html"
    Image.fromarray(textured(40, 50)).save(source)
    result = CliRunner().invoke(explain.main, [str(source), str(page), "--json"])
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert sum(figures["label_shares"]) == pytest.approx(1)
    text = page.read_text(encoding="utf-8")
    assert "a&lt;b&gt;.png" in text
    assert text.count("data:image/png;base64,") == 3
    assert "http" not in text
    assert f"{figures['size_bytes']:,} bytes" in text
