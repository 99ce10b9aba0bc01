"""Width and height of an image file, from the few bytes of it that say so.

For a first guess about files that nobody has read: nothing is decoded, and little is checked.
"""

import struct
from collections.abc import Callable

from seec.pipeline.images.formats import bmp, gif, netpbm, png, png_file, qoi, tiff, webp
from seec.schemas.errors import UnreadableImage

HEAD_BYTES = 4096
_Extent = tuple[int, int]


def read_extent(read: Callable[[int, int], bytes]) -> _Extent | None:
    """Width and height in pixels; None if the file is none that SEEC may take, or does not say.

    read: a part of the file, by start and length in bytes; fewer bytes where the file ends.
    """
    head = read(0, HEAD_BYTES)
    try:
        if tiff.matches(head):
            width, height = _tiff(head, read)
        else:
            found = (extent(head) for matches, extent in _FORMATS if matches(head))
            width, height = next(found, (0, 0))
    except (UnreadableImage, struct.error):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _png(head: bytes) -> _Extent:
    header = png_file.read_header(head)
    return header.width, header.height


def _bmp(head: bytes) -> _Extent:
    (place,) = bmp.places(head)
    return place.shape.width, place.shape.height


def _netpbm(head: bytes) -> _Extent:
    (place,) = netpbm.places(head)
    return place.shape.width, place.shape.height


def _webp(head: bytes) -> _Extent:
    if head[12:16] == b"VP8X":
        width, height = head[24:27], head[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if head[12:16] != b"VP8L":
        raise UnreadableImage("WebP that is lossy")
    (bits,) = struct.unpack_from("<I", head, 21)
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _gif(head: bytes) -> _Extent:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _qoi(head: bytes) -> _Extent:
    width, height = struct.unpack_from(">II", head, 4)
    return width, height


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], _Extent]], ...] = (
    (png.matches, _png),
    (webp.matches, _webp),
    (bmp.matches, _bmp),
    (netpbm.matches, _netpbm),
    (gif.matches, _gif),
    (qoi.matches, _qoi),
)
_TIFF_VALUES = {3: "H", 4: "I"}  # by type: SHORT, LONG


def _tiff(head: bytes, read: Callable[[int, int], bytes]) -> _Extent:
    """Of the first directory, which may lie anywhere."""
    order = tiff.ORDERS[head[:4]]
    (at,) = struct.unpack_from(order + "I", head, 4)
    (count,) = struct.unpack(order + "H", read(at, 2))
    entries = read(at + 2, 12 * count)
    found = {tiff.WIDTH: 0, tiff.HEIGHT: 0}
    for place in range(0, 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", entries, place)
        if tag in found and kind in _TIFF_VALUES:
            (found[tag],) = struct.unpack_from(order + _TIFF_VALUES[kind], entries, place + 8)
    return found[tiff.WIDTH], found[tiff.HEIGHT]
