"""PNG. Envelope: all chunks but IHDR and IDAT, byte for byte.

Layout: uint32 little-endian length of the first part, the first part (all bytes between IHDR and
the first IDAT), the second part (all bytes after the last IDAT, IEND and trailing bytes included).
"""

import struct

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats import pillow, png_file
from seec.pipeline.images.formats.png_file import ANIMATION, IHDR_END, chunk, chunks, parts
from seec.schemas.errors import UnreadableImage

FORMAT = "PNG"
_UNSUPPORTED = (b"tRNS", *ANIMATION)


def matches(data: bytes) -> bool:
    """Whether the bytes begin as a PNG file does."""
    return data.startswith(png_file.SIGNATURE)


def size(data: bytes) -> tuple[int, int]:
    """Width and height; UnreadableImage unless 8-bit RGB or gray."""
    header = png_file.read_header(data)
    if header.depth != 8 or header.color not in (0, 2):
        raise UnreadableImage(f"PNG of bit depth {header.depth} and colour type {header.color}")
    return header.width, header.height


def take_apart(data: bytes) -> tuple[NDArray[np.uint8], bytes]:
    """Pixels and envelope."""
    first, image_data, second = parts(data, _UNSUPPORTED)
    pixels = png_file.decode(png_file.read_header(data), image_data).astype(np.uint8, copy=False)
    return pixels, struct.pack("<I", len(first)) + first + second


def put_together(pixels: NDArray[np.uint8], envelope: bytes) -> bytes:
    """A PNG file, not interlaced, with these pixels and the chunks of the envelope."""
    if len(envelope) < 4:
        raise UnreadableImage("envelope of a PNG file is cut short")
    (length,) = struct.unpack_from("<I", envelope)
    first, second = envelope[4 : 4 + length], envelope[4 + length :]
    plain = pillow.encode(pixels, FORMAT)
    pieces = [plain[start:end] for kind, start, end in chunks(plain) if kind == b"IDAT"]
    return plain[:IHDR_END] + first + b"".join(pieces) + second


def with_text(data: bytes, keyword: str, text: str) -> bytes:
    """The same file with a tEXt chunk before its image data. keyword, text: Latin-1."""
    begin = next(start for kind, start, _ in chunks(data) if kind == b"IDAT")
    body = keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    return data[:begin] + chunk(b"tEXt", body) + data[begin:]
