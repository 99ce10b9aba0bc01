"""Screen coding: the same words from C and from Python, chosen where it is smaller."""

import io
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from seec.pipeline.codec import Encoder, decode, default_model, encode, packaged_model, screen
from seec.pipeline.codec.coding.tiles import Tile, tile_groups
from seec.pipeline.codec.screen import decode_screen, encode_screen, looks_drawn, widest_tile
from seec.schemas import container
from seec.schemas.container import Coding, SectionKind, parse
from seec.schemas.errors import FormatError, ModelError, SectionCorrupt
from tests.pictures import gray, screenshot, textured

NOISE = np.random.default_rng(0).integers(0, 256, (20, 21, 3), np.uint8)
IMAGES = {
    "screenshot": screenshot(40, 45),
    "gray": screenshot(30, 33)[..., 0].copy(),
    "photograph": textured(14, 20),
    "noise": NOISE,
    "extremes": NOISE // 128 * 255,
    "flat": np.zeros((20, 33, 3), np.uint8),
    "pixel": NOISE[:1, :1],
    "row": screenshot(9, 60)[4:5],
    "column": screenshot(60, 9)[:, 4:5],
}


def group(image, tile_size=4096, per_group=1000) -> tuple[list[Tile], bytes, int]:
    """All tiles of an image as one group: tiles, samples, channels."""
    height, width = image.shape[:2]
    (tiles,) = tile_groups(height, width, tile_size, per_group)
    samples = b"".join(image[t.rows, t.columns].tobytes() for t in tiles)
    return tiles, samples, image.shape[2] if image.ndim == 3 else 1


def test_the_c_extension_is_built_here():
    assert screen.native is not None, "install with a C compiler to test both"


@pytest.mark.parametrize("tile_size", [4096, 16])
@pytest.mark.parametrize("name", IMAGES)
def test_python_writes_and_reads_the_words_of_c(name, tile_size, monkeypatch):
    tiles, samples, channels = group(IMAGES[name], tile_size)
    words = encode_screen(samples, tiles, channels)
    assert decode_screen(words, tiles, channels) == samples
    monkeypatch.setattr(screen, "native", None)
    assert encode_screen(samples, tiles, channels) == words
    assert decode_screen(words, tiles, channels) == samples


def test_a_drawn_image_is_screen_coded_in_one_tile():
    image = screenshot(700, 620)
    blob = encode(image)
    container = parse(blob)
    assert [s.coding for s in container.sections] == [Coding.SCREEN]
    assert (container.tile_size, container.tiles_per_group) == (704, 1)
    assert np.array_equal(decode(blob), image)
    small = Encoder(default_model(), screen=False).encode_batch([image], [None])[0]
    assert len(blob) < len(small) / 2


def test_each_tile_group_is_coded_in_the_way_that_takes_least():
    noise = np.random.default_rng(1).integers(0, 256, (8, 96, 3), np.uint8)
    parts = [screenshot(96, 96), textured(96, 96, 1), textured(96, 96, 2), noise]
    image = np.concatenate(parts)
    (blob,) = Encoder(default_model(), tile_size=96).encode_batch([image], [None])
    codings = [s.coding for s in parse(blob).sections][-4:]
    assert codings == [Coding.SCREEN, Coding.RANGE, Coding.RANGE, Coding.RAW]
    assert np.array_equal(decode(blob), image)


def test_photographs_are_not_tried():
    assert not looks_drawn(textured(100, 100))
    assert not looks_drawn(gray(100, 100)[..., None])
    assert looks_drawn(screenshot(100, 100))
    assert looks_drawn(screenshot(100, 100)[..., :1])


def test_the_widest_tile_is_one_that_decoders_accept():
    assert widest_tile(1, 1, 4) == 16
    assert widest_tile(700, 620, 4) == 704
    assert widest_tile(10_000, 3, 8) == 4096


def test_very_long_drawings_are_coded_in_groups_that_a_file_can_list(monkeypatch):
    monkeypatch.setattr(container, "MAX_SECTIONS", 8)
    monkeypatch.setattr(screen, "MAX_TILE", 32)
    image = screenshot(16, 32 * 7)
    (blob,) = Encoder(default_model(), tile_size=16).encode_batch([image], [None])
    coded = parse(blob)
    assert (coded.tile_size, coded.tiles_per_group, len(coded.sections)) == (32, 3, 3)
    assert np.array_equal(decode(blob), image)


def test_a_network_that_saves_less_than_its_label_map_takes_is_left_out():
    image = screenshot(9, 60)[4:5]
    model = packaged_model("max")
    (without,) = Encoder(model, screen=False).encode_batch([image], [None])
    assert [s.kind for s in parse(without).sections] == [SectionKind.LABELS, SectionKind.TILE_GROUP]
    blob = encode(image, model=model)
    assert [s.coding for s in parse(blob).sections] == [Coding.SCREEN]
    assert len(blob) < len(without)


def png_size(image) -> int:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    return file.tell()


SMALL_OR_NOISY = {
    **IMAGES,
    **{f"screenshot-{n}": screenshot(n, n) for n in (8, 16, 32)},
    "flat-pixel": np.full((1, 1), 7, np.uint8),
    "flat-row": np.full((1, 900), 7, np.uint8),
    "flat-column": np.full((900, 1), 7, np.uint8),
    "flat-gray": np.full((64, 64), 7, np.uint8),
    "textured-row": gray(1, 300),
    "textured-column": textured(300, 1),
    "noise-gray": np.random.default_rng(2).integers(0, 256, (70, 70), np.uint8),
}


@pytest.mark.parametrize("name", SMALL_OR_NOISY)
def test_no_small_or_noisy_image_is_larger_than_png_or_its_samples(name):
    image = SMALL_OR_NOISY[name]
    blob = encode(image)
    assert np.array_equal(decode(blob), image)
    assert len(blob) <= min(png_size(image), image.size + 64)


def damaged(words: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    kinds = (
        words[: 4 * rng.integers(len(words) // 4)],
        words + bytes(8),  # one zero word more may be what words end with
        rng.integers(0, 256, 4 * int(rng.integers(1, 60)), np.uint8).tobytes(),
        b"\xff" * len(words),
    )
    return kinds[seed % len(kinds)]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_damaged_words_are_refused_or_give_other_pixels(seed, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(screen, "native", None)
    tiles, samples, channels = group(screenshot(12, 15))
    words = encode_screen(samples, tiles, channels)
    with suppress(SectionCorrupt):
        assert decode_screen(damaged(words, seed), tiles, channels) != samples


def test_half_a_word_is_refused():
    with pytest.raises(SectionCorrupt, match="whole number"):
        decode_screen(b"\0" * 5, [Tile(0, 0, 4, 4)], 3)


def test_every_bit_flip_and_truncation_of_a_screen_coded_file_is_noticed():
    blob = encode(screenshot(24, 30))
    assert parse(blob).sections[0].coding is Coding.SCREEN
    for position in range(len(blob)):
        flipped = bytearray(blob)
        flipped[position] ^= 1 << position % 8
        for bad in (bytes(flipped), blob[:position]):
            with pytest.raises((FormatError, ModelError)):
                decode(bad)
