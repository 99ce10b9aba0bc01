"""JPEG files taken apart come back byte for byte, from a recipe that is small."""

import io
import random
import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.dct import extension, planes, recipes, scans
from seec.pipeline.dct.dictionary import recipe_dictionary
from seec.pipeline.dct.header_items import HUFFMAN, MARKER, SCAN
from seec.pipeline.dct.jpeg import Jpeg, layout, put_together, take_apart
from seec.pipeline.dct.pictures import put_file_together, take_file_apart
from seec.pipeline.images.jpeg import Frame, FrameComponent
from seec.schemas.errors import FormatError, LimitExceeded, SectionCorrupt, UnreadableImage
from tests.jpeg_scripts import (
    Habits,
    ScriptScan,
    progressive_script,
    rewritten,
    sequential_script,
)
from tests.jpegs import HEIGHT, WIDTH, held, jpeg, refused
from tests.pictures import textured

BACK = held() | {
    kind: data for kind, data in refused().items() if kind in ("CMYK", "truncated", "no end")
}
REASONS = {
    "arithmetic coding": "arithmetic coding",
    "lossless": "lossless",
    "12 bits": "12 bits",
    "start alone": "without a scan",
    "start and end": "without a scan",
    "start and noise": "without a scan",
    "no height": "no height",
    "frame cut short": "without a scan",
    "segments without end": "without a scan",
    "only fill bytes": "without a scan",
}


def size_of(data: bytes) -> int:
    """Bytes of the recipe; the file comes back from it."""
    parts = take_apart(data)
    code = recipes.compress(parts.recipe)
    assert recipes.decompress(code) == parts.recipe
    assert put_together(parts) == data
    return len(code)


def pairs(*numbers: int) -> bytes:
    return np.array(numbers, np.int32).tobytes()


@cache
def source(seed: int = 0) -> Jpeg:
    return take_apart(jpeg(textured(45, 70, seed), 90, subsampling=seed % 3))


WHOLE = [ScriptScan((0, 1, 2))]
PROGRESSIVE = [
    ScriptScan((0, 1, 2), 0, 0),
    *(ScriptScan((c,), 1, 63, 0, 1) for c in range(3)),
    *(ScriptScan((c,), 1, 63, 1, 0) for c in range(3)),
]


@pytest.mark.parametrize("kind", BACK)
def test_files_come_back(kind: str):
    size_of(BACK[kind])


@pytest.mark.parametrize("kind", BACK)
def test_files_come_back_from_many_groups(kind: str, monkeypatch: pytest.MonkeyPatch):
    whole = take_apart(BACK[kind])
    monkeypatch.setattr(planes, "GROUP_BLOCKS", 20)
    size_of(BACK[kind])
    parts = take_apart(BACK[kind])
    assert len(parts.planes.spans) > 1 == len(whole.planes.spans)
    assert parts.recipe == whole.recipe
    for a, b in zip(parts.components, whole.components, strict=True):
        assert np.array_equal(a.coefficients, b.coefficients)


@pytest.mark.parametrize("kind", REASONS)
def test_other_files_are_refused_with_a_reason(kind: str):
    with pytest.raises(UnreadableImage, match=REASONS[kind]):
        take_apart(refused()[kind])


def test_coefficients_are_those_that_libjpeg_decodes():
    pixels = textured(64, 64)[..., 0]
    parts = take_apart(data := jpeg(pixels, 85))
    (component,) = parts.components
    steps = component.quantisation.astype(np.float64)
    u = np.arange(8)
    basis = np.cos((2 * u[None] + 1) * u[:, None] * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    blocks = (component.coefficients * steps).reshape(8, 8, 8, 8)
    samples = np.einsum("ku,yxkl,lv->yuxv", basis, blocks, basis).reshape(64, 64) + 128
    decoded = np.asarray(Image.open(io.BytesIO(data)), np.float64)
    assert np.abs(np.clip(samples, 0, 255) - decoded).max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": 0},
        {"subsampling": 1},
        {"optimize": True},
        {"progressive": True},
        {"quality": 20},
        {"quality": 100},
    ],
)
@pytest.mark.parametrize("gray", [False, True])
def test_recipes_of_usual_files_take_16_bytes(options: dict[str, int], gray: bool):
    pixels = textured(HEIGHT, WIDTH)
    assert size_of(jpeg(pixels[..., 0] if gray else pixels, **options)) <= 16


