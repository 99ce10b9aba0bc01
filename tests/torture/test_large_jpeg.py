"""Large JPEG files in bounded memory."""

import sys
from pathlib import Path

import pytest

from tests.torture import large_jpeg
from tests.torture.large_jpeg import KINDS, picture, taken, write

SMALL, LARGE = 3_000_000, 12_000_000
DENSE_BYTES = 3 * 2  # of a pixel in 4:4:4, as coefficients that are not packed


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["4:4:4", "4:4:4 progressive"])
def test_memory_grows_far_less_than_by_all_coefficients(kind: str, tmp_path: Path):
    def peaks(pixels: int) -> dict[str, int]:
        source, coded = tmp_path / f"{pixels}.jpg", tmp_path / f"{pixels}.coded"
        write(source, picture(pixels, None) // 16, KINDS[kind])
        return {s: taken(s, source, coded, "fast").peak for s in ("look", "code", "decode")}

    small, large = peaks(SMALL), peaks(LARGE)
    for step, peak in large.items():
        assert peak - small[step] < 0.4 * DENSE_BYTES * (LARGE - SMALL), step


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_files_of_all_kinds_come_back_within_the_bound(tmp_path: Path):
    assert large_jpeg.main(tmp_path, 64_000_000, tell, profiles=["fast"]) == []
