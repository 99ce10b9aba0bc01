"""Payloads of codec seec-planes that lie: a typed error, never another picture."""

import random
import struct
from dataclasses import replace

import numpy as np
import pytest

from seec.pipeline.codec import Model, encode
from seec.pipeline.images.files import read_image
from seec.pipeline.images.planes import split
from seec.pipeline.images.raster import raster_digest
from seec.pipeline.routes.reading import seec_planes
from seec.schemas.container import crc32c
from seec.schemas.errors import (
    FormatError,
    LimitExceeded,
    SectionCorrupt,
    Truncated,
    UnsupportedVersion,
)
from seec.schemas.limits import MAX_RASTERS, MAX_SAMPLE_BYTES
from seec.schemas.planes import Payload, Plane, Run, Shape, parse, serialise
from tests.pictures import textured
from tests.sources import image_bytes

RGBA = np.dstack([textured(24, 20), textured(24, 20, 1)[..., 0]])
COMPOSITE = read_image(image_bytes(RGBA, "PNG"))


@pytest.fixture(scope="module")
def payload(golden_model: Model) -> bytes:
    shapes = tuple(raster.shape for raster in COMPOSITE.rasters)
    planes = list(split(COMPOSITE.rasters))
    codes = tuple(b"" if p is None else encode(p, model=golden_model) for _, p in planes)
    return serialise(Payload(shapes, tuple(plane for plane, _ in planes), codes))


def unpack(data: bytes, model: Model, sample_bytes: int = RGBA.size):
    return seec_planes.unpack(data, sample_bytes, {model.id: model})


def sealed(data: bytes, directory_bytes: int) -> bytes:
    """The same with a checksum that fits."""
    return data[:directory_bytes] + struct.pack("<I", crc32c(data[:directory_bytes])) + data[-4:]


def test_a_payload_of_planes_unpacks(payload: bytes, golden_model: Model):
    assert raster_digest(unpack(payload, golden_model)) == raster_digest(COMPOSITE.rasters)
    assert serialise(parse(payload)) == payload


def test_every_flipped_byte_of_the_directory_is_found(payload: bytes):
    for position in range(17 + 10 + 2 * 14 + 4):
        damaged = bytearray(payload)
        damaged[position] ^= 1
        with pytest.raises(FormatError):
            parse(bytes(damaged))


def test_every_cut_is_found(payload: bytes, golden_model: Model):
    for end in (*range(60), *range(60, len(payload), 37), len(payload) - 1):
        with pytest.raises(FormatError):
            unpack(payload[:end], golden_model)
    with pytest.raises(Truncated):
        unpack(payload + b"\0", golden_model)


def test_flipped_bytes_of_a_plane_are_found(payload: bytes, golden_model: Model):
    rng = random.Random(0)
    for _ in range(60):
        damaged = bytearray(payload)
        damaged[rng.randrange(60, len(payload))] ^= 1 << rng.randrange(8)
        with pytest.raises(FormatError):
            unpack(bytes(damaged), golden_model)


def test_a_directory_that_lies_is_found_before_anything_is_decoded(payload: bytes):
    sound = parse(payload)
    (shape,), (color, alpha), (code, other) = sound.shapes, sound.planes, sound.codes
    lies: list[tuple[Payload, type[FormatError]]] = [
        (Payload((), (), ()), LimitExceeded),
        (Payload((replace(shape, width=0),), sound.planes, sound.codes), SectionCorrupt),
        (Payload((replace(shape, depth=7),), sound.planes, sound.codes), SectionCorrupt),
        (Payload((replace(shape, samples=200),), sound.planes, sound.codes), SectionCorrupt),
        (Payload((replace(shape, width=1 << 30),), sound.planes, sound.codes), LimitExceeded),
        (Payload((shape,) * (MAX_RASTERS + 1), (), ()), LimitExceeded),
        (Payload((shape,), (color,), (code,)), SectionCorrupt),
        (Payload((shape,), (color, alpha, alpha), (code, other, other)), SectionCorrupt),
        (Payload((shape,), (color, replace(alpha, raster=1)), (code, other)), SectionCorrupt),
        (Payload((shape,), (color, replace(alpha, samples=(4,))), (code, other)), SectionCorrupt),
        (Payload((shape,), (color, replace(alpha, samples=(0,))), (code, other)), SectionCorrupt),
        (Payload((shape,), (color, replace(alpha, byte=1)), (code, other)), SectionCorrupt),
        (
            Payload((shape,), (color, replace(alpha, difference=True)), (code, other)),
            SectionCorrupt,
        ),
        (Payload((shape,), (color, alpha), (code, b"")), SectionCorrupt),
        (Payload((shape,), (color, replace(alpha, value=3)), (code, other)), SectionCorrupt),
    ]
    for lie, error in lies:
        with pytest.raises(error):
            parse(serialise(lie))


def test_runs_that_lie_are_found_before_anything_is_decoded():
    shape, other = Shape(9, 8, 1, 16), Shape(8, 9, 1, 16)
    shapes = (shape, shape, other)
    sound = (Run(0, 2, b"code"), Run(2, 1, b"code"))
    assert parse(serialise(Payload(shapes, (), (), sound))).runs == sound
    lies = [
        (),
        (Run(0, 2, b""),),
        (Run(0, 3, b""),),
        (*sound, Run(2, 1, b"")),
        (Run(2, 1, b""), Run(0, 2, b"")),
        (Run(0, 2, b""), Run(1, 1, b""), Run(2, 1, b"")),
        (Run(0, 0, b""), *sound),
        (Run(0, 2, b""), Run(2, 2, b"")),
    ]
    for runs in lies:
        with pytest.raises(SectionCorrupt):
            parse(serialise(Payload(shapes, (), (), runs)))
    planes = tuple(Plane(0, (0,), byte, value=1) for byte in (0, 1))
    with pytest.raises(SectionCorrupt):
        parse(serialise(Payload(shapes, planes, (b"", b""), sound)))


def test_unknown_versions_and_flags_are_refused(payload: bytes):
    with pytest.raises(UnsupportedVersion):
        parse(payload[:4] + b"\2" + payload[5:])
    end = 17 + 10 + 28
    for flags, value in ((4, 0), (0, 7)):
        changed = bytearray(payload)
        changed[17 + 10 + 8], changed[17 + 10 + 9] = flags, value
        with pytest.raises(SectionCorrupt, match="flags"):
            parse(sealed(bytes(changed), end))


def test_planes_of_another_size_or_colour_are_found(payload: bytes, golden_model: Model):
    sound = parse(payload)
    for pixels in (textured(23, 20), textured(24, 21), textured(24, 20)[..., 0].copy()):
        code = encode(pixels, model=golden_model)
        lie = serialise(replace(sound, codes=(code, sound.codes[1])))
        with pytest.raises(FormatError):
            unpack(lie, golden_model)


def test_a_row_that_says_another_size_is_found(payload: bytes, golden_model: Model):
    for sample_bytes in (0, RGBA.size - 1, RGBA.size + 1, MAX_SAMPLE_BYTES):
        with pytest.raises(SectionCorrupt):
            unpack(payload, golden_model, sample_bytes)


def test_samples_that_their_depth_does_not_hold_are_found(golden_model: Model):
    pixels = textured(8, 9)[..., 0].copy()
    code = encode(pixels, model=golden_model)
    lie = serialise(Payload((Shape(9, 8, 1, 4),), (Plane(0, (0,)),), (code,)))
    with pytest.raises(SectionCorrupt, match="depth"):
        unpack(lie, golden_model, pixels.size)
