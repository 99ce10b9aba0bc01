"""Large TIFF files in pieces, in bounded memory."""

import sys
from pathlib import Path

import pytest

from tests.torture import large_tiff


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_stacks_and_pyramids_come_back_from_pieces(tmp_path: Path):
    assert large_tiff.main(tmp_path, 420_000_000, tell) == []
