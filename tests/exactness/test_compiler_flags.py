"""Compilers that may compute inexactly change no bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_CODE = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

name = "seec.pipeline.dct._dct"
spec = spec_from_file_location(name, sys.argv[1])
module = module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules[name] = module

import seec.pipeline.dct
from seec.pipeline.dct.native import Coder, levels
from seec.pipeline.dct.weights import load_model
from tests.vectors.drawn_dct import draw
from tests.vectors.make_dct import CASES, FOLDER, MODELS, case_name

seec.pipeline.dct._dct = module
for name in MODELS:
    model = load_model((FOLDER / f"{name}.dct").read_bytes())
    for level in levels():
        for shape, loud in CASES:
            golden = (FOLDER / case_name(name, shape, loud)).read_bytes()
            if Coder(model, level).encode(draw(shape, 7, loud)) != golden:
                sys.exit(f"{level}: other bytes than {case_name(name, shape, loud)}")
"""


@pytest.mark.slow
def test_approximate_arithmetic_cannot_be_asked_for(tmp_path):
    subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "build_ext"),
            *("--build-lib", tmp_path / "built", "--build-temp", tmp_path / "objects"),
        ],
        cwd=_ROOT,
        env=os.environ | {"CFLAGS": "-Ofast"},
        check=True,
        capture_output=True,
    )
    (built,) = tmp_path.glob("built/seec/pipeline/dct/_dct.*")
    subprocess.run([sys.executable, "-c", _CODE, str(built)], cwd=_ROOT, check=True)
