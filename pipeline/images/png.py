"""PNG. Envelope: all chunks but IHDR and IDAT, byte for byte.

Layout: uint32 little-endian length of the first part, the first part (all bytes between IHDR and
the first IDAT), the second part (all bytes after the last IDAT, IEND and trailing bytes included).
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.images import pillow
from schemas.errors import UnreadableImage

FORMAT = "PNG"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR_END = len(SIGNATURE) + 8 + 13 + 4
# Transparency and animation need more than the pixels; iDOT points into the compressed data.
_UNSUPPORTED = (b"tRNS", b"acTL", b"fcTL", b"fdAT", b"iDOT")


def matches(data: bytes) -> bool:
    """Whether the bytes begin as a PNG file does."""
    return data.startswith(SIGNATURE)


def size(data: bytes) -> tuple[int, int]:
    """Width and height; UnreadableImage unless 8-bit RGB or gray."""
    if len(data) < _IHDR_END or data[12:16] != b"IHDR":
        raise UnreadableImage("damaged PNG file: no header")
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    if depth != 8 or color not in (0, 2):
        raise UnreadableImage(f"PNG of bit depth {depth} and colour type {color}")
    return width, height


def take_apart(data: bytes) -> tuple[NDArray[np.uint8], bytes]:
    """Pixels and envelope."""
    first, second = _around_image_data(data)
    return pillow.decode(data, FORMAT), struct.pack("<I", len(first)) + first + second


def put_together(pixels: NDArray[np.uint8], envelope: bytes) -> bytes:
    """A PNG file, not interlaced, with these pixels and the chunks of the envelope."""
    if len(envelope) < 4:
        raise UnreadableImage("envelope of a PNG file is cut short")
    (length,) = struct.unpack_from("<I", envelope)
    first, second = envelope[4 : 4 + length], envelope[4 + length :]
    plain = pillow.encode(pixels, FORMAT)
    pieces = [plain[start:end] for kind, start, end in _chunks(plain) if kind == b"IDAT"]
    return plain[:_IHDR_END] + first + b"".join(pieces) + second


def with_text(data: bytes, keyword: str, text: str) -> bytes:
    """The same file with a tEXt chunk before its image data. keyword, text: Latin-1."""
    begin = next(start for kind, start, _ in _chunks(data) if kind == b"IDAT")
    body = b"tEXt" + keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:begin] + chunk + data[begin:]


def _around_image_data(data: bytes) -> tuple[bytes, bytes]:
    begin = end = None
    for kind, start, stop in _chunks(data):
        # An upper-case first letter marks a chunk that no reader may ignore.
        critical = kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND") and not kind[0] & 0x20
        if kind in _UNSUPPORTED or critical:
            raise UnreadableImage(f"PNG with chunk {kind.decode('latin-1')}")
        body = data[start + 4 : stop - 4]
        if zlib.crc32(body) != int.from_bytes(data[stop - 4 : stop], "big"):
            raise UnreadableImage("damaged PNG file: a chunk's checksum is wrong")
        if kind == b"IDAT":
            if end not in (None, start):
                raise UnreadableImage("damaged PNG file: image data is not in one piece")
            begin, end = start if begin is None else begin, stop
    if begin is None or end is None:
        raise UnreadableImage("damaged PNG file: no image data")
    return data[_IHDR_END:begin], data[end:]


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk, up to IEND."""
    start = len(SIGNATURE)
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        kind, stop = data[start + 4 : start + 8], start + 12 + length
        if stop > len(data):
            break
        yield kind, start, stop
        if kind == b"IEND":
            return
        start = stop
    raise UnreadableImage("damaged PNG file: cut short")
