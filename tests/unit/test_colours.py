"""Colour sets: they are found, code the same pixels in fewer bytes, and refuse lies."""

import struct
import tracemalloc

import numpy as np
import pytest

from seec.pipeline.codec import Background, decode, default_model, encode, inspect
from seec.pipeline.codec.coding.tiles import tile_groups
from seec.pipeline.codec.colours import (
    Levels,
    Planes,
    Sheet,
    encode_exceptions,
    parse_colour_set,
    take_exceptions,
)
from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.detect import find_colour_set
from seec.pipeline.codec.colours.halve import halve
from seec.pipeline.codec.colours.invert import (
    find_luma,
    invert,
    invert_in_numpy,
    share,
    unique_pixels,
)
from seec.pipeline.codec.colours.presets import JFIF, PRESETS
from seec.pipeline.codec.decoder import Region, decode_region
from seec.pipeline.codec.encoder import Encoder
from seec.pipeline.codec.insight import explain
from seec.schemas.container import reader
from seec.schemas.errors import SectionCorrupt
from tests.pictures import Cut, gray, made_of_planes, textured


def section_names(blob):
    return [name for name, _ in inspect(blob).sections]


@pytest.mark.parametrize("family", PRESETS.values(), ids=PRESETS)
def test_every_family_is_found_and_saves_bytes(family):
    image = made_of_planes(96, 112, family=family)
    found = find_colour_set(image)
    assert found is not None
    assert isinstance(found.colours, Planes)
    made = found.colours.family.pixels(*(plane[..., 0] for plane in found.samples))
    assert (made == image).all(-1).mean() > 0.99
    blob = encode(image)
    assert section_names(blob)[0] == "colour_set"
    assert (decode(blob) == image).all()
    assert len(blob) < 0.9 * len(encode(image, colour_set="none"))


@pytest.mark.parametrize("chroma", Chroma)
@pytest.mark.parametrize("shape", [(97, 111), (64, 150)])
def test_chroma_is_coded_at_the_resolution_it_had(chroma, shape):
    height, width = shape
    image = made_of_planes(height, width, chroma)
    found = find_colour_set(image)
    assert found is not None
    assert found.colours.chroma is chroma
    cuts: list[Cut] = [{"tile_size": 32}, {"tile_size": 48, "tiles_per_group": 3}, {}]
    for cut in cuts:
        (blob,) = Encoder(default_model(), **cut).encode_batch([image], [None])
        assert section_names(blob)[0] == "colour_set"
        assert (decode(blob) == image).all()


def test_kernels_and_thread_counts_agree():
    image = made_of_planes(30, 40, Chroma.TRIANGLE_BOTH)
    cut: Cut = {"tile_size": 16, "tiles_per_group": 3}
    blobs = {
        Encoder(default_model(), device, threads, **cut).encode_batch([image], [None])[0]
        for device, threads in (("cpu", 1), ("cpu", 3), ("torch:cpu", 1))
    }
    (blob,) = blobs
    assert section_names(blob)[0] == "colour_set"
    assert (decode(blob, device="torch:cpu") == image).all()


