"""What tests of faults share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sweep import memory_folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder in memory."""
    with memory_folder() as made:
        yield made
