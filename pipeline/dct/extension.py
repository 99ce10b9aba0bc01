"""The C extension that reads and writes scans, where there is one: see _jpeg.c."""

from seec.schemas.errors import UnreadableImage

try:
    from seec.pipeline.dct import _jpeg
except ImportError:  # installed without a C compiler
    _jpeg = None


def extension():
    """The module; UnreadableImage where SEEC was installed without it."""
    if _jpeg is None:
        raise UnreadableImage("JPEG: SEEC was installed without a C compiler")
    return _jpeg
