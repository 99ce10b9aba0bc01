# The C extension: see colours/invert.py, its only caller.
import numpy as np
from numpy.typing import NDArray

def invert(
    numbers: NDArray[np.int64],
    steps: NDArray[np.int8],
    pixels: NDArray[np.uint8],
    samples: NDArray[np.uint8],
    exact: NDArray[np.bool_],
) -> None: ...
