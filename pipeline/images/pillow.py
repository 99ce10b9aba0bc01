"""Pillow behind one door: one format at a time, no size limit of its own, one kind of error."""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.schemas.errors import UnreadableImage

# What Pillow's plugins raise on damaged files, as seen in their sources.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)
_MODES = ("RGB", "RGBA")
_unlimited = threading.Lock()


def decode(data: bytes, format_name: str) -> NDArray[np.uint8]:
    """Pixels [H, W, 3] RGB or [H, W, 4] RGBA, uint8.

    UnreadableImage for any other mode, for several pictures, or for damage. The caller has compared
    width and height with its own limit.
    """
    try:
        with opened(data, format_name) as image:
            if getattr(image, "n_frames", 1) != 1:
                raise UnreadableImage("more than one picture in the file")
            if image.mode not in _MODES:
                raise UnreadableImage(f"mode {image.mode}, not one of {', '.join(_MODES)}")
            image.load()
            return np.asarray(image)
    except _DAMAGE as error:
        raise UnreadableImage(f"damaged {format_name} file: {error}") from None


def encode(pixels: NDArray[np.uint8], format_name: str, **options: Any) -> bytes:
    """A file with these pixels."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format_name, **options)
    return sink.getvalue()


@contextmanager
def opened(data: bytes, format_name: str) -> Iterator[Image.Image]:
    """A file as Pillow opens it, whatever its size, and without a warning.

    Raises what Pillow raises. The caller compares width and height with its own limit.
    """
    # Our limit is a setting; Pillow's is a global of the process, as warnings are.
    with _unlimited, warnings.catch_warnings(action="ignore"):
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(io.BytesIO(data), formats=(format_name,)) as image:
                yield image
        finally:
            Image.MAX_IMAGE_PIXELS = limit
