"""Region-of-interest coding: what it promises of the region, of the background, and of itself."""

import numpy as np
import pytest

from seec.pipeline.codec import Background, Encoder, decode, default_model, encode, inspect
from seec.schemas.errors import FormatError
from tests.pictures import gray, textured

SHAPE = (70, 100)


def disc() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (y - 30) ** 2 + (x - 40) ** 2 < 400


@pytest.mark.parametrize("error", [1, 2, 4, 8, 127])
@pytest.mark.parametrize("draw", [gray, textured])
def test_the_region_is_exact_and_the_background_within_the_error(draw, error):
    image = draw(*SHAPE)
    blob = encode(image, background=Background(disc(), error))
    decoded = decode(blob)
    away = np.abs(decoded.astype(int) - image)
    assert (away[disc()] == 0).all()
    assert 0 < away.max() <= error
    assert (inspect(blob).lossless, inspect(blob).background_error) == (False, error)


@pytest.mark.parametrize("draw", [gray, textured])
def test_a_skipped_background_costs_next_to_nothing(draw):
    image = draw(*SHAPE)
    region = np.zeros(SHAPE, bool)
    region[32:48, 32:64] = True
    blob = encode(image, background=Background(region, None))
    assert (decode(blob)[region] == image[region]).all()
    assert (inspect(blob).lossless, inspect(blob).background_error) == (False, None)
    assert len(blob) < len(encode(image)) / 4


def test_sizes_fall_as_the_error_grows():
    image = textured(*SHAPE)
    sizes = [len(encode(image))]
    sizes += [len(encode(image, background=Background(disc(), e))) for e in (1, 2, 4, 8, None)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("error", [3, None])
def test_kernels_threads_and_tilings_agree(error):
    shape = (40, 64)
    images = [textured(*shape), gray(*shape)]
    backgrounds = [Background(disc()[:40, :64], error)] * 2
    blobs = {
        device: Encoder(default_model(), device, threads, tile_size=32).encode_batch(
            images, [None, None], backgrounds
        )
        for device, threads in (("cpu", 1), ("cpu", 3), ("torch:cpu", 1))
    }
    assert len({tuple(written) for written in blobs.values()}) == 1
    for blob in blobs["cpu"]:
        assert (decode(blob) == decode(blob, device="torch:cpu")).all()


def test_many_lossy_groups_decode_together_in_torch():
    image = textured(*SHAPE)
    encoder = Encoder(default_model(), tile_size=16, tiles_per_group=3)
    (blob,) = encoder.encode_batch([image], [None], [Background(disc(), None)])
    assert (decode(blob) == decode(blob, device="torch:cpu")).all()


def test_a_region_that_covers_all_is_a_lossless_file():
    image = textured(*SHAPE)
    everywhere = np.ones(SHAPE, bool)
    assert encode(image, background=Background(everywhere, 8)) == encode(image)


@pytest.mark.parametrize("error", [0, -1, 128])
def test_errors_that_bins_cannot_have_are_refused(error):
    with pytest.raises(ValueError, match="background error"):
        Background(disc(), error)


def test_a_region_of_another_size_is_refused():
    with pytest.raises(ValueError, match="region"):
        encode(textured(16, 16), background=Background(disc(), 1))


def test_header_and_sections_must_agree_on_loss():
    from dataclasses import replace

    from seec.schemas.container import parse, serialise

    lossy = parse(encode(textured(*SHAPE), background=Background(disc(), 2)))
    with pytest.raises(FormatError, match="disagree"):
        decode(serialise(replace(lossy, lossy=False)))
    with pytest.raises(FormatError, match="disagree"):
        decode(serialise(replace(parse(encode(textured(20, 20))), lossy=True)))


def test_regions_get_the_entropy_model_under_which_they_cost_least():
    image = textured(64, 96)
    halves = np.zeros((64, 96), np.uint8)
    halves[:, 48:] = 13
    blob = encode(image, labels=halves, regions=True)
    assert (decode(blob) == image).all()
    fixed = [
        len(encode(image, labels=np.where(halves, b, a).astype(np.uint8)))
        for a in range(4)
        for b in range(4)
    ]
    assert len(blob) <= min(fixed) + 8
