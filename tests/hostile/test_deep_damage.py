"""Codes of samples of any depth that are damaged or lie: a typed error, or samples of the shape."""

import random
import struct

import numpy as np
import pytest
import zstandard

from seec.pipeline import deep
from seec.schemas.container import crc32c
from seec.schemas.deep import LARGEST_STEP, MOST_OTHERS, DeepCode, Layout, Meaning, parse, serialise
from seec.schemas.errors import FormatError, LimitExceeded, SectionCorrupt, Truncated
from seec.schemas.limits import MAX_DEEP_GROUP, MAX_GAPS
from seec.schemas.planes import Shape
from tests.vectors.drawn_deep import rasters

RASTERS = rasters()
SHAPE = Shape(6, 4, 1, 16)
LAYOUT = Layout(Meaning.PLAIN, 0, 0, 9, 1, 4)


def code_of(name: str) -> tuple[bytes, Shape, int]:
    samples, depth = RASTERS[name]
    code = deep.encode(samples, depth)
    assert code is not None
    height, width, count = samples[0].shape
    return code, Shape(width, height, count, depth), len(samples)


def decoded(data: bytes, shape: Shape, count: int) -> None:
    """Decodes, and holds what comes to its shape."""
    for one in deep.decode(data, shape, count):
        assert one.shape == (shape.height, shape.width, shape.samples)
        assert int(one.max()) >> shape.depth == 0


def sealed(data: bytes, size: int) -> bytes:
    """The same with a checksum that fits."""
    return data[:size] + struct.pack("<I", crc32c(data[:size])) + data[size + 4 :]


def packed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=True).compress(data)


