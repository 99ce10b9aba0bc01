"""Pixels that were decoded from JPEG: made to the bit, and the coefficients found again."""

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.codec.colours.presets import PRESETS
from seec.pipeline.dct.jpeg import Component, Jpeg, put_together, take_apart
from seec.pipeline.dct.packaged import packaged_model
from seec.pipeline.decoded.coding import Decoded, apart, decode, encode
from seec.pipeline.decoded.finding import find_jpeg
from seec.pipeline.decoded.headers import recipe_of
from seec.pipeline.decoded.making import pixels_of
from seec.schemas.errors import FormatError, SectionCorrupt
from tests.jpegs import detailed
from tests.pictures import made_of_planes, textured
from tests.sources import image_bytes

MODEL = packaged_model("fast")
MODELS = {MODEL.short_id: MODEL}.get
PICTURE = np.tile(detailed(), (2, 2, 1))[:259, :333]
SAMPLING = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:2:0": (2, 2), "gray": None}


def drawn(height: int, width: int, sampling: str, seed: int) -> Jpeg:
    """A file of random coefficients, loud enough that many samples are clipped."""
    rng = np.random.default_rng([height, width, seed])
    across, down = SAMPLING[sampling] or (1, 1)
    columns, rows = -(-width // (8 * across)), -(-height // (8 * down))
    components: list[Component] = []
    for number in range(3 if SAMPLING[sampling] else 1):
        h, v = (1, 1) if number else (across, down)
        quiet = 1 + np.add.outer(np.arange(8), np.arange(8)).reshape(64)
        values = rng.normal(0, 12, (rows * v, columns * h, 64)) / quiet
        values[..., 0] = rng.integers(-60, 61, values.shape[:2])
        steps = rng.integers(1, 17, 64).astype(np.uint16)
        steps = components[1].quantisation if number == 2 else steps
        components.append(Component(h, v, steps, np.rint(values).astype(np.int16)))
    return Jpeg.of(width, height, tuple(components), recipe_of(width, height, components))


def opened(data: bytes) -> NDArray[np.uint8]:
    """What libjpeg makes of a file: [H, W, channels]."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def once_jpeg(pixels: NDArray[np.uint8], quality: int, sampling: str) -> NDArray[np.uint8]:
    """Pixels after a life as a JPEG file."""
    if sampling == "gray":
        return opened(image_bytes(pixels[..., 1].copy(), "JPEG", quality=quality))
    return opened(image_bytes(pixels, "JPEG", quality=quality, subsampling=sampling))


@pytest.mark.parametrize("sampling", SAMPLING)
def test_pixels_are_those_that_libjpeg_makes_at_every_size(sampling: str):
    # libjpeg repeats chroma samples of which there are only one or two in a row.
    narrowest = 5 if sampling in ("4:2:0", "4:2:2") else 1
    sizes = [(n, 34 - n) for n in range(1, 34)] + [(n, n) for n in range(1, 34)]
    clipped = 0
    for height, width in sizes:
        if width < narrowest:
            continue
        jpeg = drawn(height, width, sampling, 0)
        made = pixels_of(jpeg)
        np.testing.assert_array_equal(made, opened(put_together(jpeg)))
        clipped += int(((made == 0) | (made == 255)).sum())
    assert clipped > 50


@pytest.mark.parametrize("sampling", SAMPLING)
def test_pixels_of_a_large_file_are_those_that_libjpeg_makes(sampling: str):
    jpeg = drawn(301, 517, sampling, 1)
    np.testing.assert_array_equal(pixels_of(jpeg), opened(put_together(jpeg)))


def test_sums_of_damaged_coefficients_wrap_around_without_a_word():
    coefficients = np.full((1, 1, 64), 32767, np.int16)
    jpeg = Jpeg.of(8, 8, (Component(1, 1, np.full(64, 65535, np.uint16), coefficients),), b"")
    with np.errstate(all="raise"):
        assert pixels_of(jpeg).shape == (8, 8, 1)


@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("quality", [50, 75, 90])
def test_coefficients_are_found_again(sampling: str, quality: int):
    image = once_jpeg(PICTURE, quality, sampling)
    jpeg = find_jpeg(image)
    assert jpeg is not None
    decoded = apart(image, jpeg)
    assert decoded.differing < 0.01 * image[..., 0].size
    payload = encode(decoded, MODEL)
    np.testing.assert_array_equal(decode(payload, MODELS, image.shape), image)
    assert find_jpeg(image[:, 3:]) is None  # blocks begin elsewhere


def test_a_gray_file_shown_in_colour_has_one_component():
    image = once_jpeg(PICTURE[:256, :328], 80, "gray").repeat(3, 2)
    jpeg = find_jpeg(image)
    assert jpeg is not None
    assert len(jpeg.components) == 1
    decoded = apart(image, jpeg)
    assert decoded.differing == 0
    np.testing.assert_array_equal(decode(encode(decoded, MODEL), MODELS, image.shape), image)


def test_chroma_of_another_quality_than_luma_is_found():
    luma, chroma = (
        take_apart(image_bytes(PICTURE, "JPEG", quality=quality)).components[kind]
        for quality, kind in ((85, 0), (70, 1))
    )
    tables = [c.quantisation.tolist() for c in (luma, chroma)]
    # What is in one channel is not in the others, so chroma is busy.
    colourful = np.stack([PICTURE[..., 0], PICTURE[::-1, :, 1], PICTURE[:, ::-1, 2]], -1)
    data = image_bytes(colourful, "JPEG", qtables=tables, subsampling="4:2:0", quality=50)
    image, wanted = opened(data), take_apart(data).components
    jpeg = find_jpeg(image)
    assert jpeg is not None
    for c, of_file in zip(jpeg.components, wanted, strict=True):
        np.testing.assert_array_equal(c.quantisation, of_file.quantisation)
    assert apart(image, jpeg).differing < 0.01 * image[..., 0].size


def test_strips_give_nearly_the_coefficients_of_the_whole(monkeypatch: pytest.MonkeyPatch):
    from seec.pipeline.decoded import recovery

    image = once_jpeg(PICTURE, 75, "4:2:0")
    whole = find_jpeg(image)
    monkeypatch.setattr(recovery, "_STRIP_PIXELS", 64 * image.shape[1])
    strips = find_jpeg(image)
    assert whole is not None
    assert strips is not None
    different = [
        (a.coefficients != b.coefficients).any(2).mean()
        for a, b in zip(whole.components, strips.components, strict=True)
    ]
    assert max(different) < 0.02
    assert apart(image, strips).differing < 0.01 * image[..., 0].size


def test_images_that_were_no_jpeg_are_told():
    rng = np.random.default_rng(3)
    others = {
        "as it is": PICTURE,
        "gray": PICTURE[..., :1].copy(),
        "noise": rng.integers(0, 256, PICTURE.shape).astype(np.uint8),
        "flat": np.full(PICTURE.shape, 77, np.uint8),
        "flat and gray": np.full((*PICTURE.shape[:2], 1), 77, np.uint8),
        "video": made_of_planes(160, 160, family=PRESETS["BT.709 full"]),
        "YCbCr that was not quantised": made_of_planes(160, 160),
        "narrow": textured(400, 3),
        "low": textured(3, 400),
    }
    kept = {name: find_jpeg(image) for name, image in others.items()}
    # A flat image is its own JPEG file.
    assert {name for name, jpeg in kept.items() if jpeg is not None} <= {"flat", "flat and gray"}


@pytest.fixture(scope="module")
def coded() -> tuple[NDArray[np.uint8], Decoded, bytes]:
    image = once_jpeg(PICTURE[:64, :80], 75, "4:2:0")
    image[::9, ::9] += 1
    jpeg = find_jpeg(image)
    assert jpeg is not None
    decoded = apart(image, jpeg)
    assert decoded.differing > 50
    return image, decoded, encode(decoded, MODEL)


def test_damage_raises_errors_of_ours_or_changes_pixels(
    coded: tuple[NDArray[np.uint8], Decoded, bytes],
):
    image, _, payload = coded
    rng = np.random.default_rng(0)
    for _ in range(400):
        data = bytearray(payload)
        kind = rng.integers(3)
        at = int(rng.integers(len(data)))
        if kind == 0:
            data[at] ^= 1 << rng.integers(8)
        elif kind == 1:
            del data[at:]
        else:
            data[at:at] = rng.bytes(3)
        try:
            found = decode(bytes(data), MODELS, image.shape)
        except FormatError:
            continue
        assert found.shape == image.shape


def test_a_payload_of_another_shape_is_refused(coded: tuple[NDArray[np.uint8], Decoded, bytes]):
    image, decoded, payload = coded
    height, width, _ = image.shape
    for shape in ((height, width, 1), (height - 1, width, 3), (height, width + 1, 3)):
        with pytest.raises(SectionCorrupt):
            decode(payload, MODELS, shape)
    with pytest.raises(SectionCorrupt, match="behind the end"):
        decode(payload + b"\0", MODELS, image.shape)
    tall = [replace(c, vertical=3 - c.vertical, horizontal=1) for c in decoded.jpeg.components]
    odd = drawn(height, width, "4:4:4", 0)
    components = tuple(
        replace(c, vertical=t.vertical, horizontal=t.horizontal)
        for c, t in zip(odd.components, tall, strict=True)
    )
    with pytest.raises(SectionCorrupt, match="sampling"):
        pixels_of(Jpeg.of(width, height, components, b""))


def test_what_is_longer_than_a_jpeg_file_is_left_to_others():
    strip = once_jpeg(np.tile(PICTURE[:16, :32], (1, 64, 1)), 85, "gray")
    long = np.tile(strip, (1, 33, 1))
    assert long.shape[1] > 1 << 16
    assert find_jpeg(strip) is not None
    assert find_jpeg(long) is None
    assert find_jpeg(long.swapaxes(0, 1)) is None
