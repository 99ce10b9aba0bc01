"""QOI files as the format's reference writes them.

Envelope: the byte of the header that names the colour space.
"""

import struct

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.raster import Raster, default_groups
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

FORMAT = "QOI"
_MAGIC = b"qoif"
_HEADER = struct.Struct(">4sIIBB")
_END = bytes(7) + b"\1"
_MOST_PIXELS = 62  # that one byte may stand for
_DAMAGE = (RuntimeError, ValueError, MemoryError)


def matches(data: bytes) -> bool:
    """Whether the bytes begin as a QOI file does."""
    return data.startswith(_MAGIC)


def shapes(data: bytes) -> list[Shape]:
    """Of its one raster."""
    if len(data) < _HEADER.size + len(_END):
        raise UnreadableImage("damaged QOI file: cut short")
    _, width, height, channels, space = _HEADER.unpack_from(data)
    if min(width, height) < 1 or channels not in (3, 4) or space > 1:
        raise UnreadableImage("damaged QOI file: its header cannot be")
    if width * height > _MOST_PIXELS * len(data):
        raise UnreadableImage("damaged QOI file: cut short")
    return [Shape(width, height, channels, 8)]


def take_apart(data: bytes) -> tuple[list[Raster], bytes]:
    """Raster and envelope."""
    (shape,) = shapes(data)
    if not data.endswith(_END):
        raise UnreadableImage("damaged QOI file: cut short, or with bytes after its end")
    try:
        samples: NDArray[np.uint8] = imagecodecs.qoi_decode(data)
    except _DAMAGE as error:
        raise UnreadableImage(f"damaged QOI file: {error}") from None
    if samples.shape != (shape.height, shape.width, shape.samples):
        raise UnreadableImage("decodes to another size than its header says")
    envelope = data[_HEADER.size - 1 : _HEADER.size]
    return [Raster(samples, 8, default_groups(shape.samples))], envelope


def put_together(rasters: list[Raster], envelope: bytes) -> bytes:
    """The file as the reference encoder writes it."""
    if len(envelope) != 1 or len(rasters) != 1 or rasters[0].samples.dtype != np.uint8:
        raise UnreadableImage("envelope of a QOI file does not fit its picture")
    try:
        data = bytes(imagecodecs.qoi_encode(np.ascontiguousarray(rasters[0].samples)))
    except _DAMAGE as error:
        raise UnreadableImage(f"no QOI file with these samples ({error})") from None
    return data[: _HEADER.size - 1] + envelope + data[_HEADER.size :]
