"""Samples of any depth: what comes back, from each instruction set and in groups of all sizes."""

import numpy as np
import pytest
import zstandard

from seec.pipeline import deep
from seec.pipeline.deep import native
from seec.pipeline.deep.mapping import plans, read_gaps
from seec.schemas import deep as schema
from seec.schemas.planes import Shape
from tests.vectors.drawn_deep import Rasters, rasters

RASTERS = rasters()


def coded(samples: list[np.ndarray], depth: int) -> bytes:
    """The code, once it is known to come back."""
    code = deep.encode(samples, depth)
    assert code is not None
    height, width, count = samples[0].shape
    decoded = deep.decode(code, Shape(width, height, count, depth), len(samples))
    for one, found in zip(samples, decoded, strict=True):
        np.testing.assert_array_equal(found, one)
    return code


def layout_of(raster: Rasters) -> schema.Layout:
    samples, depth = raster
    return plans(samples, depth, (1, samples[0].shape[0]))[0]


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_each_instruction_set_writes_and_reads_the_same_bytes(level: str, bands: int):
    rng = np.random.default_rng(bands)
    walk = rng.integers(-60, 61, (3, bands, 11, 35)).cumsum(2).cumsum(3)
    for top in (1, 3000, 65535, (1 << 31) - 1):
        numbers = np.clip(walk * max(1, top // 9000) + top // 2, 0, top).astype(np.uint32)
        for way in (0, 1, 2, 3, 9, 11):
            code = native.encode_group(numbers, top, way, level)
            assert code == native.encode_group(numbers, top, way, native.levels()[0])
            found = native.decode_group(code, numbers.shape, top, way, level)
            np.testing.assert_array_equal(found, numbers)


@pytest.mark.parametrize("most", [1, 40, 300, 1000, 5000])
@pytest.mark.parametrize("name", ["gray", "bands", "stack", "holes", "float"])
def test_groups_of_all_sizes_come_back(name: str, most: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "MAX_DEEP_GROUP", most)
    coded(*RASTERS[name])


def test_common_bits_and_values_that_never_occur_are_left_out():
    layout = layout_of(RASTERS["holes"])
    assert layout.shift == 4
    layout = layout_of(RASTERS["labels"])
    assert layout.top == len(np.unique(RASTERS["labels"][0])) - 1
    assert layout.low == RASTERS["labels"][0][0].min()


def test_values_far_from_all_others_are_brought_near():
    samples = np.linspace(100, 104, 3000, dtype=np.float32).reshape(50, 60, 1)
    span = int(np.ptp(samples.view(np.uint32).astype(np.int64)))
    samples[4:9, 7:30] = -9999
    samples[20, 3] = np.inf
    layout = layout_of(([samples.view(np.uint32)], 32))
    assert 1 <= len(read_gaps(layout.gaps).kept) <= 2
    assert layout.top <= span + 4
    coded([samples.view(np.uint32)], 32)


def test_floats_of_both_signs_keep_their_order():
    y, x = np.mgrid[:40, :50]
    samples = (np.sin(x / 9) * 3 + y / 11 - 2).astype(np.float32)[..., None]
    assert layout_of(([samples.view(np.uint32)], 32)).meaning is schema.Meaning.ORDERED
    assert layout_of(RASTERS["gray"]).meaning is schema.Meaning.PLAIN


@pytest.mark.parametrize("name", ["noise", "repeated", "constant"])
def test_a_group_is_no_larger_than_its_bytes_with_zstd(name: str):
    samples, depth = RASTERS[name]
    shuffled = np.ascontiguousarray(samples[0].reshape(-1, 1).view(np.uint8).T).tobytes()
    assert len(coded(samples, depth)) <= len(zstandard.compress(shuffled, 19)) + 40


def test_what_it_is_not_for_is_refused():
    wide = np.zeros((1, (1 << 20) + 1, 1), np.uint16)
    assert deep.encode([wide], 16) is None
    far = (np.arange(1 << 12, dtype=np.uint32) * np.uint32((1 << 20) - 1)).reshape(64, 64, 1)
    assert deep.encode([far], 32) is None


def test_numbers_above_the_largest_are_refused():
    with pytest.raises(ValueError, match="largest"):
        native.encode_group(np.full((1, 1, 2, 2), 5, np.uint32), 4, 0)
    with pytest.raises(ValueError, match="level"):
        native.encode_group(np.zeros((1, 1, 2, 2), np.uint32), 4, 0, "abacus")
    for shape in ((1, 33, 2, 2), (1, 1, 0, 2), (1, 2, 1, (1 << 19) + 1)):
        with pytest.raises(ValueError, match="group"):
            native.encode_group(np.zeros(shape, np.uint32), 4, 0)


@pytest.mark.parametrize(
    ("name", "meaning", "step"),
    [
        ("quarters", schema.Meaning.MULTIPLES, 0.25),
        ("decimals", schema.Meaning.ORDERED_MULTIPLES, 0.01),
    ],
)
def test_floats_that_are_multiples_are_coded_as_integers(
    name: str, meaning: schema.Meaning, step: float
):
    layout = layout_of(RASTERS[name])
    assert (layout.meaning, layout.step) == (meaning, step)
    assert len(layout.others) == 2  # NaN and -0
    assert layout.top < 5000
    coded(*RASTERS[name])


def test_scaled_integers_are_found_whatever_the_scale():
    rng = np.random.default_rng(5)
    numbers = rng.integers(-3000, 9000, (60, 50, 1))
    for scale in (0.0371, 1 / 3, 1.2345678e-7, 4217.9, np.pi):
        samples = (numbers * scale).astype(np.float32).view(np.uint32)
        layout = layout_of(([samples], 32))
        assert layout.meaning.has_step, scale
        assert layout.top < 1 << 15
        coded([samples], 32)


def test_floats_that_are_dense_near_zero_are_no_multiples():
    rng = np.random.default_rng(6)
    halfs = (rng.exponential(1, (60, 50, 1)) ** 3).astype(np.float16).astype(np.float32)
    for samples in (halfs, rng.normal(size=(60, 50, 1)).astype(np.float32)):
        assert not layout_of(([samples.view(np.uint32)], 32)).meaning.has_step
        coded([samples.view(np.uint32)], 32)


def test_values_that_are_missing_only_where_few_are_stay():
    rng = np.random.default_rng(7)
    samples = rng.normal(500, 20, (200, 200, 1)).astype(np.uint16)
    samples[0] = rng.integers(600, 4000, (200, 1))
    assert not layout_of(([samples], 16)).gaps


@pytest.mark.parametrize("in_order", [False, True])
def test_floats_around_zero_are_coded_in_parts(in_order: bool):
    rng = np.random.default_rng(8)
    floats = rng.normal(0, 1, (90, 80, 1)).cumsum(1).astype(np.float32)
    floats[:4] = np.nan
    floats[7, 3:9, 0] = 1e-20, -0.0, 0, -3e38, np.inf, 1e-30
    samples = floats.view(np.uint32)
    if in_order:
        samples = np.where(samples >> 31, ~samples, samples | np.uint32(1 << 31))
    code = schema.parse(coded([samples], 32), Shape(80, 90, 1, 32), 1)
    expected = schema.Meaning.ORDERED_PARTS if in_order else schema.Meaning.PARTS
    assert code.layout.meaning is expected
    assert len(code.layout.others) == 3


def test_floats_that_repeat_are_no_larger_than_with_zstd():
    rng = np.random.default_rng(9)
    tile = rng.normal(0, 1, (40, 64, 1)).astype(np.float32)
    samples = np.tile(tile, (4, 1, 1)).view(np.uint32)
    shuffled = np.ascontiguousarray(samples.reshape(-1, 1).view(np.uint8).T).tobytes()
    assert len(coded([samples], 32)) <= len(zstandard.compress(shuffled, 19)) + 200


def test_parts_of_all_sizes_of_floats_come_back():
    rng = np.random.default_rng(10)
    wide = (rng.normal(size=(64, 64, 1)) * 2.0 ** rng.integers(-30, 20, (64, 64, 1))).astype("<f4")
    for scale in (1, 2.0**-100, 2.0**80):
        coded([(wide * np.float32(scale)).view(np.uint32)], 32)
    coded([np.zeros((9, 9, 1), np.uint32)], 32)
    coded([np.full((9, 9, 1), np.nan, np.float32).view(np.uint32)], 32)
