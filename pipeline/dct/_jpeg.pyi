# The C extension: see scans.py, its only caller.
import numpy as np
from numpy.typing import NDArray

def read(
    data: bytes,
    start: int,
    numbers: NDArray[np.int64],
    tables: bytes,
    coefficients: tuple[NDArray[np.int16], ...],
    counts: NDArray[np.uint32],
) -> tuple[int, int, int, bytes, bytes | None, tuple[bytes | None, ...]]: ...
def write(
    numbers: NDArray[np.int64],
    tables: bytes | NDArray[np.uint32],
    coefficients: tuple[NDArray[np.int16], ...],
    mcus: int,
    rule: int,
    runs: bytes,
    zero_runs: bytes,
    fill: int,
    padding: bytes | None,
) -> bytes: ...
def best_table(counts: NDArray[np.uint32]) -> bytes: ...
