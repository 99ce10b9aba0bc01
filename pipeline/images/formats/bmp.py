"""BMP files without compression: palettes, 16, 24 and 32 bits, headers of any version."""

import struct

from seec.pipeline.images.formats.spliced import Place
from seec.pipeline.images.raster import Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

FORMAT = "BMP"
_FILE = struct.Struct("<2sIHHI")
_HEADER = struct.Struct("<IiiHHI")
_HEADER_SIZES = (40, 52, 56, 64, 108, 124)
_PLAIN, _BIT_FIELDS = 0, 3
# Bits of a pixel: samples, bits of a sample, which go together (blue comes first in a file).
_LAYOUTS = {
    1: (1, 1, ((0,),)),
    4: (1, 4, ((0,),)),
    8: (1, 8, ((0,),)),
    16: (1, 16, ((0,),)),
    24: (3, 8, ((2, 1, 0),)),
    32: (4, 8, ((2, 1, 0), (3,))),
}


def matches(data: bytes) -> bool:
    """Whether the bytes begin as a BMP file does."""
    return data.startswith(b"BM")


def places(data: bytes) -> list[Place]:
    """Where its samples lie, rows in the order of the file."""
    if len(data) < _FILE.size + _HEADER.size:
        raise UnreadableImage("damaged BMP file: cut short")
    *_, start = _FILE.unpack_from(data)
    header_size, width, height, planes, bits, compression = _HEADER.unpack_from(data, _FILE.size)
    plain = compression == _PLAIN or (compression == _BIT_FIELDS and bits in (16, 32))
    if header_size not in _HEADER_SIZES or planes != 1 or bits not in _LAYOUTS or not plain:
        raise UnreadableImage(f"BMP of {bits} bits, compression {compression}")
    if width < 1 or height == 0 or start < _FILE.size + header_size:
        raise UnreadableImage("damaged BMP file: its header cannot be")
    samples, depth, groups = _LAYOUTS[bits]
    shape, packing = Shape(width, abs(height), samples, depth), Packing(little=True, align=4)
    return [Place(shape, packing, ((start, packing.size_bytes(shape)),), groups)]
