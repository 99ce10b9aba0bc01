"""BMP files without compression: palettes, 16, 24 and 32 bits, headers of any version."""

import struct

from seec.pipeline.images.formats.spliced import Place, SplicedFormat
from seec.pipeline.images.raster import Meaning, Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

_FILE = struct.Struct("<2sIHHI")
_HEADER = struct.Struct("<IiiHHI")
_HEADER_SIZES = (40, 52, 56, 64, 108, 124)
_PLAIN, _BIT_FIELDS = 0, 3
# Bits of a pixel: samples, bits of a sample, what they stand for.
_LAYOUTS = {
    1: (1, 1, Meaning.INDICES),
    4: (1, 4, Meaning.INDICES),
    8: (1, 8, Meaning.INDICES),
    16: (1, 16, Meaning.OTHER),
    24: (3, 8, Meaning.COLOUR),
    32: (4, 8, Meaning.OTHER),
}


class Bmp(SplicedFormat):
    """Microsoft's BMP."""

    name = "BMP"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(b"BM")

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`."""
        if len(data) < _FILE.size + _HEADER.size:
            raise UnreadableImage("damaged BMP file: cut short")
        *_, start = _FILE.unpack_from(data)
        size, width, height, planes, bits, compression = _HEADER.unpack_from(data, _FILE.size)
        plain = compression == _PLAIN or (compression == _BIT_FIELDS and bits in (16, 32))
        if size not in _HEADER_SIZES or planes != 1 or bits not in _LAYOUTS or not plain:
            raise UnreadableImage(f"BMP of {bits} bits, compression {compression}")
        if width < 1 or height == 0 or start < _FILE.size + size:
            raise UnreadableImage("damaged BMP file: its header cannot be")
        samples, depth, meaning = _LAYOUTS[bits]
        shape = Shape(width, abs(height), samples, depth)
        # Blue comes first in a file.
        little = depth >= 8
        packing = Packing(little=little, align=4, bottom_up=height > 0, bgr=samples > 1)
        return [Place(shape, packing, ((start, packing.size_bytes(shape)),), meaning)]
