"""Groups of samples coded by the C extension: see _deep.c."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.schemas.deep import ACROSS, HOLES, REPEATS
from seec.schemas.errors import SectionCorrupt

try:
    from seec.pipeline.deep import _deep as extension
except ImportError:  # built without a compiler
    extension = None

Numbers = NDArray[np.uint32]


def is_built() -> bool:
    """Whether the extension is there; without one nothing is coded like this, nor decoded."""
    return extension is not None


def levels() -> tuple[str, ...]:
    """The coders that this processor runs, the slowest first: the same bytes from each."""
    return _built().levels()


def encode_group(numbers: Numbers, top: int, way: int, level: str = "") -> bytes:
    """The code of numbers [slices, bands, height, width] from 0 to `top`, which is below 2^31.

    way: of `schemas.deep`, REPEATS, ACROSS and HOLES. level: of `levels`, the fastest where empty.
    """
    numbers = np.ascontiguousarray(numbers, np.uint32)
    flags = [bool(way & flag) for flag in (ACROSS, REPEATS, HOLES)]
    return _built().encode(numbers, *numbers.shape, top, *flags, level)


def decode_group(
    code: bytes, shape: tuple[int, int, int, int], top: int, way: int, level: str = ""
) -> Numbers:
    """The inverse of `encode_group`; SectionCorrupt for what that never writes."""
    numbers = np.empty(shape, np.uint32)
    flags = [bool(way & flag) for flag in (ACROSS, REPEATS, HOLES)]
    if not _built().decode(code, numbers, *shape, top, *flags, level):
        raise SectionCorrupt("samples: a code that no encoder writes")
    return numbers


def _built() -> Any:
    if extension is None:
        raise RuntimeError(
            "the extension seec.pipeline.deep._deep is not built: install seec with a C compiler"
        )
    return extension
