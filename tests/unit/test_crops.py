"""Random access as a table: the figures are those of the file."""

from dataclasses import asdict

import numpy as np

from seec.pipeline.lab.benchmark.crops import measure, mosaic
from seec.pipeline.lab.benchmark.markdown import evaluation_lines
from tests.pictures import textured


def test_crops_read_the_tiles_that_they_touch():
    image = mosaic([textured(96, 130, seed) for seed in range(5)], 700, 1100)
    figures = measure(image)
    assert figures.megapixels == 0.77
    inside, corner = figures.crops
    assert 0 < inside.read_bytes < corner.read_bytes < figures.size_bytes
    assert inside.seconds < figures.seconds
    table = "\n".join(evaluation_lines({"crops": asdict(figures)}))
    assert f"{corner.read_bytes:,}" in table


def test_a_mosaic_is_made_of_the_middles_of_its_images():
    images = [np.full((8, 12, 3), value, np.uint8) for value in (10, 20, 30)]
    whole = mosaic(images, 15, 20)
    assert whole.shape == (15, 20, 3)
    assert [whole[0, x, 0] for x in (0, 8, 16)] == [10, 20, 30]
    assert [whole[8, x, 0] for x in (0, 8, 16)] == [10, 20, 30]
    assert set(np.unique(mosaic(images, 100, 100))) == {10, 20, 30}
