"""The test sets for colour sets have the colours that they are named after."""

import pytest

from seec.pipeline.codec.colours.detect import find_colour_set
from seec.pipeline.lab.benchmark.colour_tests import SETS, measure
from tests.pictures import textured


@pytest.mark.parametrize("name", [name for name in SETS if name != "as they are"])
def test_sets_have_colour_sets(name):
    assert find_colour_set(SETS[name](textured(80, 64))) is not None


def test_sets_can_be_named_in_paths():
    """A table is made again from a file for each."""
    assert not any(set(name) & set("/\\") for name in SETS)


def test_a_measurement_tells_what_colour_sets_bring():
    figures = measure("JPEG", [SETS["JPEG 85, 4:2:0"](textured(64, 48))])
    assert (figures.count, figures.found) == (1, 1)
    assert figures.bpsp < figures.bpsp_without
    assert figures.seconds_to_find < figures.seconds
