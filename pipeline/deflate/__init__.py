"""Raw deflate streams (RFC 1951) as content and recipe, and back, bit for bit."""

from seec.pipeline.deflate.parts import WINDOW_BYTES, Cut, GzipPart
from seec.pipeline.deflate.streams import Blocks, analyse, is_available, rebuild, walk
from seec.pipeline.deflate.wrapped import Alike, Gzip, Raw, Zlib, gzip_header_bytes

__all__ = [
    "WINDOW_BYTES",
    "Alike",
    "Blocks",
    "Cut",
    "Gzip",
    "GzipPart",
    "Raw",
    "Zlib",
    "analyse",
    "gzip_header_bytes",
    "is_available",
    "rebuild",
    "walk",
]
