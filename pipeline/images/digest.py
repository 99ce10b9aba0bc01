"""The digest of decoded pixels, the same everywhere: container, manifest, verification."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def pixel_digest(pixels: NDArray[np.uint8]) -> bytes:
    """SHA-256 of an image's pixels and shape.

    pixels: [H, W] gray or [H, W, 3] RGB, uint8. Hashes height, width and channels as
    little-endian uint32, then the samples in row-major order. Returns 32 bytes.
    """
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    shape = np.array([height, width, channels], "<u4")
    digest = hashlib.sha256(shape.tobytes())
    digest.update(np.ascontiguousarray(pixels).data)  # large images must not be copied
    return digest.digest()