@pytest.mark.parametrize("image", [textured(60, 50), gray(60, 50)], ids=["rgb", "gray"])
def test_missing_levels_are_found(image):
    stretched = (image.astype(np.int32) * 3 // 2 - 60).clip(0, 255).astype(np.uint8)
    blob = encode(stretched)
    assert section_names(blob)[0] == "colour_set"
    assert (decode(blob) == stretched).all()
    assert len(blob) < len(encode(stretched, colour_set="none"))


def test_pixels_outside_the_colour_set_come_back():
    image = made_of_planes(128, 128, Chroma.TRIANGLE_BOTH)
    image[30:33, 40:60] = np.random.default_rng(1).integers(0, 256, (3, 20, 3))
    image[70:90, 5:30] = 255
    image[-1, -1] = image[0, 0] = (1, 250, 3)
    (blob,) = Encoder(default_model(), tile_size=64).encode_batch([image], [None])
    assert section_names(blob)[0] == "colour_set"
    assert (decode(blob) == image).all()


def test_a_region_is_cut_out_of_the_right_planes():
    image = made_of_planes(100, 120, Chroma.TRIANGLE_BOTH)
    (blob,) = Encoder(default_model(), tile_size=32).encode_batch([image], [None])
    crop = decode_region(reader(blob), Region(29, 31, 50, 45))
    assert (crop == image[31:76, 29:79]).all()


@pytest.mark.parametrize("regions", [False, True])
def test_given_labels_hold_for_all_planes(regions):
    image = made_of_planes(80, 96, Chroma.TRIANGLE_BOTH)
    labels = np.zeros((80, 96), np.uint8)
    labels[:, 50:] = 2
    blob = encode(image, labels=labels, regions=regions)
    assert section_names(blob)[:2] == ["colour_set", "labels"]
    assert (decode(blob) == image).all()


def test_photographs_noise_tiny_and_lossy_images_have_none():
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    for image in (textured(90, 100), noise, textured(1, 1), made_of_planes(3, 4)):
        blob = encode(image)
        assert "colour_set" not in section_names(blob)
        assert (decode(blob) == image).all()
    jpeg = made_of_planes(64, 64)
    lossy = encode(jpeg, background=Background(np.zeros((64, 64), bool), 4))
    assert "colour_set" not in section_names(lossy)


def test_explained_bits_are_those_of_all_planes():
    image = made_of_planes(64, 96, Chroma.TRIANGLE_BOTH)
    (blob,) = Encoder(default_model(), tile_size=32).encode_batch([image], [None])
    insight = explain(blob)
    tiles = sum(size for name, size in inspect(blob).sections if name == "tile_group")
    assert insight.code_length.shape == (64, 96)
    # Words and borders of the groups, and samples that two tiles share, are not pixels' bits.
    assert insight.code_length.sum() / 8 == pytest.approx(tiles, rel=0.2)


@pytest.mark.parametrize("chroma", [c for c in Chroma if c is not Chroma.FULL])
def test_enlarging_undoes_halving(chroma):
    rng = np.random.default_rng(5)
    samples = (128 + np.cumsum(rng.integers(-2, 3, (30, 41)), 1)).clip(0, 255).astype(np.uint8)
    for height, width in ((30 << chroma.row_shift, 82), ((30 << chroma.row_shift) - 1, 81)):
        plane = chroma.enlarge(samples)[:height, :width]
        found = halve(plane, np.ones(plane.shape, bool), chroma)
        made = chroma.enlarge(found)[:height, :width]
        assert (made == plane).mean() > 0.98


def test_triangles_are_libjpeg_s():
    """Rows first without rounding, then columns, each 3 parts to 1, rounded as libjpeg does."""
    samples = np.array([[10, 20], [30, 47]], np.uint8)
    assert Chroma.TRIANGLE_COLUMNS.enlarge(samples[:1]).tolist() == [[10, 13, 17, 20]]
    assert Chroma.TRIANGLE_BOTH.enlarge(samples).tolist() == [
        [10, 12, 18, 20],
        [15, 18, 24, 27],
        [25, 29, 36, 40],
        [30, 34, 43, 47],
    ]


def test_midpoints_are_means_of_the_samples_around():
    """As Photo CD makes them: of two or of four, halves rounded up; edges repeat."""
    samples = np.array([[10, 21], [30, 48]], np.uint8)
    enlarged = Chroma.MIDPOINT_BOTH.enlarge(samples)
    assert enlarged.tolist() == [
        [10, 16, 21, 21],
        [20, 27, 35, 35],
        [30, 39, 48, 48],
        [30, 39, 48, 48],
    ]
    turned = {
        Chroma.MIDPOINT_BOTH_ODD: (slice(None, None, -1), slice(None, None, -1)),
        Chroma.MIDPOINT_BOTH_ODD_ROWS: (slice(None, None, -1), slice(None)),
        Chroma.MIDPOINT_BOTH_ODD_COLUMNS: (slice(None), slice(None, None, -1)),
    }
    for chroma, turn in turned.items():
        assert (chroma.enlarge(samples[turn]) == enlarged[turn]).all()
    assert Chroma.MIDPOINT_COLUMNS.enlarge(samples[:1]).tolist() == [[10, 16, 21, 21]]
    assert Chroma.MIDPOINT_ODD_COLUMNS.enlarge(samples[:1]).tolist() == [[10, 10, 16, 21]]


@pytest.mark.parametrize("family", PRESETS.values(), ids=PRESETS)
def test_inversion_finds_samples_of_every_colour_of_a_family(family):
    rng = np.random.default_rng(2)
    samples = rng.integers(100, 150, (4000, 3), np.uint8)
    pixels = family.pixels(*samples.T)
    pixels = pixels[((pixels > 0) & (pixels < 255)).all(1)]
    found, exact = invert(family, pixels)
    assert exact.all()
    assert (family.pixels(*found.T) == pixels).all()
    assert share(family, pixels) == 1


@pytest.mark.parametrize("family", PRESETS.values(), ids=PRESETS)
def test_inversion_gives_the_same_samples_in_c_and_in_numpy(family):
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 256, (300, 3), np.uint8)
    made = family.pixels(*rng.integers(60, 200, (3, 300), np.uint8))
    pixels = np.concatenate([colours, made, made.clip(90, 255), colours[::-1]])
    pixels[::7] = np.where(pixels[::7] > 128, 255, pixels[::7])
    for ours, theirs in zip(invert(family, pixels), invert_in_numpy(family, pixels), strict=True):
        assert (ours == theirs).all()


