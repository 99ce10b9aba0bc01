"""SEEC: lossless archives of image collections."""

import sys
from pathlib import Path

# `python -m` puts the current folder first on the path while it looks for the module, which is when
# this runs. A file `queue.py` beside photographs must not take the place of a module.
_ROOT = Path(__file__).resolve().parents[1]
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and Path(sys.path[0]).resolve() != _ROOT:
    del sys.path[0]
