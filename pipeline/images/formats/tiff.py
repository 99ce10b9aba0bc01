"""TIFF and BigTIFF with strips or tiles, one or several pictures.

A file whose samples are as they are, or compressed in a way that is done again, comes back byte for
byte. Of any other, a file comes back that has the same bytes but for its samples, which are
compressed by the same method, and for the offsets and sizes of these. Envelope: as `spliced` has
it.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace

from seec.pipeline.images.formats.format import Content, ReadAt
from seec.pipeline.images.formats.piece_methods import LOSSLESS_JPEG
from seec.pipeline.images.formats.spliced import (
    Place,
    SplicedFormat,
    check_places,
    cut_out,
    parse,
)
from seec.pipeline.images.formats.tiff_directories import KINDS
from seec.pipeline.images.formats.tiff_pages import HEIGHT, WIDTH, pages
from seec.pipeline.images.formats.tiff_recompressed import is_movable, recompress
from seec.pipeline.images.raster import Raster
from seec.schemas.errors import UnreadableImage

# A recipe that takes more of a file is worth while only for who wants the same bytes.
_CHEAP_RECIPE = 1 / 512
_EXTENT_TYPES = {3: "H", 4: "I"}  # SHORT, LONG


class Tiff(SplicedFormat):
    """TIFF of version 42, and BigTIFF."""

    name = "TIFF"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data[:4] in KINDS

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`: by directory; one for each sample where those are apart."""
        return [place for page in pages(data) for place in page.places]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """As `Format.read`: exact where compression is done again."""
        places = check_places(self.places(data), len(data))
        codings = [place.coding for place in places if place.coding]
        same_only = keep_file or any(coding.method == LOSSLESS_JPEG for coding in codings)
        content = cut_out(data, places, None if same_only else _CHEAP_RECIPE)
        if content.exact:
            yield content
        if not codings:
            raise UnreadableImage("rows that are filled up with something else than zero")
        if same_only:
            raise UnreadableImage("TIFF whose compression is not reproduced")
        if is_movable(data):
            layout = parse(content.envelope)
            plain = replace(layout, recipes=[b""] * len(places))
            yield Content(content.rasters, plain.serialise(), exact=False)
        yield cut_out(data, places)

    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """As `Format.write`."""
        if exact:
            return super().write(rasters, envelope, exact=True)
        return recompress(rasters, envelope, quick=quick)

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`: of the first directory, which may lie anywhere."""
        kind = KINDS[head[:4]]
        (at,) = kind.offset.unpack_from(head, kind.first)
        (count,) = kind.entries.unpack(read_at(at, kind.entries.size))
        count = min(count, 1 << 16)
        entries = read_at(at + kind.entries.size, kind.entry_bytes * count)
        found = {WIDTH: 0, HEIGHT: 0}
        for place in range(0, kind.entry_bytes * count, kind.entry_bytes):
            tag, type_, _ = kind.entry.unpack_from(entries, place)
            if tag in found and type_ in _EXTENT_TYPES:
                code = kind.order + _EXTENT_TYPES[type_]
                (found[tag],) = struct.unpack_from(code, entries, place + kind.entry.size)
        return found[WIDTH], found[HEIGHT]
