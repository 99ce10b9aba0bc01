# The C extension: see colours/invert.py, its only caller.
import numpy as np
from numpy.typing import NDArray

# family: the fields of a Family by name.
def invert(
    *,
    inverse: NDArray[np.int64],
    added: NDArray[np.int64],
    steps: NDArray[np.int8],
    near: int,
    pixels: NDArray[np.uint8],
    samples: NDArray[np.uint8],
    exact: NDArray[np.bool_],
    **family: int,
) -> None: ...
