"""A pytest plugin that tests the C extensions of `make sanitize`: `-p tests.sanitised`.

Those report undefined behaviour and bad accesses, and end the process at the first one. They stand
in a build folder of their own, so that the usual ones stay as they are.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path("build/sanitize").resolve()
EXTENSIONS = {
    ".".join(path.relative_to(FOLDER).parts).split(".abi3")[0]: path
    for path in sorted(FOLDER.rglob("*.abi3.so"))
}


class Sanitised(MetaPathFinder):
    """Finds the extensions in the build folder before any others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an extension; None for all other modules."""
        found = EXTENSIONS.get(fullname)
        return found and spec_from_file_location(fullname, found)


if not EXTENSIONS:
    raise pytest.UsageError(f"{FOLDER} holds no extensions: run `make sanitize`")
sys.meta_path.insert(0, Sanitised())  # before pytest imports conftest.py, which imports the codec


def pytest_sessionfinish() -> None:
    """A run in which an extension was not loaded from the build folder has tested nothing."""
    for name, path in EXTENSIONS.items():
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded != str(path):
            raise pytest.UsageError(f"{name} was loaded from {loaded} instead of {path}")
