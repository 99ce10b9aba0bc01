"""Raw deflate streams (RFC 1951) as content and recipe, and back, bit for bit."""

from seec.pipeline.deflate.streams import analyse, is_available, rebuild
from seec.pipeline.deflate.wrapped import Gzip, Raw, Zlib

__all__ = ["Gzip", "Raw", "Zlib", "analyse", "is_available", "rebuild"]
