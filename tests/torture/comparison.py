"""Whether what comes out of an archive is what went in, by what its route promises."""

import io
import warnings

import imagecodecs
import numpy as np
from PIL import Image

from seec.pipeline.images.files import is_exact
from seec.schemas.routes import JPEGXL_JPEG, STORE
from seec.schemas.rows import Row
from tests.rows import envelope_of
from tests.sources import same_image


def came_back(row: Row, before: bytes, after: bytes, keep: str) -> bool:
    """Whether a file is what its route promises, as other programs see it."""
    if before == after:
        return True
    exact = is_exact(envelope_of(row))
    if keep == "file" or exact or row.route in (STORE, JPEGXL_JPEG):
        return False
    if row.image and row.image.mode in ("2x16", "3x16", "4x16"):
        with warnings.catch_warnings(action="ignore"):
            one, other = imagecodecs.png_decode(before), imagecodecs.png_decode(after)
        if not np.array_equal(one, other):
            return False
    try:
        return same_image(before, after)
    except (OSError, SyntaxError, ValueError):
        return not readable(before)


def readable(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True