@pytest.mark.parametrize(
    "name",
    ["holes", "stack", "float", "mask", "masks", "repeated", "quarters", "decimals", "parts"],
)
def test_flipped_bits_and_cuts_give_errors_or_samples(name: str):
    code, shape, count = code_of(name)
    rng = random.Random(1)
    for _ in range(80):
        damaged = bytearray(code)
        damaged[rng.randrange(len(code))] ^= 1 << rng.randrange(8)
        try:
            decoded(bytes(damaged), shape, count)
        except FormatError:
            continue
    for end in range(0, len(code), max(1, len(code) // 60)):
        with pytest.raises(FormatError):
            deep.decode(code[:end], shape, count)
    with pytest.raises(Truncated):
        deep.decode(code + b"\0", shape, count)


def test_every_flipped_bit_of_the_directory_is_found():
    code, shape, count = code_of("gray")
    for position in range(22 + 5 + 4):
        damaged = bytearray(code)
        damaged[position] ^= 1
        with pytest.raises(FormatError):
            parse(bytes(damaged), shape, count)


def test_headers_that_lie_are_found_before_anything_is_decoded():
    code, shape, count = code_of("gray")
    for at, value in (
        (0, 2),
        (1, 16),
        (9, 128),
        (10, 0),
        (10, 2),
        (14, 0),
        (14, 22),
        (22, 5),
        (22, 8),
    ):
        damaged = bytearray(code)
        damaged[at] = value
        with pytest.raises(SectionCorrupt):
            parse(sealed(bytes(damaged), 27), shape, count)
    damaged = bytearray(code)
    damaged[18:22] = struct.pack("<I", 16 * MAX_GAPS + 1)
    with pytest.raises(LimitExceeded):
        parse(bytes(damaged), shape, count)


def test_groups_over_their_limit_are_refused():
    high = Shape(1 << 12, 1 << 11, 1, 16)
    data = serialise(DeepCode(Layout(Meaning.PLAIN, 0, 0, 9, 1, high.height), (0,), (b"",)))
    assert high.width * high.height > MAX_DEEP_GROUP
    with pytest.raises(LimitExceeded):
        parse(data, high, 1)
    wide = Shape((1 << 20) + 1, 1, 1, 16)
    with pytest.raises(LimitExceeded):
        parse(serialise(DeepCode(Layout(Meaning.PLAIN, 0, 0, 9, 1, 1), (0,), (b"",))), wide, 1)


@pytest.mark.parametrize(
    "gaps",
    [
        b"gaps",
        packed(b""),
        packed(bytes(12)),
        packed(bytes(8 * (MAX_GAPS + 1))),
        packed(struct.pack("<II", 0, 65530)),
    ],
    ids=["no frame", "empty", "half a pair", "too many", "beyond the depth"],
)
def test_gaps_that_lie_are_found(gaps: bytes):
    layout = Layout(Meaning.PLAIN, 0, 0, 9, 1, 4, gaps)
    numbers = packed(bytes(range(10)) + bytes(14))
    with pytest.raises(SectionCorrupt):
        deep.decode(serialise(DeepCode(layout, (4,), (numbers,))), SHAPE, 1)


@pytest.mark.parametrize(
    "payload",
    [
        b"frame",
        packed(bytes(23)),
        packed(bytes(25)),
        packed(bytes([10]) * 24),
        packed(bytes(1 << 24)),
    ],
    ids=["no frame", "short", "long", "too large", "a bomb"],
)
def test_packed_groups_that_lie_are_found(payload: bytes):
    with pytest.raises(SectionCorrupt):
        deep.decode(serialise(DeepCode(LAYOUT, (4,), (payload,))), SHAPE, 1)


def test_samples_that_their_depth_does_not_hold_are_found():
    numbers = packed(bytes([9]) * 24)
    for layout in (Layout(Meaning.PLAIN, 13, 0, 9, 1, 4), Layout(Meaning.PLAIN, 0, 65530, 9, 1, 4)):
        with pytest.raises(SectionCorrupt, match="depth"):
            deep.decode(serialise(DeepCode(layout, (4,), (numbers,))), SHAPE, 1)


@pytest.mark.parametrize(
    ("step", "low", "others"),
    [
        (0.0, 1 << 31, 0),
        (-1.0, 1 << 31, 0),
        (float("nan"), 1 << 31, 0),
        (float("inf"), 1 << 31, 0),
        (2.0**91, 1 << 31, 0),
        (0.5, 1 << 31, MOST_OTHERS + 1),
        (0.5, (1 << 32) - 9, 0),
        (0.5, 0, 0),
        (0.5, (1 << 32) - 20, 2),
    ],
    ids=["0", "negative", "nan", "inf", "huge", "others", "depth", "far", "between"],
)
def test_steps_that_lie_are_found(step: float, low: int, others: int):
    numbers = packed(bytes([9]) * 24)
    layout = Layout(Meaning.MULTIPLES, 0, low, 9, 1, 4, b"", step, (7,) * others)
    data = serialise(DeepCode(layout, (4,), (numbers,)))
    with pytest.raises(SectionCorrupt):
        deep.decode(data, Shape(6, 4, 1, 32), 1)
    for end in range(22, 32):
        with pytest.raises(FormatError):
            deep.decode(data[:end], Shape(6, 4, 1, 32), 1)


def test_steps_of_samples_of_another_depth_are_refused():
    layout = Layout(Meaning.MULTIPLES, 0, 1 << 31, 9, 1, 4, b"", 0.5)
    data = serialise(DeepCode(layout, (4,), (packed(bytes(24)),)))
    with pytest.raises(SectionCorrupt, match="step"):
        parse(data, SHAPE, 1)


def test_the_largest_step_gives_floats():
    for meaning in (Meaning.MULTIPLES, Meaning.ORDERED_MULTIPLES):
        layout = Layout(meaning, 0, (1 << 31) + (1 << 30) - 9, 9, 1, 4, b"", LARGEST_STEP)
        data = serialise(DeepCode(layout, (4,), (packed(bytes([9]) * 24),)))
        (found,) = deep.decode(data, Shape(6, 4, 1, 32), 1)
        bits = found if meaning is Meaning.MULTIPLES else found ^ (1 << 31)
        assert (bits.astype(np.uint32).view(np.float32) == 2.0**120).all()


def test_noise_for_a_code_gives_errors_or_samples():
    rng = np.random.default_rng(4)
    for way in (0, 1, 2, 3, 9, 11):
        for size in (0, 3, 4, 50, 2000):
            data = serialise(DeepCode(LAYOUT, (way,), (rng.bytes(size),)))
            try:
                decoded(data, SHAPE, 1)
            except FormatError:
                continue


def in_parts(numbers: bytes, rest: bytes, low: int = 1 << 31) -> bytes:
    """The code of one group of 24 floats in parts."""
    layout = Layout(Meaning.PARTS, 0, low, 9, 1, 4, b"", 0.5)
    payload = struct.pack("<I", len(numbers)) + numbers + rest
    return serialise(DeepCode(layout, (4,), (payload,)))


NO_FRAME = struct.pack("<I", 0)
ZEROS, NINES = packed(bytes(24)), packed(bytes([9]) * 24)  # 9 leaves 20 bits


@pytest.mark.parametrize(
    "data",
    [
        in_parts(ZEROS, b""),
        in_parts(ZEROS, NO_FRAME + b"\0"),
        in_parts(NINES, NO_FRAME + bytes(59)),
        in_parts(NINES, NO_FRAME + bytes(61)),
        in_parts(NINES, NO_FRAME + bytes(60), low=(1 << 31) + (1 << 24) - 9),
        in_parts(ZEROS, struct.pack("<I", 9) + b"frame"),
        in_parts(ZEROS, struct.pack("<I", 5) + b"frame"),
        *(
            in_parts(ZEROS, struct.pack("<I", len(frame)) + frame)
            for frame in (
                packed(b"\x80\0\0"),
                packed(bytes(7)),
                packed(b""),
                packed(bytes(1 << 20)),
            )
        ),
        *(
            serialise(
                DeepCode(Layout(Meaning.PARTS, 0, 1 << 31, 9, 1, 4, b"", part), (4,), (code,))
            )
            for part, code in ((0.5, b"abc"), (0.5, b"\xff" * 9), (1e-40, ZEROS))
        ),
    ],
)
def test_remainders_that_lie_are_found(data: bytes):
    with pytest.raises(SectionCorrupt):
        deep.decode(data, Shape(6, 4, 1, 32), 1)


def test_a_remainder_gives_floats():
    frame = packed(b"\x80\0\0" + struct.pack("<f", -1e-30))
    data = in_parts(ZEROS, struct.pack("<I", len(frame)) + frame)
    (found,) = deep.decode(data, Shape(6, 4, 1, 32), 1)
    assert found.view(np.float32).ravel().tolist() == [np.float32(-1e-30), *[0.0] * 23]
    (found,) = deep.decode(in_parts(NINES, NO_FRAME + bytes(60)), Shape(6, 4, 1, 32), 1)
    assert (found.view(np.float32) == 4.5).all()
