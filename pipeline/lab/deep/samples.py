"""Arrays of samples by class: a folder holds a folder for each class, with .npy files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
_MOST_BANDS = 16


def classes(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """The name and the files of each class, in order."""
    for one in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield one.name, sorted(one.glob("*.npy"))


def load(path: Path) -> Samples:
    """[slices, height, width, bands], as it is or of [H, W], [H, W, bands] or [slices, H, W].

    Of three axes a last one of at most 16 is one of bands. Numbers are in this machine's order of
    bytes.
    """
    values = np.load(path)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.ndim == 4:
        return values
    if values.ndim == 2:
        return values[None, :, :, None]
    return values[None] if values.shape[-1] <= _MOST_BANDS else values[..., None]


def as_rasters(samples: Samples) -> tuple[list[Samples], int]:
    """Each slice as unsigned integers, floats by their bits; the bits of a sample."""
    if samples.dtype == bool:
        return list(samples.astype(np.uint8)), 1
    unsigned = np.dtype(f"u{samples.dtype.itemsize}")
    return list(samples.view(unsigned)), 8 * samples.dtype.itemsize
