"""Lossless WebP. Envelope: the chunks ICCP, EXIF and XMP, byte for byte.

Layout: the chunks one after the other as they stand in the file, padding included.
"""

import struct
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images import pillow
from seec.pipeline.images.formats.format import Content, Format, ReadAt
from seec.pipeline.images.raster import Meaning, Raster
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

_BEFORE = (b"ICCP",)
_AFTER = (b"EXIF", b"XMP ")
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_ALPHA_FLAG = 0x10
_ALPHA_BIT = 1 << 28  # of the VP8L header
_MAX_CHUNKS = 1 << 16


class WebP(Format):
    """Lossless WebP with one picture."""

    name = "WEBP"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data[:4] == b"RIFF" and data[8:12] == b"WEBP"

    def shapes(self, data: bytes) -> list[Shape]:
        """As `Format.shapes`."""
        kinds = {kind: data[start:end] for kind, start, end in _chunks(data)}
        unknown = set(kinds) - {b"VP8X", b"VP8L", *_BEFORE, *_AFTER}
        if unknown:
            raise UnreadableImage(f"WebP with chunk {min(unknown).decode('latin-1')}")
        if b"VP8L" not in kinds:
            raise UnreadableImage("WebP without a lossless picture")
        body = kinds[b"VP8L"][8:]
        if len(body) < 5 or body[0] != 0x2F:
            raise UnreadableImage("damaged WebP file: no header")
        bits = int.from_bytes(body[1:5], "little")
        return [Shape(*_size(bits), 4 if bits & _ALPHA_BIT else 3, 8)]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """As `Format.read`: never exact."""
        if keep_file:
            raise UnreadableImage("WebP, whose compression is not reproduced")
        chunks = list(_chunks(data))
        if len({kind for kind, _, _ in chunks}) != len(chunks):
            raise UnreadableImage("WebP with a chunk twice")
        if 8 + struct.unpack_from("<I", data, 4)[0] != len(data):
            raise UnreadableImage("WebP with bytes after its end")
        kept = [data[start:end] for kind, start, end in chunks if kind in _FLAGS]
        pixels = pillow.decode(data, self.name)
        meaning = Meaning.COLOUR if pixels.shape[2] == 3 else Meaning.OTHER
        yield Content([Raster(pixels, 8, meaning)], b"".join(kept), exact=False)

    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """As `Format.write`: with these samples, those under no alpha too, and these chunks."""
        if exact or [r.shape.samples in (3, 4) and r.depth == 8 for r in rasters] != [True]:
            raise UnreadableImage("envelope of a WebP file does not fit its picture")
        pixels = np.ascontiguousarray(rasters[0].samples)
        effort = {"quality": 0, "method": 0} if quick else {"quality": 80, "method": 4}
        plain = pillow.encode(pixels, self.name, lossless=True, exact=True, **effort)
        image = next(plain[start:end] for k, start, end in _chunks(plain) if k == b"VP8L")
        if pixels.shape[2] == 4:
            # Readers go by it, and libwebp leaves it out where alpha is full everywhere.
            bits = int.from_bytes(image[9:13], "little") | _ALPHA_BIT
            image = image[:9] + bits.to_bytes(4, "little") + image[13:]
        return _riff(_extended(image, envelope, pixels) if envelope else image)

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`."""
        del read_at
        if head[12:16] == b"VP8X":
            width, height = head[24:27], head[27:30]
            return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
        if head[12:16] != b"VP8L":
            raise UnreadableImage("WebP that is lossy")
        return _size(*struct.unpack_from("<I", head, 21))


def _size(bits: int) -> tuple[int, int]:
    """Width and height, out of the first 32 bits of a VP8L header."""
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _extended(image: bytes, envelope: bytes, pixels: NDArray[np.uint8]) -> bytes:
    """A VP8L chunk with these pixels among the chunks of an envelope and the one that they need."""
    extra = {k: envelope[start:end] for k, start, end in _chunks(envelope, 0)}
    flags = sum(_FLAGS.get(kind, 0) for kind in extra) | _ALPHA_FLAG * (pixels.shape[2] == 4)
    height, width = pixels.shape[:2]
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    parts = [b"VP8X" + struct.pack("<II", 10, flags) + canvas]
    parts += [extra[kind] for kind in _BEFORE if kind in extra]
    parts += [image]
    parts += [extra[kind] for kind in _AFTER if kind in extra]
    return b"".join(parts)


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _chunks(data: bytes, start: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end (padding included) of each chunk."""
    count = 0
    while start < len(data):
        count += 1
        if count > _MAX_CHUNKS:
            raise UnreadableImage(f"WebP of more than {_MAX_CHUNKS} chunks")
        if start + 8 > len(data):
            raise UnreadableImage("damaged WebP file: cut short")
        (length,) = struct.unpack_from("<I", data, start + 4)
        end = start + 8 + length + length % 2
        if end > len(data):
            raise UnreadableImage("damaged WebP file: cut short")
        yield data[start : start + 4], start, end
        start = end
