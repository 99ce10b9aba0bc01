"""Some of what `tests.archives.copy_sweep` tries."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archives import copy_sweep
from tests.archives.copy_sweep import ROWS, Made, make, mended
from tests.faults.sweep import memory_folder

EVERY = {"killed": 90, "grown": 110, "requests": 90, "follows": 60, "damaged": 14, "refused": 1}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with memory_folder() as made:
        yield made


@pytest.fixture(scope="module")
def made(folder: Path) -> Made:
    return make(folder / "made")


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.__name__)
def test_a_copy_that_was_disturbed_is_whole_in_the_end(
    row: copy_sweep.Row, made: Made, folder: Path
) -> None:
    (folder / row.__name__).mkdir()
    count = row(made, EVERY[row.__name__], folder / row.__name__)
    assert count.tried > 2
    assert count.failures == []


def test_each_side_mends_the_other(made: Made, folder: Path) -> None:
    (folder / "mended").mkdir()
    counts = dict(mended(made, 11, folder / "mended"))
    assert len(counts) > 4
    assert [text for count in counts.values() for text in count.failures] == []
