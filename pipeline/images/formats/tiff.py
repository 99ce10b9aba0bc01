"""TIFF with strips or tiles, one or several pictures.

A file whose samples are as they are comes back byte for byte. Of any other, an equal file without
compression is made first: the same directories and values, samples decompressed. That file comes
back. Envelope: as `spliced` has it.
"""

import struct
from collections.abc import Iterator

from seec.pipeline.images.formats.format import Content, ReadAt
from seec.pipeline.images.formats.spliced import (
    Place,
    SplicedFormat,
    check_places,
    cut_out,
    splice,
)
from seec.pipeline.images.formats.tiff_directories import HEIGHT, ORDERS, RAW, WIDTH, Page, pages
from seec.pipeline.images.formats.tiff_rewritten import rewrite
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

_EXTENT_TYPES = {3: "H", 4: "I"}  # SHORT, LONG


class Tiff(SplicedFormat):
    """TIFF of version 42; BigTIFF is another format."""

    name = "TIFF"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data[:4] in ORDERS

    def shapes(self, data: bytes) -> list[Shape]:
        """As `Format.shapes`: by directory; a raster for each sample where those are apart."""
        return [page.shape for page in pages(data) for _ in range(page.rasters)]

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`."""
        return [place for page in pages(data) for place in _places(page)]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """As `Format.read`: exact where nothing is compressed."""
        found = pages(data)
        if all(page.compression == RAW for page in found):
            yield from super().read(data, keep_file=keep_file)
        if keep_file:
            raise UnreadableImage("TIFF whose compression is not reproduced")
        plain = rewrite(data, found)
        rasters, envelope = cut_out(plain, check_places(self.places(plain), len(plain)))
        if splice(rasters, envelope) != plain:
            raise UnreadableImage("rows that are filled up with something else than zero")
        yield Content(rasters, envelope, exact=False)

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`: of the first directory, which may lie anywhere."""
        order = ORDERS[head[:4]]
        (at,) = struct.unpack_from(order + "I", head, 4)
        (count,) = struct.unpack(order + "H", read_at(at, 2))
        entries = read_at(at + 2, 12 * count)
        found = {WIDTH: 0, HEIGHT: 0}
        for place in range(0, 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", entries, place)
            if tag in found and kind in _EXTENT_TYPES:
                (found[tag],) = struct.unpack_from(order + _EXTENT_TYPES[kind], entries, place + 8)
        return found[WIDTH], found[HEIGHT]


def _places(page: Page) -> Iterator[Place]:
    if page.compression != RAW:
        raise UnreadableImage(f"TIFF with compression {page.compression}")
    each = len(page.pieces) // page.rasters
    for i in range(page.rasters):
        pieces = page.pieces[i * each : (i + 1) * each]
        yield Place(page.shape, page.packing, pieces, page.meaning)
