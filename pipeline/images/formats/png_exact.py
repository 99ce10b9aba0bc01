"""PNG byte for byte: as `png_samples`, and how its image data was compressed.

Envelope: the 13 bytes of the IHDR chunk's body, uint32 little-endian length of the first part, the
first part, uint32 length of the recipe (see `png_stream`), the recipe, the second part.
"""

import struct

import numpy as np

from seec.pipeline.images.formats import png_file, png_samples, png_stream
from seec.pipeline.images.formats.png_file import HEADER_BYTES
from seec.pipeline.images.raster import Packing, Raster, pack
from seec.schemas.errors import UnreadableImage

_SIZE = struct.Struct("<I")


def take_apart(data: bytes) -> tuple[list[Raster], bytes]:
    """Raster and envelope; UnreadableImage if the file would not come back byte for byte."""
    header = png_file.read_header(data)
    rasters, plain = png_samples.take_apart(data)
    _, first, second = png_samples.split_envelope(plain)
    _, image_data, _ = png_file.parts(data, png_file.ANIMATION)
    recipe = png_stream.find_recipe(header, image_data)
    parts = (plain[: HEADER_BYTES + _SIZE.size], first, _SIZE.pack(len(recipe)), recipe, second)
    envelope = b"".join(parts)
    if put_together(rasters, envelope) != data:
        raise UnreadableImage("PNG that does not come back byte for byte")
    return rasters, envelope


def put_together(rasters: list[Raster], envelope: bytes) -> bytes:
    """The file that was taken apart, if this zlib writes what that of `take_apart` wrote."""
    header, first, rest = png_samples.split_envelope(envelope)
    png_samples.check_fit(header, rasters)
    if len(rest) < _SIZE.size:
        raise UnreadableImage("envelope of a PNG file is cut short")
    end = _SIZE.size + _SIZE.unpack_from(rest)[0]
    recipe, second = rest[_SIZE.size : end], rest[end:]
    rows = np.frombuffer(pack(rasters[0].samples, header.shape, Packing()), np.uint8)
    image_data = png_stream.cook(header, rows.reshape(header.height, -1), recipe)
    return png_samples.around(header, first, image_data, second)
