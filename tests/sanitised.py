"""The C extensions of `make sanitize`, in the place of the usual ones.

Those report undefined behaviour and bad accesses, and end the process at the first one. They stand
in a build folder of their own, so that the usual ones stay as they are. `-p tests.sanitised` makes
pytest use them, or those of the folder that the environment's SEEC_TEST_EXTENSIONS names.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(os.environ.get("SEEC_TEST_EXTENSIONS", "build/sanitize")).resolve()
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


def install() -> None:
    """Let imports from now on find them. UsageError where there are none."""
    if not EXTENSIONS:
        raise pytest.UsageError(f"{FOLDER} holds no extensions: run `make sanitize`")
    sys.meta_path.insert(0, Sanitised())


def not_loaded() -> list[str]:
    """The extensions that were not loaded from the build folder: nothing has tried those."""
    return [
        name
        for name, path in EXTENSIONS.items()
        if getattr(sys.modules.get(name), "__file__", None) != str(path)
    ]


def pytest_load_initial_conftests() -> None:
    """Before pytest imports conftest.py, which imports the codec."""
    install()


def pytest_sessionfinish() -> None:
    """A run in which an extension was not loaded from the build folder has tested nothing."""
    if missed := not_loaded():
        raise pytest.UsageError(f"not loaded from {FOLDER}: {', '.join(missed)}")
