"""Single images to and from `.seec` files: the public face of the codec."""

import numpy as np
from numpy.typing import NDArray

from seec.pipeline import codec
from seec.pipeline.codec import Info as ImageInfo
from seec.pipeline.codec import inspect

__all__ = ["ImageInfo", "decode", "encode", "inspect"]


def encode(image: NDArray[np.uint8], *, profile: str = "lite", threads: int = 1) -> bytes:
    """Encode an image losslessly.

    image: [H, W] gray or [H, W, 3] RGB, uint8. profile: `fast`, `lite` or `max`; smaller files take
    longer. threads: how many encode groups of tiles side by side; the bytes do not depend on it.
    Returns a `.seec` file. Raises UnknownModel for another profile, ValueError for another shape.
    """
    return codec.encode(image, model=codec.packaged_model(profile), threads=threads)


def decode(data: bytes, *, threads: int = 1) -> NDArray[np.uint8]:
    """Decode a `.seec` file that a packaged profile wrote.

    Returns the pixels, [H, W] or [H, W, 3] uint8. Raises FormatError or FixityError if the file is
    damaged, UnknownModel if it needs weights that are not packaged.
    """
    return codec.decode(data, threads=threads)
