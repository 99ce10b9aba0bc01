"""Lossless WebP with alpha, as one raster of four samples. Envelope: as `webp` has it."""

import numpy as np

from seec.pipeline.images.formats import webp
from seec.pipeline.images.raster import Raster, default_groups
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

FORMAT = webp.FORMAT
matches = webp.matches


def shapes(data: bytes) -> list[Shape]:
    """Of its one raster."""
    width, height = webp.size(data)
    return [Shape(width, height, 4, 8)]


def take_apart(data: bytes) -> tuple[list[Raster], bytes]:
    """Raster and envelope."""
    pixels, envelope = webp.take_apart(data, ("RGB", "RGBA"))
    if pixels.shape[2] == 3:  # alpha that is full everywhere is not written
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    return [Raster(pixels, 8, default_groups(4))], envelope


def put_together(rasters: list[Raster], envelope: bytes) -> bytes:
    """A lossless WebP file with these samples, those under no alpha too, and these chunks."""
    if len(rasters) != 1 or rasters[0].shape.samples != 4 or rasters[0].depth != 8:
        raise UnreadableImage("envelope of a WebP file does not fit its picture")
    return webp.put_together(np.ascontiguousarray(rasters[0].samples), envelope)
