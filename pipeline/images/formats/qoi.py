"""QOI files as the format's reference writes them.

Envelope: the byte of the header that names the colour space.
"""

import struct
from collections.abc import Iterator, Sequence

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats.format import Content, Format, ReadAt
from seec.pipeline.images.raster import Meaning, Raster
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

_MAGIC = b"qoif"
_HEADER = struct.Struct(">4sIIBB")
_END = bytes(7) + b"\1"
_MOST_PIXELS = 62  # that one byte may stand for
_DAMAGE = (RuntimeError, ValueError, MemoryError)


class Qoi(Format):
    """The Quite OK Image format."""

    name = "QOI"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(_MAGIC)

    def shapes(self, data: bytes) -> list[Shape]:
        """As `Format.shapes`."""
        if len(data) < _HEADER.size + len(_END):
            raise UnreadableImage("damaged QOI file: cut short")
        _, width, height, channels, space = _HEADER.unpack_from(data)
        if min(width, height) < 1 or channels not in (3, 4) or space > 1:
            raise UnreadableImage("damaged QOI file: its header cannot be")
        if width * height > _MOST_PIXELS * len(data):
            raise UnreadableImage("damaged QOI file: cut short")
        return [Shape(width, height, channels, 8)]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """As `Format.read`: exact, or not at all."""
        del keep_file
        (shape,) = self.shapes(data)
        if not data.endswith(_END):
            raise UnreadableImage("damaged QOI file: cut short, or with bytes after its end")
        try:
            samples: NDArray[np.uint8] = imagecodecs.qoi_decode(data)
        except _DAMAGE as error:
            raise UnreadableImage(f"damaged QOI file: {error}") from None
        if samples.shape != (shape.height, shape.width, shape.samples):
            raise UnreadableImage("decodes to another size than its header says")
        meaning = Meaning.COLOUR if shape.samples == 3 else Meaning.OTHER
        envelope = data[_HEADER.size - 1 : _HEADER.size]
        yield Content([Raster(samples, 8, meaning)], envelope, exact=True)
        # A decoder stops at the last pixel: what else is in such a file only a comparison shows.
        raise UnreadableImage("QOI that the format's reference writes otherwise")

    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """As `Format.write`: the file as the reference encoder writes it."""
        del exact, quick
        if len(envelope) != 1 or len(rasters) != 1 or rasters[0].samples.dtype != np.uint8:
            raise UnreadableImage("envelope of a QOI file does not fit its picture")
        try:
            data = bytes(imagecodecs.qoi_encode(np.ascontiguousarray(rasters[0].samples)))
        except _DAMAGE as error:
            raise UnreadableImage(f"no QOI file with these samples ({error})") from None
        return data[: _HEADER.size - 1] + envelope + data[_HEADER.size :]

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`."""
        del read_at
        width, height = struct.unpack_from(">II", head, 4)
        return width, height
