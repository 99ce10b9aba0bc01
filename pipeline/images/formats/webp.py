"""Lossless WebP. Envelope: the chunks ICCP, EXIF and XMP, byte for byte.

Layout: the chunks one after the other as they stand in the file, padding included.
"""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats import pillow
from seec.schemas.errors import UnreadableImage

FORMAT = "WEBP"
_BEFORE = (b"ICCP",)
_AFTER = (b"EXIF", b"XMP ")
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_ALPHA_FLAG = 0x10
_MAX_CHUNKS = 1 << 16


def matches(data: bytes) -> bool:
    """Whether the bytes begin as a WebP file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def size(data: bytes) -> tuple[int, int]:
    """Width and height; UnreadableImage unless lossless, without alpha, one picture."""
    kinds = {kind: data[start:end] for kind, start, end in _chunks(data)}
    unknown = set(kinds) - {b"VP8X", b"VP8L", *_BEFORE, *_AFTER}
    if b"VP8L" not in kinds or unknown:
        raise UnreadableImage("WebP that is lossy, animated, or has chunks we do not know")
    body = kinds[b"VP8L"][8:]
    if len(body) < 5 or body[0] != 0x2F:
        raise UnreadableImage("damaged WebP file: no header")
    bits = int.from_bytes(body[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def take_apart(
    data: bytes, modes: tuple[str, ...] = ("L", "RGB")
) -> tuple[NDArray[np.uint8], bytes]:
    """Pixels and envelope. modes: those that are taken, as Pillow names them."""
    chunks = list(_chunks(data))
    if len({kind for kind, _, _ in chunks}) != len(chunks):
        raise UnreadableImage("WebP with a chunk twice")
    if 8 + struct.unpack_from("<I", data, 4)[0] != len(data):
        raise UnreadableImage("WebP with bytes after its end")
    kept = [data[start:end] for kind, start, end in chunks if kind in _FLAGS]
    return pillow.decode(data, FORMAT, modes), b"".join(kept)


def put_together(pixels: NDArray[np.uint8], envelope: bytes) -> bytes:
    """A lossless WebP file with these pixels and the chunks of the envelope."""
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    plain = pillow.encode(rgb, FORMAT, lossless=True, quality=80, method=4, exact=True)
    if not envelope:
        return plain
    extra = {k: envelope[start:end] for k, start, end in _chunks(envelope, 0)}
    image = next(plain[start:end] for k, start, end in _chunks(plain) if k == b"VP8L")
    flags = sum(_FLAGS.get(kind, 0) for kind in extra) | _ALPHA_FLAG * (rgb.shape[2] == 4)
    height, width = pixels.shape[:2]
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    parts = [b"VP8X" + struct.pack("<II", 10, flags) + canvas]
    parts += [extra[kind] for kind in _BEFORE if kind in extra]
    parts += [image]
    parts += [extra[kind] for kind in _AFTER if kind in extra]
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


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
