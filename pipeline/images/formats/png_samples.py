"""PNG of any colour type and depth, as one raster. `png` is the way of 8-bit RGB and gray.

Envelope: the 13 bytes of the IHDR chunk's body, uint32 little-endian length of the first part, the
first part (all bytes between IHDR and the first IDAT), the second part (all bytes after the last
IDAT, IEND and trailing bytes included). Palette and transparency are chunks of the first part.
"""

import struct
import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats import png, png_file, png_filters
from seec.pipeline.images.formats.png_file import Header, parse_header, read_header
from seec.pipeline.images.raster import Packing, Raster, default_groups, pack, unpack
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

FORMAT = "PNG"
_PALETTE = 3
# Colour types of 8 bits by bytes of a pixel.
_STAND_INS = {1: 0, 2: 4, 3: 2, 4: 6}
_PIECE_BYTES = 1 << 20
_LEVEL = 6


matches = png.matches


def shapes(data: bytes) -> list[Shape]:
    """Of its one raster."""
    return [read_header(data).shape]


def take_apart(data: bytes) -> tuple[list[Raster], bytes]:
    """Raster and envelope."""
    header = read_header(data)
    first, image_data, second = png_file.parts(data, png_file.ANIMATION)
    samples = unpack(_rows(header, image_data).tobytes(), header.shape, Packing())
    plain = replace(header, interlaced=0)
    envelope = plain.body() + struct.pack("<I", len(first)) + first + second
    return [Raster(samples, header.depth, default_groups(header.shape.samples))], envelope


def put_together(rasters: list[Raster], envelope: bytes) -> bytes:
    """A PNG file, not interlaced, with these samples and the chunks of the envelope."""
    header, first, second = split_envelope(envelope)
    check_fit(header, rasters)
    (raster,) = rasters
    rows = np.frombuffer(pack(raster.samples, header.shape, Packing()), np.uint8)
    rows = rows.reshape(header.height, -1)
    plain = header.depth < 8 or header.color == _PALETTE
    filtered = png_filters.choose(rows, header.pixel_bytes) if not plain else None
    stream = zlib.compress(png_filters.unfiltered(rows) if filtered is None else filtered, _LEVEL)
    pieces = (stream[i : i + _PIECE_BYTES] for i in range(0, len(stream), _PIECE_BYTES))
    image_data = b"".join(png_file.chunk(b"IDAT", piece) for piece in pieces)
    return around(header, first, image_data, second)


def around(header: Header, first: bytes, image_data: bytes, second: bytes) -> bytes:
    """A file of its header, IDAT chunks, and what stands before and behind them."""
    return png_file.SIGNATURE + png_file.chunk(b"IHDR", header.body()) + first + image_data + second


def split_envelope(envelope: bytes) -> tuple[Header, bytes, bytes]:
    """Header, first and second part; UnreadableImage if it is cut short."""
    start = png_file.HEADER_BYTES + 4
    if len(envelope) < start:
        raise UnreadableImage("envelope of a PNG file is cut short")
    (length,) = struct.unpack_from("<I", envelope, png_file.HEADER_BYTES)
    if start + length > len(envelope):
        raise UnreadableImage("envelope of a PNG file is cut short")
    header = parse_header(envelope[: png_file.HEADER_BYTES])
    return header, envelope[start : start + length], envelope[start + length :]


def check_fit(header: Header, rasters: list[Raster]) -> None:
    """UnreadableImage unless there is one raster, of the header's shape."""
    if [raster.shape for raster in rasters] != [header.shape]:
        raise UnreadableImage("envelope of a PNG file does not fit its picture")


def _rows(header: Header, image_data: bytes) -> NDArray[np.uint8]:
    """The bytes of all rows, without filters: [height, bytes]."""
    if header.pixel_bytes not in _STAND_INS:
        decoded = png_file.decode(header, image_data)
        return decoded.astype(">u2").view(np.uint8).reshape(header.height, -1)
    # Filters work on bytes, so a file of 8 bits with pixels of as many bytes has the same rows.
    row_bytes = Packing().row_bytes(header.shape)
    stand_in = Header(
        row_bytes // header.pixel_bytes,
        header.height,
        8,
        _STAND_INS[header.pixel_bytes],
        header.interlaced,
    )
    decoded = png_file.decode(stand_in, image_data).astype(np.uint8, copy=False)
    return decoded.reshape(header.height, row_bytes)
