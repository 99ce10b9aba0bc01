"""Encode one image with each packaged profile, decode it, compare every pixel.

python examples/encode_image.py photo.png
"""

import sys

import numpy as np
from PIL import Image

import seec


def sizes(path: str) -> dict[str, int]:
    """Bytes of the image under each profile."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    found = {}
    for profile in ("fast", "lite", "max"):
        data = seec.encode(pixels, profile=profile)
        assert np.array_equal(seec.decode(data), pixels)
        found[profile] = len(data)
    return found


if __name__ == "__main__":
    for name, size in sizes(sys.argv[1]).items():
        print(f"{name}: {size:,} bytes")
