"""What an encoder tries on parts of an image before it decides how to code it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from seec.pipeline.codec import Background, Encoder, decode, default_model
from seec.pipeline.codec.kernels import make_kernels
from seec.pipeline.codec.screen import looks_drawn
from seec.pipeline.codec.search.trials import SPOT, screen_may_win, spots
from seec.schemas.container import Coding, parse
from tests.pictures import made_of_planes, screenshot

MODEL = default_model()


def slanted(height: int, width: int) -> NDArray[np.uint8]:
    """A pattern each row of which is the one above moved by two: [height, width, 3] uint8.

    What continues towards the lower left is seen from the row above; turned, it is not.
    """
    row = np.random.default_rng(1).integers(60, 190, width + 2 * height)
    y, x = np.mgrid[:height, :width]
    return np.repeat(row[x + 2 * y][..., None], 3, -1).astype(np.uint8)


def encoded(image: NDArray[np.uint8], **options) -> bytes:
    (blob,) = Encoder(MODEL, screen=False, colour_set="none", **options).encode_batch(
        [image], [None]
    )
    return blob


@pytest.mark.parametrize("quarters", range(4))
def test_an_image_is_turned_where_that_takes_less(quarters):
    image = np.ascontiguousarray(np.rot90(slanted(150, 130), quarters))
    chosen, either = encoded(image), [encoded(image, turned=turned) for turned in (False, True)]
    assert [parse(blob).turned for blob in either] == [False, True]
    assert abs(len(either[0]) - len(either[1])) > 0.02 * len(chosen)
    assert len(chosen) == min(map(len, either))
    assert (decode(chosen) == image).all()


def test_kernels_and_threads_choose_alike():
    image = slanted(300, 290)
    sides = [image, np.ascontiguousarray(np.rot90(image))]
    blobs = [encoded(side) for side in sides]
    assert [parse(blob).turned for blob in blobs] == [True, False]
    assert [encoded(side, threads=2) for side in sides] == blobs
    parts = [side[-100:, :100].copy() for side in sides]
    for part in parts:
        (blob,) = Encoder(MODEL, "torch:cpu", screen=False).encode_batch([part], [None])
        assert encoded(part) == blob
    assert {parse(encoded(part)).turned for part in parts} == {True, False}


def test_images_with_labels_regions_or_colour_sets_are_never_turned():
    image = slanted(128, 128)
    region = np.zeros((128, 128), bool)
    region[:40] = True
    encoder = Encoder(MODEL, turned=True, screen=False)
    labels = np.zeros((128, 128), np.uint8)
    planes = made_of_planes(128, 128)
    blobs = encoder.encode_batch(
        [image, image, planes], [labels, None, None], [None, Background(region, 9), None]
    )
    assert not any(parse(blob).turned for blob in blobs)


def test_small_images_and_drawings_are_not_looked_at():
    assert not spots(slanted(SPOT - 1, 400))
    assert not spots(screenshot(300, 400))
    groups = spots(slanted(900, 1300))
    assert sum(map(len, groups)) == 4 * 5
    places = [(tile.y, tile.x) for group in groups for tile in group]
    assert len(set(places)) == 20
    assert all(y + SPOT <= 900 and x + SPOT <= 1300 for y, x in places)


def test_a_photograph_on_black_is_not_tried_for_screen_coding():
    y, x = np.mgrid[:300, :300]
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 1, (300, 300, 1)) + rng.normal(0, 0.5, (300, 300, 3))
    photograph = 110 + 50 * np.sin(x / 9) + 45 * np.cos(y / 7)
    image = (photograph[..., None] + noise).astype(np.uint8)
    image[:, :155] = 0
    assert looks_drawn(image)
    kernels = make_kernels(MODEL)
    assert not screen_may_win(kernels, image, 4)
    drawn = screenshot(300, 300)
    assert screen_may_win(kernels, drawn, 4)
    blobs = Encoder(MODEL).encode_batch([image, drawn], [None, None])
    codings = [parse(blob).sections[-1].coding for blob in blobs]
    assert codings == [Coding.RANGE, Coding.SCREEN]
