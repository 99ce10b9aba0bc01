"""The source and the archive of these tests, of which each test has copies of its own."""

import shutil
from pathlib import Path

import pytest

from tests.archives.sharing import FILES, run
from tests.archives.test_stacks import write


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source with files of every kind, and its archive."""
    folder = tmp_path_factory.mktemp("shared")
    write(folder / "source" / "photos", FILES)
    run(folder / "source", folder / "archive")
    return folder


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "source", tmp_path / "source"))


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))
