"""Raw deflate streams (RFC 1951) as content and recipe, and back, bit for bit."""

from seec.pipeline.deflate.streams import analyse, is_available, rebuild

__all__ = ["analyse", "is_available", "rebuild"]
