# The C extension: see scans.py and planes.py, its only callers.
import numpy as np
from numpy.typing import NDArray

class Reader: ...
class Writer: ...

def make_reader(
    data: bytes,
    start: int,
    numbers: NDArray[np.int64],
    tables: bytes,
    counts: NDArray[np.uint32],
    most_pairs: int,
) -> Reader: ...
def read(
    reader: Reader, first: int, to: int, coefficients: tuple[NDArray[np.int16], ...]
) -> bool: ...
def finish_reading(
    reader: Reader,
) -> tuple[int, int, int, bytes, bytes | None, tuple[bytes | None, ...]]: ...
def make_writer(
    numbers: NDArray[np.int64],
    tables: bytes | NDArray[np.uint32],
    mcus: int,
    rule: int,
    runs: bytes,
    zero_runs: bytes,
    fill: int,
    padding: bytes | None,
) -> Writer: ...
def write(
    writer: Writer, first: int, to: int, coefficients: tuple[NDArray[np.int16], ...]
) -> bytes: ...
def finish_writing(writer: Writer) -> bytes: ...
def pack(coefficients: NDArray[np.int16]) -> bytes: ...
def unpack(packed: bytes, coefficients: NDArray[np.int16]) -> None: ...
def best_table(counts: NDArray[np.uint32]) -> bytes: ...
