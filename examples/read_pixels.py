"""Read the pixels of an archive into numpy, one image after the other, without restoring files.

python examples/read_pixels.py photos.archive
"""

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import seec


def images(url: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """(path, pixels) of every image that the codec holds; pixels are [H, W] or [H, W, 3] uint8."""
    archive = seec.open(url)
    for path in archive.paths():
        if archive.info(path).route == "seec":
            yield path, archive.pixels(path)


if __name__ == "__main__":
    for path, pixels in images(sys.argv[1]):
        print(f"{path}: {pixels.shape}, mean {pixels.mean():.1f}")