def test_usual_metadata_takes_a_few_bytes():
    plain = size_of(jpeg())
    assert size_of(jpeg(xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>')) < plain + 60
    curve = bytes(2).join((b"", recipe_dictionary()[-2046:]))
    assert size_of(jpeg(icc_profile=curve)) < plain + 60


def test_the_dictionary_holds_the_curve_of_srgb():
    x = np.arange(1024) / 1023
    exact = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    levels = np.frombuffer(recipe_dictionary()[-2048:], ">u2")
    assert np.array_equal(levels, np.rint(65535 * exact))


def test_a_recipe_says_what_its_components_are():
    for data in BACK.values():
        parts = take_apart(data)
        said = layout(parts.recipe)
        assert (said.width, said.height) == (parts.width, parts.height)
        for part, component in zip(said.components, parts.components, strict=True):
            assert (part.horizontal, part.vertical) == (component.horizontal, component.vertical)
            assert (part.rows, part.columns, 64) == component.coefficients.shape
            assert np.array_equal(part.quantisation, component.quantisation)


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("seed", range(60))
def test_scripts_of_all_kinds_come_back(seed: int, monkeypatch: pytest.MonkeyPatch):
    random_ = random.Random(seed)
    monkeypatch.setattr(planes, "GROUP_BLOCKS", random_.choice((10, planes.GROUP_BLOCKS)))
    pixels = textured(random_.randint(1, 70), random_.randint(1, 90), seed)
    mode = random_.choice(("L", "RGB", "CMYK"))
    options = {"subsampling": random_.choice((0, 1, 2))} if mode == "RGB" else {}
    data = jpeg(Image.fromarray(pixels).convert(mode), random_.choice((20, 75, 95)), **options)
    parts = take_apart(data)
    progressive = random_.random() < 0.7
    write_script = progressive_script if progressive else sequential_script
    script = write_script(len(parts.components), random_)
    habits = Habits(
        interval=random_.choice((0, 0, 1, 3, 7)),
        fill=random_.choice((0, 1)),
        rule=random_.choice((0, 0, 1, 2)),
        height_behind=random_.random() < 0.2,
        one_segment=random_.random() < 0.5,
    )
    file = rewritten(parts, progressive, script, habits)
    size_of(file)
    bands = sum(s.end - s.start + 1 for s in script if s.start and not s.high)
    whole = not progressive or bands == 63 * len(parts.components)
    if whole and mode != "CMYK" and not habits.height_behind:
        assert np.array_equal(pixels_of(file), pixels_of(data))
    for end in range(len(file) - 60, len(file), 3):
        try:
            size_of(file[:end])
        except UnreadableImage:
            assert end < file.index(b"\xff\xda") + 40


@pytest.mark.parametrize("sampling", ["12", "14", "41", "42", "24", "44", "31", "13", "33"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("group_blocks", [10, planes.GROUP_BLOCKS])
def test_any_sampling_comes_back(
    sampling: str, progressive: bool, group_blocks: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(planes, "GROUP_BLOCKS", group_blocks)
    h, v = int(sampling[0]), int(sampling[1])
    generator = np.random.default_rng(5)
    base = source()
    frame = Frame(
        progressive,
        61,
        43,
        tuple(
            FrameComponent(i + 1, *factors, i) for i, factors in enumerate([(h, v), (1, 1), (1, 2)])
        ),
    )
    components = tuple(
        replace(
            base.components[i],
            horizontal=frame.components[i].horizontal,
            vertical=frame.components[i].vertical,
            coefficients=generator.integers(-3, 4, (*shape, 64)).astype(np.int16),
        )
        for i, shape in enumerate(frame.shapes)
    )
    made = Jpeg.of(61, 43, components, b"")
    script = PROGRESSIVE if progressive else WHOLE
    parts = take_apart(data := rewritten(made, progressive, script, Habits(interval=2)))
    assert put_together(parts) == data
    if not progressive:
        for a, b in zip(parts.components, components, strict=True):
            assert np.array_equal(a.coefficients, b.coefficients)


def test_coefficients_far_out_of_range_come_back():
    base = source()
    generator = np.random.default_rng(1)
    components = tuple(
        replace(
            c,
            coefficients=generator.choice(
                np.array([0, 0, 0, 1, -1, 8191, -8191, 16000, -16000], np.int16),
                c.coefficients.shape,
            ),
        )
        for c in base.components
    )
    for progressive, script in ((False, WHOLE), (True, PROGRESSIVE)):
        data = rewritten(Jpeg.of(base.width, base.height, components, b""), progressive, script)
        parts = take_apart(data)
        assert put_together(parts) == data
        assert parts.components[0].coefficients.max() == 16000


def test_two_bytes_that_end_like_a_marker_are_no_end_of_the_file():
    data = jpeg(textured(16, 16))
    frame = data.index(b"\xff\xc0")
    odd = data[:frame] + b"\x4f\xd9" + data[frame:]
    assert put_together(take_apart(odd)) == odd


def test_runs_that_end_early_cost_a_few_bytes():
    script = [ScriptScan((1,), 1, 63)]
    plain = rewritten(source(), True, script)
    odd = rewritten(source(), True, script, Habits(runs=pairs(0, 1, 1, 1)))
    assert odd != plain
    assert size_of(odd) <= size_of(plain) + 12


def test_runs_of_zeros_that_need_not_be_coded_come_back():
    parts = take_apart(jpeg(textured(40, 40), 10))
    for progressive, script in ((False, WHOLE), (True, [ScriptScan((0,), 1, 63)])):
        plain = rewritten(parts, progressive, script)
        odd = rewritten(parts, progressive, script, Habits(zero_runs=pairs(0, 1, 2, 1)))
        assert odd != plain
        assert size_of(odd) <= size_of(plain) + 12


def test_odd_runs_are_bounded_over_all_scans(monkeypatch: pytest.MonkeyPatch):
    blank = take_apart(jpeg(np.zeros((45, 70), np.uint8)))
    script = [ScriptScan((0,), 1, 16), ScriptScan((0,), 17, 32)]
    odd = rewritten(blank, True, script, Habits(zero_runs=pairs(0, 1, *[1, 1] * 53)))
    parts = take_apart(odd)
    assert [record.pairs for record in recipes.parse(parts.recipe).records] == [54, 54]
    for most in (108, 107, 53):
        monkeypatch.setattr(scans, "MAX_PAIRS", most)
        monkeypatch.setattr(recipes, "MAX_PAIRS", most)
        if most == 108:
            assert put_together(take_apart(odd)) == odd
            continue
        with pytest.raises(UnreadableImage, match="odd runs"):
            take_apart(odd)
        with pytest.raises(LimitExceeded, match="odd runs"):
            layout(parts.recipe)


def test_padding_bits_of_any_value_come_back():
    data = bytearray(rewritten(source(), False, WHOLE, Habits(interval=1)))
    random_ = random.Random(3)
    restarts = [i for i in range(len(data) - 1) if data[i] == 255 and 0xD0 <= data[i + 1] < 0xD8]
    for restart in restarts:
        data[restart - 1] ^= random_.randrange(2)
    size_of(bytes(data))


def test_an_interval_without_restarts_comes_back():
    data = rewritten(source(), False, WHOLE)
    interval = b"\xff\xdd\0\4\0\2"
    scan = data.index(b"\xff\xda")
    assert size_of(data[:scan] + interval + data[scan:]) <= size_of(data) + 6


def test_restarts_behind_the_last_interval_come_back():
    data = rewritten(source(), False, WHOLE, Habits(interval=2))
    assert size_of(data[:-2] + b"\xff\xd3" + data[-2:]) <= size_of(data) + 6


def test_tables_that_change_between_scans_come_back():
    script = [ScriptScan((0,)), ScriptScan((1,)), ScriptScan((2,))]
    data = rewritten(source(), False, script)
    quantiser = data.index(b"\xff\xdb")
    segment = data[quantiser : quantiser + 69]
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    parts = take_apart(changed := data[:second] + segment[:5] + bytes(64) + data[second:])
    assert put_together(parts) == changed
    assert np.array_equal(parts.components[0].quantisation, source().components[0].quantisation)


def test_scans_that_code_a_coefficient_twice_come_back():
    for script in ([*WHOLE, *WHOLE], [ScriptScan((0,)), *WHOLE]):
        parts = take_apart(data := rewritten(source(), False, script))
        assert put_together(parts) == data


def test_cut_files_keep_all_whole_mcus():
    parts = take_apart(jpeg(textured(64, 64), 90, restart_marker_blocks=5))
    data = put_together(parts)
    scan = data.index(b"\xff\xda")
    for end in range(scan + 200, len(data), 7):
        cut = take_apart(data[:end])
        assert put_together(cut) == data[:end]
        for a, b in zip(cut.components, parts.components, strict=True):
            same = np.all(a.coefficients == b.coefficients, axis=2)
            assert np.all(same | ~a.coefficients.any(axis=2))
        assert len(cut.recipe) < 100 + (end - scan) // 8


def test_a_frame_too_large_for_its_file_is_refused():
    data = bytearray(jpeg(textured(16, 16)))
    frame = data.index(b"\xff\xc0")
    for size, reason in ((b"\x0f\xff\x0f\xff", "missing"), (b"\xff\xff\xff\xff", "limit")):
        data[frame + 5 : frame + 9] = size
        with pytest.raises(UnreadableImage, match=reason):
            take_apart(bytes(data))


def test_scans_that_only_take_time_are_left_as_they_are():
    blank = take_apart(jpeg(np.zeros((800, 800), np.uint8)))
    bits = [ScriptScan((0,), k, k, 0, 13) for k in range(1, 64)]
    refined = [replace(s, high=low + 1, low=low) for low in range(12, -1, -1) for s in bits]
    data = rewritten(blank, True, [ScriptScan((0,), 0, 0), *bits, *refined])
    parts = take_apart(data)
    assert put_together(parts) == data
    scans_read = sum(item[0] == SCAN for item in recipes.parse(parts.recipe).items)
    assert 0 < scans_read < 1 + 14 * 63


@pytest.mark.parametrize("odd", [b"\xff\xd0", b"\xff\x01", b"\xff\xe0\0\2"])
def test_segments_and_markers_without_number_are_refused(odd: bytes):
    data = jpeg(textured(16, 16))
    for many in (data[:2] + odd * 200_000 + data[2:], data[:-2] + odd * 200_000):
        with pytest.raises(UnreadableImage, match=r"segments|without a scan"):
            take_apart(many)


def test_recipes_of_items_without_number_are_refused():
    for items in ([(MARKER, 0xD0)] * 200_000, [(HUFFMAN, 300_000, *[8] * 300_000)]):
        with pytest.raises(LimitExceeded):
            layout(recipes.serialise(recipes.Recipe(items, b"", ())))


def test_many_tables_for_one_scan_take_little_time():
    data = jpeg()
    tables = b"\xff\xc4\xff\xdf" + bytes(17) * 3853
    start = time.process_time()
    size_of(data[:2] + tables * 20 + data[2:])
    assert time.process_time() - start < 8


def test_a_damaged_recipe_is_an_error_of_ours():
    parts = source()
    for end in range(len(parts.recipe)):
        with pytest.raises(FormatError):
            put_together(replace(parts, recipe=parts.recipe[:end]))
    with pytest.raises(SectionCorrupt):
        put_together(replace(parts, recipe=parts.recipe + b"\0"))
    with pytest.raises(SectionCorrupt):
        put_together(Jpeg.of(parts.width, parts.height, parts.components[:2], parts.recipe))
    for code in (b"", b"\2", b"\1", b"\1noise"):
        with pytest.raises(FormatError):
            recipes.decompress(code)
    large = recipes.compress(bytes(1000))
    with pytest.raises(FormatError, match="limit"):
        recipes.decompress(large, 999)


def test_without_the_extension_files_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extension, "_jpeg", None)
    with pytest.raises(UnreadableImage, match="compiler"):
        take_apart(jpeg())


def test_pictures_within_a_file_are_taken_apart_too():
    thumbnail = jpeg(textured(60, 80), 75)
    second = jpeg(textured(90, 120, 2), 85, exif=b"Exif\0\0" + thumbnail + b"more")
    data = jpeg(exif=b"Exif\0\0MM" + thumbnail + b"behind") + second + b"end" + thumbnail[:700]
    pictures = take_file_apart(data)
    assert [p.jpeg.width for p in pictures] == [WIDTH, 80, 120, 80]
    assert put_file_together(pictures) == data
    codes = [len(recipes.compress(picture.jpeg.recipe)) for picture in pictures]
    assert sum(codes) < 900
    for wrong in (pictures[1:], pictures[::-1], (pictures[0], replace(pictures[1], position=1))):
        with pytest.raises(SectionCorrupt):
            put_file_together(wrong)


def test_a_file_without_pictures_within_is_one():
    for data in BACK.values():
        pictures = take_file_apart(data)
        assert put_file_together(pictures) == data
    (only,) = take_file_apart(jpeg())
    assert only.jpeg.recipe == take_apart(jpeg()).recipe
