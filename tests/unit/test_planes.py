"""Coefficients are packed group by group, and come back whatever they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from seec.pipeline.dct import planes
from seec.pipeline.dct.extension import extension
from seec.pipeline.dct.planes import Plane, Planes

BLOCKS = arrays.arrays(
    np.int16,
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.just(64)),
    elements=st.one_of(st.just(0), st.integers(-130, 130), st.integers(-32768, 32767)),
)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "GROUP_BLOCKS", 8)


def back(blocks: NDArray[np.int16]) -> bytes:
    packed = extension().pack(blocks)
    found = np.full_like(blocks, 7)
    extension().unpack(packed, found)
    np.testing.assert_array_equal(found, blocks)
    return packed


@given(BLOCKS)
def test_any_coefficients_come_back_from_no_more_bytes(blocks: NDArray[np.int16]):
    assert len(back(blocks)) <= blocks.nbytes


def test_few_coefficients_take_few_bytes():
    blocks = np.zeros((5, 6, 64), np.int16)
    assert len(back(blocks)) == 3 * 30
    blocks[..., 0], blocks[..., 9] = 1000, -127
    assert len(back(blocks)) == 5 * 30
    blocks[..., 9] = -128
    assert len(back(blocks)) == 7 * 30
    blocks[:] = 1000
    assert len(back(blocks)) == blocks.nbytes


def test_other_bytes_are_refused():
    blocks = np.random.default_rng(1).integers(-200, 200, (2, 3, 64)).astype(np.int16)
    blocks[:, :, 8:] = 0
    packed = extension().pack(blocks)
    for other in (b"", packed[:-1], packed + b"\0"):
        with pytest.raises(ValueError, match="packed"):
            extension().unpack(other, blocks)


def test_rows_of_groups_are_those_of_the_whole(small_groups: None):
    shapes = [Plane(2, 14, 6), Plane(1, 7, 3)]
    held = Planes(shapes)
    rng = np.random.default_rng(2)
    whole = [rng.integers(-9, 9, (p.rows, p.columns, 64)).astype(np.int16) for p in shapes]
    assert len(held.spans) > 1
    for number, plane in enumerate(shapes):
        assert not held.whole(number).any()
        for group in range(len(held.spans)):
            rows = held.rows(group, number)
            assert held.put(group, number, whole[number][rows]) > 0
            np.testing.assert_array_equal(held.read(group, number), whole[number][rows])
        np.testing.assert_array_equal(held.whole(number), whole[number])
        assert held.whole(number).shape == (plane.rows, plane.columns, 64)
