# The C extension: see native.py, its only caller.
import numpy as np
from numpy.typing import NDArray

def encode(
    samples: NDArray[np.uint32],
    slices: int,
    bands: int,
    height: int,
    width: int,
    top: int,
    across: bool,
    repeats: bool,
    holes: bool,
    level: str,
) -> bytes: ...
def decode(
    code: bytes,
    samples: NDArray[np.uint32],
    slices: int,
    bands: int,
    height: int,
    width: int,
    top: int,
    across: bool,
    repeats: bool,
    holes: bool,
    level: str,
) -> bool: ...
def levels() -> tuple[str, ...]: ...
