# The C extension: see native.py, its only caller.
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LINES: int
NODES: int
SETS: int
LANES: int
SAMPLE: int
TRUNK: int
EXTRAS: int
SHARED: int
WIDEST: int
VALUE_OUTPUTS: int
BLOCK_SAMPLE: int
COEFFICIENT_SAMPLE: int
COUNT_MAX: int

Component: TypeAlias = tuple[int, int, int, int, NDArray[np.uint16], NDArray[np.int16]]
Layer: TypeAlias = tuple[int, int, int, NDArray[np.int8], NDArray[np.int32]]

class Model: ...

def levels() -> tuple[str, ...]: ...
def make_model(
    slots: bytes,
    weights: NDArray[np.int16],
    linear: NDArray[np.int16],
    networks: Sequence[Layer],
    learning: int,
    level: str,
) -> Model: ...
def encode(model: Model, components: Sequence[Component]) -> bytes: ...
def decode(model: Model, components: Sequence[Component], coded: bytes | memoryview) -> bool: ...
def prime(
    model: Model, components: Sequence[Component], samples: bytearray, share: int, seed: int
) -> int: ...
def gather(
    model: Model,
    components: Sequence[Component],
    blocks: NDArray[np.uint8],
    coefficients: NDArray[np.uint8],
    share: int,
    seed: int,
) -> tuple[int, int]: ...
def start(model: Model) -> tuple[bytearray, bytes]: ...
def encode_slots(predictors: NDArray[np.int16], slots: NDArray[np.int8]) -> bytes: ...
def decode_slots(
    predictors: NDArray[np.int16], slots: NDArray[np.int8], coded: NDArray[np.uint8]
) -> bool: ...