def test_luma_is_found_wherever_there_is_one():
    rng = np.random.default_rng(4)
    luma, blue, red = rng.integers(0, 256, (3, 40, 50), np.uint8)
    for family in PRESETS.values():
        pixels = family.pixels(luma, blue, red)
        found, exact = find_luma(family, pixels, np.zeros_like(luma), blue, red)
        assert exact.all()
        assert (family.pixels(found, blue, red) == pixels).all()


def test_unique_pixels_rebuild_the_image():
    pixels = textured(20, 20).reshape(-1, 3)
    colours, which = unique_pixels(pixels)
    assert (colours[which] == pixels).all()


@pytest.mark.parametrize("share", [0, 0.001, 0.05, 1])
def test_exceptions_come_back(share):
    rng = np.random.default_rng(6)
    wanted = rng.integers(0, 256, (3000, 3), np.uint8)
    made = wanted.copy()
    wrong = rng.random(3000) < share
    made[wrong] += rng.integers(0, 3, (int(wrong.sum()), 3), np.uint8)
    payload = encode_exceptions(wanted, made)
    exceptions, rest = take_exceptions(payload + b"rest", 3000, 3)
    tiles = [made[:1000].reshape(10, 100, 3), made[1000:].reshape(100, 20, 3)]
    exceptions.correct(tiles)
    assert rest == b"rest"
    assert (np.concatenate([t.reshape(-1, 3) for t in tiles]) == wanted).all()
    for cut in range(0, len(payload), max(1, len(payload) // 50)):
        with pytest.raises(SectionCorrupt):
            take_exceptions(payload[:cut], 3000, 3)


def test_many_exceptions_in_many_values_come_back():
    rng = np.random.default_rng(9)
    wanted, made = rng.integers(0, 256, (2, 40_000, 3), np.uint8)
    exceptions, rest = take_exceptions(encode_exceptions(wanted, made), 40_000, 3)
    exceptions.correct([made[None]])
    assert not rest
    assert (made == wanted).all()


def test_exceptions_that_a_few_bytes_claim_take_little_memory():
    claimed = 1 << 17
    table = b"\xff" + bytes([26] * 256) + bytes([1] * 256)
    tracemalloc.start()
    try:
        with pytest.raises(SectionCorrupt, match="end early"):
            take_exceptions(struct.pack("<II", claimed, 0) + 4 * table, claimed, 3)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_any_bytes_are_exceptions_or_refused():
    rng = np.random.default_rng(8)
    wanted = rng.integers(0, 256, (500, 3), np.uint8)
    made = wanted.copy()
    made[::7] += 1
    payload = encode_exceptions(wanted, made)
    for _ in range(300):
        hostile = bytearray(payload)
        hostile[rng.integers(len(hostile))] = rng.integers(256)
        try:
            exceptions, _ = take_exceptions(bytes(hostile), 500, 3)
        except SectionCorrupt:
            continue
        assert exceptions.at.max(initial=0) < 500


@pytest.mark.parametrize("chroma", [None, *Chroma])
@pytest.mark.parametrize("shape", [(1, 1), (33, 65), (64, 100), (130, 97)])
def test_parts_of_tiles_never_share_a_place(chroma, shape):
    height, width = shape
    sheet = Sheet(height, width, 3, 32, 4, chroma)
    covered = np.zeros(sheet.shape[:2], int)
    (tiles,) = tile_groups(height, width, 32, 10**6)
    for tile in tiles:
        for part in sheet.tiles(tile):
            assert max(part.height, part.width) <= 32
            area = covered[part.rows, part.columns]
            assert area.shape == (part.height, part.width)
            area += 1
    assert covered.max() == 1


@pytest.mark.parametrize(
    ("payload", "channels"),
    [
        (b"", 3),
        (b"\x02", 3),
        (b"\x00" + bytes(31), 1),
        (b"\x00" + bytes(96), 3),
        (b"\x01", 3),
        (b"\x01\x0b" + JFIF.serialise(), 3),
        (b"\x01\x00" + JFIF.serialise()[:-1], 3),
        (b"\x01\x00" + JFIF.serialise(), 1),
        (b"\x01\x00" + JFIF.serialise()[:-1] + b"\x02", 3),
        (b"\x01\x00" + bytes([0, 0, 0, 128]) + JFIF.serialise()[4:], 3),
        (b"\x01\x00" + JFIF.serialise()[:20] + b"\xff\xff\xff\xff" + JFIF.serialise()[24:], 3),
    ],
)
def test_colour_sets_that_no_encoder_writes_are_refused(payload, channels):
    with pytest.raises(SectionCorrupt):
        parse_colour_set(payload, channels)


def test_colour_sets_survive_serialising():
    for colours in (
        Planes(JFIF, Chroma.TRIANGLE_BOTH),
        Levels((bytes([1, 2, 9]), bytes([0]), bytes(range(256)))),
    ):
        assert parse_colour_set(colours.serialise(), 3) == colours
