"""A mask that a user drew, as a region of interest."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.schemas.errors import UnreadableMask

_MODES = ("1", "L", "P", "RGB", "I;16")


def read_mask(name: str, data: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """The region of interest, [height, width] bool: where any channel of the picture is not 0.

    name: of the mask, for messages. Raises UnreadableMask if the bytes are no picture without
    alpha, or one of another size.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.size != (width, height):
                size = f"{picture.width} x {picture.height}"
                raise UnreadableMask(f"{name}: {size} pixels, and the image has {width} x {height}")
            if picture.mode not in _MODES:
                raise UnreadableMask(f"{name}: a mask of mode {picture.mode}, not one of {_MODES}")
            values: NDArray[np.generic] = np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableMask(f"{name}: not a picture that can be read ({error})") from None
    return (values.reshape(height, width, -1) != 0).max(-1)
