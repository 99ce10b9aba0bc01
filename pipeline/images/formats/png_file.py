"""PNG files as chunks: their header, their image data, and what stands around it."""

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.raster import Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IHDR_END = len(SIGNATURE) + 8 + 13 + 4
# More pictures than one; iDOT points into the compressed data.
ANIMATION = (b"acTL", b"fcTL", b"fdAT", b"iDOT")
_INFLATED_BYTES = 1 << 20  # at a time
_KEPT_BYTES = 32 << 20  # of rows, at most
_MAX_CHUNKS = 1 << 18  # more than any writer makes, and soon read
_HEADER = struct.Struct(">IIBBBBB")
HEADER_BYTES = _HEADER.size  # of the body of IHDR
# By colour type: samples of a pixel, depths.
_KINDS = {
    0: (1, (1, 2, 4, 8, 16)),
    2: (3, (8, 16)),
    3: (1, (1, 2, 4, 8)),
    4: (2, (8, 16)),
    6: (4, (8, 16)),
}
# Of Adam7: first row and column, steps.
_PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


@dataclass(frozen=True)
class Header:
    """What IHDR says."""

    width: int
    height: int
    depth: int
    color: int
    interlaced: int = 0

    @property
    def shape(self) -> Shape:
        """Of the raster."""
        return Shape(self.width, self.height, _KINDS[self.color][0], self.depth)

    @property
    def pixel_bytes(self) -> int:
        """As filters count them: at least 1."""
        return max(1, _KINDS[self.color][0] * self.depth // 8)

    def body(self) -> bytes:
        """Of the chunk."""
        fields = (self.width, self.height, self.depth, self.color, 0, 0, self.interlaced)
        return _HEADER.pack(*fields)


def read_header(data: bytes) -> Header:
    """The header of a file; UnreadableImage if there is none, or one that cannot be."""
    if len(data) < IHDR_END or data[8:16] != b"\0\0\0\rIHDR":
        raise UnreadableImage("damaged PNG file: no header")
    return parse_header(data[16:29])


def parse_header(body: bytes) -> Header:
    """The body of an IHDR chunk."""
    if len(body) != _HEADER.size:
        raise UnreadableImage("damaged PNG file: no header")
    width, height, depth, color, compression, filters, interlaced = _HEADER.unpack(body)
    if depth not in _KINDS.get(color, (0, ()))[1] or compression or filters or interlaced > 1:
        raise UnreadableImage(f"PNG of bit depth {depth} and colour type {color}")
    if min(width, height) < 1:
        raise UnreadableImage("no pixels")
    if interlaced and depth < 8:
        raise UnreadableImage(f"interlaced PNG of bit depth {depth}")
    return Header(width, height, depth, color, interlaced)


def stream_bytes(header: Header) -> int:
    """Bytes of all rows with their filter types; of all passes where it is interlaced."""
    if not header.interlaced:
        return header.height * (1 + Packing().row_bytes(header.shape))
    total = 0
    for top, left, down, right in pass_starts(header):
        width = -(-(header.width - left) // right)
        height = -(-(header.height - top) // down)
        total += height * (1 + width * header.pixel_bytes)
    return total


def pass_starts(header: Header) -> list[tuple[int, int, int, int]]:
    """First row and column, and steps, of the passes of Adam7 that have pixels."""
    return [p for p in _PASSES if p[0] < header.height and p[1] < header.width]


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    check = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def parts(data: bytes, unsupported: tuple[bytes, ...]) -> tuple[bytes, bytes, bytes]:
    """What lies between IHDR and the first IDAT chunk, the IDAT chunks, what follows them.

    UnreadableImage if anything is damaged, or there is a chunk of a kind that is not supported.
    """
    begin = end = None
    for kind, start, stop in chunks(data):
        # An upper-case first letter marks a chunk that no reader may ignore.
        critical = kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND") and not kind[0] & 0x20
        if kind in unsupported or critical:
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
    return data[IHDR_END:begin], data[begin:end], data[end:]


def decode(header: Header, image_data: bytes) -> NDArray[np.generic]:
    """Samples [H, W] or [H, W, samples] uint8 or uint16 of a header of 8 or 16 bits.

    image_data: IDAT chunks. UnreadableImage unless they hold one whole zlib stream of the bytes
    that the header needs, and no more: readers show what they can of any other, and whether that
    is what was meant, nobody knows.
    """
    size_bytes = stream_bytes(header)
    rows = _inflate(image_data, size_bytes)
    if size_bytes <= _KEPT_BYTES:
        # Libpng would inflate it again.
        image_data = chunk(b"IDAT", zlib.compress(b"".join(rows), level=0))
    else:
        deque(rows, maxlen=0)
    file = SIGNATURE + chunk(b"IHDR", header.body()) + image_data + chunk(b"IEND", b"")
    try:
        decoded: NDArray[np.generic] = imagecodecs.png_decode(file)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise UnreadableImage(f"damaged PNG file: {error}") from None
    samples = header.shape.samples
    if decoded.shape != (header.height, header.width, samples)[: 2 + (samples > 1)]:
        raise UnreadableImage("decodes to another size than its header says")
    return decoded


def _inflate(image_data: bytes, size_bytes: int) -> Iterator[bytes]:
    """What IDAT chunks hold, a piece at a time; at the end UnreadableImage if that is wrong."""
    inflater, found = zlib.decompressobj(), 0
    for pending in stream_parts(image_data):
        while pending and not inflater.eof and found <= size_bytes:
            try:
                piece = inflater.decompress(pending, _INFLATED_BYTES)
            except zlib.error as error:
                raise UnreadableImage(f"damaged PNG file: {error}") from None
            found += len(piece)
            yield piece
            pending = inflater.unconsumed_tail
    if not inflater.eof or inflater.unused_data or found != size_bytes:
        raise UnreadableImage("damaged PNG file: more or less image data than its size needs")


def stream_parts(image_data: bytes) -> Iterator[bytes]:
    """The bodies of IDAT chunks."""
    start = 0
    while start < len(image_data):
        (length,) = struct.unpack_from(">I", image_data, start)
        yield image_data[start + 8 : start + 8 + length]
        start += 12 + length


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk, up to IEND. UnreadableImage if they are too many."""
    for kind, start, stop in chunks_of(data, len(SIGNATURE)):
        yield kind, start, stop
        if kind == b"IEND":
            return
    raise UnreadableImage("damaged PNG file: cut short")


def chunks_of(data: bytes, start: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each whole chunk from `start` on. UnreadableImage if too many."""
    count = 0
    while start + 12 <= len(data):
        count += 1
        if count > _MAX_CHUNKS:
            raise UnreadableImage(f"PNG of more than {_MAX_CHUNKS} chunks")
        (length,) = struct.unpack_from(">I", data, start)
        kind, stop = data[start + 4 : start + 8], start + 12 + length
        if stop > len(data):
            return
        yield kind, start, stop
        start = stop
