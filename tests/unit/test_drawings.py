"""Drawings: images of the kinds that they promise, the same ones each time."""

import numpy as np
import pytest

from seec.pipeline.codec.screen import looks_drawn
from seec.pipeline.lab.benchmark.drawings import SHOWN, draw_all
from tests.pictures import textured

PHOTOGRAPHS = [textured(330, 400, seed) for seed in range(SHOWN)]


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return draw_all(PHOTOGRAPHS)


def test_all_are_gray_or_rgb_and_differ(drawn):
    for image in drawn.values():
        assert image.dtype == np.uint8
        assert image.ndim == 2 or image.shape[2] == 3
    assert len({image.tobytes() for image in drawn.values()}) == len(drawn)


def test_they_are_the_same_each_time(drawn):
    again = draw_all(PHOTOGRAPHS)
    assert again.keys() == drawn.keys()
    assert all(np.array_equal(again[name], image) for name, image in drawn.items())


def test_drawings_of_photographs_need_all_photographs(drawn):
    few = draw_all(PHOTOGRAPHS[1:])
    assert few.keys() == draw_all().keys() < drawn.keys()


@pytest.mark.parametrize("name", ["page", "terminal", "icons", "bar-chart", "sprites", "bar-code"])
def test_they_look_drawn_to_the_encoder(name, drawn):
    image = drawn[name]
    assert looks_drawn(image[..., None] if image.ndim == 2 else image)
