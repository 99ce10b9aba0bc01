"""Without optional packages: what works, and what is said of the rest."""

import subprocess
import sys
from importlib import import_module

import click
import pytest

from seec.jobs import cli
from seec.pipeline.extras import needs
from seec.schemas.errors import MissingPackage

_WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; "
# What trains, and what looks into the float networks.
_WITH_TORCH = {"train", "evaluate", "explain"}


@pytest.mark.parametrize("name", cli.main.list_commands(click.Context(cli.main)))
def test_only_these_commands_need_torch(name: str) -> None:
    code = f"{_WITHOUT_TORCH}from seec.jobs.cli import main; main(['{name}', '--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if name in _WITH_TORCH:
        assert done.returncode == 2
        assert f"seec {name} needs torch" in done.stderr
        assert "pip install 'seec-archive[train]'" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_networks_for_segmentation_name_their_extra() -> None:
    code = (
        f"{_WITHOUT_TORCH}from seec.pipeline.segmentation import make_segmenter\n"
        "try: make_segmenter('salient')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingPackage --segmentation salient needs torch")
    assert "pip install 'seec-archive[segment]'" in done.stdout


def test_a_module_of_ours_that_is_missing_is_a_fault_and_no_extra() -> None:
    with pytest.raises(ModuleNotFoundError), needs("train", "training"):
        import_module("seec.pipeline.nothing_of_this_name")
    told = pytest.raises(MissingPackage, match=r"training needs nothing.*seec-archive\[train\]")
    with told, needs("train", "training"):
        import_module("nothing_of_this_name")
