"""Golden files of samples of any depth: for ever the same, and readable from FORMAT.md alone."""

import numpy as np
import pytest

from seec.pipeline import deep
from seec.schemas.deep import parse
from seec.schemas.planes import Shape
from tests.vectors import plain_deep
from tests.vectors.drawn_deep import rasters
from tests.vectors.make_deep import FOLDER

RASTERS = rasters()


@pytest.mark.parametrize("name", RASTERS)
def test_golden_files_are_written_and_read(name: str):
    samples, depth = RASTERS[name]
    golden = (FOLDER / f"{name}.bin").read_bytes()
    assert deep.encode(samples, depth) == golden
    height, width, count = samples[0].shape
    decoded = deep.decode(golden, Shape(width, height, count, depth), len(samples))
    for one, found in zip(samples, decoded, strict=True):
        assert found.dtype == one.dtype
        np.testing.assert_array_equal(found, one)


@pytest.mark.parametrize("name", RASTERS)
def test_a_decoder_written_from_the_specification_reads_golden_files(name: str):
    samples, depth = RASTERS[name]
    golden = (FOLDER / f"{name}.bin").read_bytes()
    height, width, count = samples[0].shape
    found = plain_deep.decode_run(golden, width, height, count, depth, len(samples))
    assert found == [one.tolist() for one in samples]


def test_golden_files_show_all_ways():
    ways = set()
    for path in FOLDER.glob("*.bin"):
        samples, depth = RASTERS[path.stem]
        height, width, count = samples[0].shape
        shape = Shape(width, height, count, depth)
        ways.update(parse(path.read_bytes(), shape, len(samples)).ways)
    assert ways >= {0, 1, 2, 4, 9}
