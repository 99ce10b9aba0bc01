"""Coding of JPEG coefficients: exact at every instruction set, from what is already known."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from seec.pipeline.dct import _dct, codec, native, pictures, planes
from seec.pipeline.dct.codec import Claims, comes_back, decode, decode_file, encode, encode_file
from seec.pipeline.dct.jpeg import Component
from seec.pipeline.dct.packaged import find_packaged, packaged_model, packaged_profiles
from seec.pipeline.dct.pictures import put_file_together, take_file_apart
from seec.pipeline.dct.weights import PREDICTORS, UNUSED, DctModel, load_model, save_model
from seec.pipeline.images.jpeg import read_frame
from seec.pipeline.lab.dct.slots import fit_predictors
from seec.schemas.errors import (
    LimitExceeded,
    ModelError,
    SectionCorrupt,
    SeecError,
    Truncated,
    UnknownModel,
)
from tests.jpegs import held, icc_profile, jpeg
from tests.pictures import textured
from tests.vectors.drawn_dct import SHAPES, draw, draw_model

HELD = held()


@pytest.fixture(scope="module", params=["contexts", "networks", "trunk"])
def model(request: pytest.FixtureRequest) -> DctModel:
    return draw_model(request.param)


def emptied(components: list[Component]) -> list[Component]:
    return [replace(c, coefficients=np.zeros_like(c.coefficients)) for c in components]


def noise(shapes: list[tuple[int, int, int, int]], largest: int) -> list[Component]:
    """Coefficients of any size, none of which tells of another."""
    rng = np.random.default_rng(3)
    return [
        Component(
            h,
            v,
            rng.integers(0, 65536, 64).astype(np.uint16),
            rng.integers(-largest - 1, largest + 1, (rows, columns, 64)).astype(np.int16),
        )
        for h, v, rows, columns in shapes
    ]


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("shape", SHAPES)
def test_each_instruction_set_writes_and_reads_the_same_bytes(shape, level, model):
    """Decoding has only what came before, so no decision can have seen its own future."""
    first, coder = native.Coder(model, native.levels()[0]), native.Coder(model, level)
    for components in (draw(shape, 1), draw(shape, 2, 50), draw(shape, 3, 3000)):
        coded = coder.encode(components)
        assert coded == first.encode(components)
        decoded = emptied(components)
        coder.decode(decoded, coded)
        for a, b in zip(components, decoded, strict=True):
            np.testing.assert_array_equal(a.coefficients, b.coefficients)


@pytest.mark.parametrize("largest", [0, 1, 40, 2047, 32767])
@pytest.mark.parametrize("shape", ["4-2-0", "four"])
def test_any_coefficients_come_back_at_any_quantisation(shape, largest, model):
    components = noise(SHAPES[shape], largest)
    for level in native.levels():
        coder = native.Coder(model, level)
        coded, decoded = coder.encode(components), emptied(components)
        coder.decode(decoded, coded)
        for a, b in zip(components, decoded, strict=True):
            np.testing.assert_array_equal(a.coefficients, b.coefficients)


def test_what_comes_later_changes_no_earlier_byte(model):
    """Up to the bytes that the arithmetic coder may still hold back."""
    coder, components = native.Coder(model), draw("gray", 4, 20)
    coded = coder.encode(components)
    for row in range(1, 4):
        changed = components[0].coefficients.copy()
        same = coder.encode([replace(components[0], coefficients=changed[:row].copy())])
        changed[row:] = 7
        other = coder.encode([replace(components[0], coefficients=changed)])
        held_back = len(same) - 5
        assert other[:held_back] == coded[:held_back]


def of_plane(plane: NDArray[np.float64], horizontal: int, vertical: int) -> Component:
    """A plane's coefficients in steps of 2: an orthonormal DCT of each 8 x 8."""
    place = np.arange(8)
    dct = np.cos((2 * place + 1) * place[:, None] * np.pi / 16) / 2
    dct[0] /= np.sqrt(2)
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    blocks = dct @ plane.reshape(rows, 8, columns, 8).swapaxes(1, 2) @ dct.T
    coefficients = np.rint(blocks / 2).astype(np.int16).reshape(rows, columns, 64)
    return Component(horizontal, vertical, np.full(64, 2, np.uint16), coefficients)


