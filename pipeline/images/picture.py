"""Image files as pixels plus an envelope, and back.

The envelope is what the file says beside its pixels, as bytes whose layout its format defines. A
file is taken apart only if it can be put together again with the same pixels and the same
envelope; any other file is for the `store` route.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats import png, raw, webp
from seec.schemas.errors import UnreadableImage

Pixels = NDArray[np.uint8]
Opened = tuple[int, int, Callable[[], tuple[Pixels, bytes]]]


@dataclass(frozen=True)
class Picture:
    """An image file taken apart. pixels: [H, W] or [H, W, 3] uint8."""

    format: str
    pixels: Pixels
    envelope: bytes


@dataclass(frozen=True)
class Header:
    """What a file's first bytes promise: format, width and height in pixels."""

    format: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


_FORMATS = {module.FORMAT: module for module in (png, webp)} | {
    layout.FORMAT: layout for layout in (raw.NETPBM, raw.BMP, raw.TIFF)
}

# Of these the file itself comes back, of the others the same pixels and metadata.
EXACT_FORMATS = (raw.NETPBM.FORMAT, raw.BMP.FORMAT, raw.TIFF.FORMAT)


def read_header(data: bytes) -> Header:
    """Format and size, by content, without decoding.

    UnreadableImage, with the reason, if the bytes are not an image that `read_picture` takes.
    """
    if not data:
        raise UnreadableImage("empty file")
    for name, module in _FORMATS.items():
        if module.matches(data):
            width, height = module.size(data)
            if width < 1 or height < 1:
                raise UnreadableImage("no pixels")
            return Header(name, width, height)
    raise UnreadableImage("not a losslessly stored image of a known format")


def read_picture(data: bytes) -> Picture:
    """Take a file apart; decodes, so check `read_header` against a limit first.

    UnreadableImage, with the reason, if it is damaged, not 8-bit RGB or gray, not losslessly
    stored, or says something that could not be put back.
    """
    header = read_header(data)
    pixels, envelope = _FORMATS[header.format].take_apart(data)
    if pixels.shape[:2] != (header.height, header.width):
        raise UnreadableImage("decodes to another size than its header says")
    return Picture(header.format, np.ascontiguousarray(pixels), envelope)


def with_note(data: bytes, text: str) -> bytes:
    """An image file that says `text` as its comment; unchanged where its format has no room."""
    return png.with_text(data, "Comment", text) if png.matches(data) else data


def write_picture(picture: Picture) -> bytes:
    """The bytes of an image file; UnreadableImage if the envelope does not fit the pixels."""
    module = _FORMATS.get(picture.format)
    if module is None:
        raise UnreadableImage(f"no way to write format {picture.format!r}")
    return module.put_together(picture.pixels, picture.envelope)
