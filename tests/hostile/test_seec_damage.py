"""Damaged and hostile `.seec` files give a typed error, never a picture."""

import google_crc32c
import numpy as np
import pytest

from seec.pipeline.codec import decode, encode
from seec.schemas import container as c
from seec.schemas.errors import (
    FormatError,
    LimitExceeded,
    ModelError,
    SectionCorrupt,
    Truncated,
    UnsupportedVersion,
)
from tests.pictures import textured

SEEC_ERRORS = (FormatError, ModelError)


@pytest.fixture(scope="module")
def blob() -> bytes:
    return encode(textured(40, 36))


def test_every_single_bit_flip_is_noticed(blob):
    for position in range(len(blob)):
        for bit in range(8):
            damaged = bytearray(blob)
            damaged[position] ^= 1 << bit
            with pytest.raises(SEEC_ERRORS):
                decode(bytes(damaged))


def test_every_truncation_is_noticed(blob):
    for length in range(len(blob)):
        with pytest.raises(FormatError):
            decode(blob[:length])


def test_bytes_after_the_end_are_noticed(blob):
    with pytest.raises(FormatError, match="follow"):
        decode(blob + b"\0")


@pytest.mark.parametrize("seed", range(50))
def test_random_bytes_are_not_a_file(seed):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, int(rng.integers(0, 2000)), np.uint8).tobytes()
    with pytest.raises(FormatError):
        decode(noise)
    with pytest.raises(FormatError):
        decode(c.MAGIC + noise)


def resealed(blob: bytes, **changes) -> bytes:
    """The file with other header fields and valid checksums."""
    container = c.parse(blob)
    return c.serialise(c.Container(**{**vars(container), **changes}))


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
@pytest.mark.parametrize("seed", range(20))
def test_sealed_random_payloads_are_refused(blob, seed, device):
    rng = np.random.default_rng(seed)
    container = c.parse(blob)
    sections = tuple(
        c.Section(
            s.kind, s.coding, rng.integers(0, 256, int(rng.integers(0, 900)), np.uint8).tobytes()
        )
        for s in container.sections
    )
    with pytest.raises(FormatError):
        decode(resealed(blob, sections=sections), device=device)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"width": 0}, FormatError),
        ({"width": 1 << 31, "height": 1 << 31}, LimitExceeded),
        ({"width": 37}, SectionCorrupt),
        ({"height": 4000, "width": 65000}, FormatError),
        ({"tile_size": 0}, LimitExceeded),
        ({"tile_size": 65535}, LimitExceeded),
        ({"tile_size": 24}, LimitExceeded),
        ({"tiles_per_group": 0}, LimitExceeded),
        ({"tile_size": 16, "tiles_per_group": 257}, LimitExceeded),
        ({"tile_size": 4096, "tiles_per_group": 5}, LimitExceeded),
        ({"width": 1 << 28, "height": 1, "tile_size": 512, "tiles_per_group": 257}, LimitExceeded),
        ({"channels": 2}, UnsupportedVersion),
        ({"channels": 1}, FormatError),
        ({"block_shift": 0}, LimitExceeded),
        ({"block_shift": 200}, LimitExceeded),
        ({"digest": bytes(16)}, SectionCorrupt),
        ({"sections": ()}, FormatError),
        ({"model_id": bytes(8)}, ModelError),
    ],
)
def test_lies_in_the_header_are_noticed(blob, changes, error):
    with pytest.raises(error):
        decode(resealed(blob, **changes))


def test_a_huge_image_backed_by_few_bytes_ends_at_once():
    """A tile of 4096 x 4096 pixels with no words: the coder runs dry and says so."""
    section = c.Section(c.SectionKind.TILE_GROUP, c.Coding.RANGE, b"\x80\x80\x80" + bytes(8))
    from seec.pipeline.codec import default_model

    lie = c.Container(4096, 4096, 3, 4, 4096, 1, default_model().short_id, bytes(16), (section,))
    with pytest.raises(SectionCorrupt):
        decode(c.serialise(lie))


def test_a_colour_set_that_does_not_fit_is_refused(blob):
    sections = c.parse(blob).sections
    for coding, payload in (
        (c.Coding.RANGE, b"\x00"),
        (c.Coding.RAW, b""),
        (c.Coding.RAW, b"\x07"),
    ):
        colours = c.Section(c.SectionKind.COLOUR_SET, coding, payload)
        with pytest.raises(SectionCorrupt):
            decode(resealed(blob, sections=(colours, *sections)))


def test_unknown_flags_are_refused_by_name(blob):
    container = c.parse(blob)
    flagged = bytearray(blob)
    flagged[5] = 4
    front = c._HEADER.size + c._ENTRY.size * len(container.sections)
    flagged[front : front + 4] = c._CRC.pack(google_crc32c.value(bytes(flagged[:front])))
    with pytest.raises(UnsupportedVersion, match="0x04"):
        decode(bytes(flagged))


def test_two_label_maps_are_one_too_many(blob):
    container = c.parse(blob)
    labels = c.Section(c.SectionKind.LABELS, c.Coding.RANGE, bytes(4))
    with pytest.raises(FormatError, match="repeated"):
        decode(resealed(blob, sections=(labels, labels, *container.sections)))


def test_latents_of_a_model_without_sic_are_refused(blob):
    container = c.parse(blob)
    kinds = (c.SectionKind.HYPER_LATENTS, c.SectionKind.LATENTS)
    latents = [c.Section(kind, c.Coding.RANGE, bytes(8)) for kind in kinds]
    (groups,) = [[s for s in container.sections if s.kind is c.SectionKind.TILE_GROUP]]
    with pytest.raises(SectionCorrupt, match="latents"):
        decode(resealed(blob, sections=(*latents, *groups)))


def test_an_empty_file_is_truncated():
    with pytest.raises(Truncated):
        decode(b"")