@pytest.mark.parametrize("factors", [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (4, 2)])
def test_chroma_that_follows_components_before_costs_little(factors):
    horizontal, vertical = factors
    rng = np.random.default_rng(6)
    luma, unrelated, own = np.cumsum(rng.normal(0, 9, (3, 128, 128)), 2)
    shrunk, other = (
        p.reshape(128 // vertical, vertical, 128 // horizontal, horizontal).mean((1, 3))
        for p in (luma, own)
    )
    blue = of_plane(-0.6 * shrunk + other / 8, 1, 1)
    red = of_plane(0.4 * shrunk - other / 8, 1, 1)
    coder = native.Coder(packaged_model("fast"))

    def size(*components: Component) -> int:
        return len(coder.encode(components))

    here, elsewhere = of_plane(luma, *factors), of_plane(unrelated, *factors)
    with_luma = [size(here), size(here, blue), size(here, blue, red)]
    without = [size(elsewhere), size(elsewhere, blue), size(elsewhere, blue, red)]
    assert with_luma[1] - with_luma[0] < 0.75 * (without[1] - without[0])
    assert with_luma[2] - with_luma[1] < 0.87 * (without[2] - without[1])


def test_junk_is_refused_or_decoded_but_never_worse(model):
    rng = np.random.default_rng(5)
    coder = native.Coder(model)
    for _ in range(200):
        junk = rng.integers(0, 256, rng.integers(0, 400)).astype(np.uint8).tobytes()
        try:
            coder.decode(emptied(draw("4-2-0")), junk)
        except SectionCorrupt:
            continue


@pytest.mark.parametrize("profile", packaged_profiles())
@pytest.mark.parametrize("kind", HELD)
def test_files_come_back_byte_for_byte(kind, profile):
    data = HELD[kind]
    model = packaged_model(profile)
    coded = encode_file(data, model)
    assert len(coded) < len(data)
    assert comes_back(data)
    assert decode_file(coded, model) == data


def test_groups_are_coded_by_several_threads_as_by_one(monkeypatch):
    monkeypatch.setattr(planes, "GROUP_BLOCKS", 1 << 6)
    pictures = take_file_apart(HELD["4:2:0"])
    model = packaged_model("fast")
    alone = encode(pictures, model)
    with ThreadPoolExecutor(3) as pool:
        assert encode(pictures, model, pool.map) == alone
        assert put_file_together(decode(alone, find_packaged, pool.map)) == HELD["4:2:0"]


@pytest.mark.parametrize("progressive", [False, True])
def test_only_groups_at_work_are_unpacked(progressive, monkeypatch):
    picture = np.tile(textured(256, 256) // 8, (6, 4, 1))
    data = jpeg(picture, 60, subsampling=0, progressive=progressive)
    monkeypatch.setattr(planes, "GROUP_BLOCKS", 1 << 9)
    unpacked = 2 * 3 * 6 * 4 * 256 * 256
    model = packaged_model("fast")
    coded = encode_file(data, model)
    for step in (
        lambda: comes_back(data),
        lambda: encode_file(data, model),
        lambda: decode_file(coded, model),
    ):
        tracemalloc.start()
        try:
            step()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < unpacked / 4


def test_more_coefficients_than_a_file_of_its_size_has_are_refused(monkeypatch):
    monkeypatch.setattr(planes, "GROUP_BLOCKS", 1 << 6)
    model, data = packaged_model("fast"), HELD["4:2:0"]
    coded, frame = encode_file(data, model), read_frame(data)
    claims = Claims(frame.width, frame.height, len(data))
    assert decode_file(coded, model, claims) == data
    with pytest.raises(SectionCorrupt, match="more coefficients"):
        decode_file(coded, model, claims._replace(size_bytes=len(data) // 20))
    with pytest.raises(LimitExceeded, match="more than"):
        decode_file(coded, model, claims._replace(size_bytes=len(data) - 1))


def test_a_thumbnail_costs_less_than_its_bytes():
    thumbnail, model = jpeg(textured(60, 80)), packaged_model("fast")
    with_it, without = (
        encode_file(data, model) for data in (jpeg(exif=b"Exif\0\0" + thumbnail), jpeg())
    )
    assert len(with_it) - len(without) < 0.9 * len(thumbnail)


def test_pictures_within_of_more_pixels_than_are_coded_stay_where_they_are(monkeypatch):
    within = [jpeg(textured(64, 64, seed), 90) for seed in range(3)]
    data = jpeg(textured(64, 64, 9), 90) + b"".join(within)
    assert [p.position > 0 for p in take_file_apart(data)] == [False, True, True, True]
    most = 3 * 64 * 64 + 1000
    monkeypatch.setattr(pictures, "MAX_PIXELS", most)
    monkeypatch.setattr(codec, "MAX_PIXELS", most)
    places = [0, data.index(within[1]), data.index(within[2])]
    assert [p.position for p in take_file_apart(data)] == places
    model = packaged_model("fast")
    assert decode_file(encode_file(data, model), model) == data


def test_recipes_are_compressed():
    profile, model = jpeg(icc_profile=icc_profile()), packaged_model("fast")
    with_it, without = encode_file(profile, model), encode_file(jpeg(), model)
    assert len(with_it) - len(without) < 0.6 * len(icc_profile())


def test_each_damaged_byte_is_found():
    pixels = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    model = packaged_model("fast")
    coded = encode_file(jpeg(pixels, exif=b"Exif\0\0" + jpeg(textured(16, 24))), model)
    for position in range(len(coded)):
        damaged = bytearray(coded)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(SeecError):
            decode_file(bytes(damaged), model)
    with pytest.raises(UnknownModel):
        decode_file(b"12345678" + coded[8:], model)
    for size in range(len(coded)):
        with pytest.raises((Truncated, SectionCorrupt, UnknownModel)):
            decode_file(coded[:size], model)


def test_models_that_could_overflow_are_refused(model):
    predictors = np.zeros(PREDICTORS, np.int16)
    parts = (model.card, model.slots, predictors, model.weights)
    assert load_model(model.payload).id == model.id
    linear = model.linear.copy()
    linear[0, 0, :, 5] = 1639  # 320 of them: 524480 > 2^19 - 1
    with pytest.raises(ModelError, match="overflow"):
        save_model(*parts, linear, model.networks)
    with pytest.raises(ModelError, match="not a model"):
        load_model(b"no model")
    with pytest.raises(ModelError, match="another shape"):
        save_model(model.card, model.slots[:, 1:], predictors, model.weights, linear, {})


def test_slots_come_back_whatever_predicts_them(model):
    rng = np.random.default_rng(6)
    noise = rng.integers(-16, 16, model.slots.shape).astype(np.int8)
    noise[rng.random(noise.shape) < 0.5] = UNUSED
    for predictors in (fit_predictors(model.slots), rng.integers(-32768, 32768, PREDICTORS)):
        for slots in (model.slots, noise, np.full_like(noise, UNUSED)):
            own = predictors.astype(np.int16)
            saved = save_model(model.card, slots, own, model.weights, model.linear, {})
            np.testing.assert_array_equal(saved.slots, slots)


def test_damaged_slots_are_refused_or_within_bounds(model):
    rng = np.random.default_rng(7)
    predictors = fit_predictors(model.slots)
    for size in (0, 1, 50, 5000):
        found = np.zeros_like(model.slots)
        _dct.decode_slots(predictors, found, rng.integers(0, 256, size).astype(np.uint8))
        assert ((found == UNUSED) | (abs(found) <= 16)).all()
