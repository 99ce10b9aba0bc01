"""A TIFF file whose samples are compressed again to other bytes.

Nothing else moves, so that offsets that only their maker knows stay right: new pieces fill the
places of the old ones, and what finds no place there goes behind the end of the file. GDAL tells
in some files that the size of each tile stands before it and behind it: such a file no longer says
so, and these bytes are given up.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from seec.pipeline.images.formats.codings import encoded_anew
from seec.pipeline.images.formats.spliced import Layout, Place, check_places, parse, row_of
from seec.pipeline.images.formats.tiff_pages import Page, pages
from seec.pipeline.images.raster import Raster, pack
from seec.schemas.errors import UnreadableImage

# What GDAL writes into a file that it lays out for readers of parts, and how it takes that back.
_LEADERS = b"BLOCK_LEADER=SIZE_AS_UINT4"
_LEADER_BYTES = 8  # with those behind the tile before
_LAID_OUT = b"KNOWN_INCOMPATIBLE_EDITION=NO\n "
_NO_LONGER = b"KNOWN_INCOMPATIBLE_EDITION=YES\n"
_GHOST_BYTES = 4096  # near the beginning


def is_movable(data: bytes) -> bool:
    """Whether `recompress` will be able to write such a file."""
    found = [page for page in pages(data) if page.coding]
    pieces = [piece for page in found for place in page.places for piece in place.pieces]
    blank = bytearray(data)
    for start, size in pieces:
        blank[start : start + size] = bytes(size)
    # No directory lies between samples.
    if [page.places for page in pages(bytes(blank)) if page.coding] != [p.places for p in found]:
        return False
    largest = [max(_most(place) for place in page.places) for page in found]
    end = len(data) + len(pieces) * max(largest)
    for page, most in zip(found, largest, strict=True):
        offsets, sizes = (page.directory.entries[tag] for tag in page.tags)
        if most > sizes.most or end > offsets.most:
            return False
    return True


def recompress(rasters: Sequence[Raster], envelope: bytes, *, quick: bool) -> bytes:
    """The file. quick: whether it may be larger than need be."""
    layout = parse(envelope)
    layout.check(rasters)
    stored = b"".join(_stored(rasters, layout))
    data = layout.filled(stored)
    found = pages(data)
    places = check_places([place for page in found for place in page.places], len(data))
    if [place.shape for place in places] != [raster.shape for raster in rasters]:
        raise UnreadableImage("envelope of a TIFF file does not fit its pictures")
    laid_out = data.find(_LAID_OUT, 0, _GHOST_BYTES)
    leaders = laid_out >= 0 and data.find(_LEADERS, 0, _GHOST_BYTES) >= 0
    file = _Holes(data, places, _LEADER_BYTES if leaders else 0)
    moved: dict[tuple[int, int], tuple[int, int]] = {}
    for place, raster in zip(places, rasters, strict=True):
        if place.coding is not None:
            packing = place.packing
            rows = pack(raster.samples, raster.shape, packing)
            row = row_of(packing, raster.shape)
            new = encoded_anew(rows, place.coding, row, packing.little, quick=quick)
            for piece, code in zip(place.pieces, new, strict=True):
                moved[piece] = file.put(code)
    for page in found:
        if page.coding is not None:
            _point(file.data, page, moved)
    if laid_out >= 0:
        file.data[laid_out : laid_out + len(_LAID_OUT)] = _NO_LONGER
    return bytes(file.data)


def _stored(rasters: Sequence[Raster], layout: Layout) -> Iterator[bytes]:
    """What rasters take in the file, with zeros for what is compressed."""
    each = zip(rasters, layout.packings, layout.codings, layout.stored, strict=True)
    for raster, packing, coding, size in each:
        if coding is None:
            yield pack(raster.samples, raster.shape, packing)
        else:
            yield bytes(size)


class _Holes:
    """A file with room where compressed pieces were. data: grows at its end.

    between: bytes between two pieces that are given up.
    """

    def __init__(self, data: bytes, places: Sequence[Place], between: int):
        self.data = bytearray(data)
        self._free: list[tuple[int, int]] = []  # size, offset
        start = end = 0
        for at, size in sorted(p for place in places if place.coding for p in place.pieces):
            apart = at > end + between or end == 0
            if apart and end > start:
                self._free.append((end - start, start))
            start, end = (at if apart else start), at + size
        if end > start:
            self._free.append((end - start, start))
        self._current = (0, 0)
        self._free.sort()

    def put(self, piece: bytes) -> tuple[int, int]:
        """Write a piece; returns its offset and size.

        Goes on where the last one ended, or in the smallest hole that is large enough, or at the
        end.
        """
        size = len(piece)
        room, at = self._current
        if room < size:
            place = bisect_left(self._free, (size, 0))
            if place == len(self._free):
                at = len(self.data)
                self.data += piece
                return at, size
            if room:
                insort(self._free, self._current)
                place = bisect_left(self._free, (size, 0))
            room, at = self._free.pop(place)
        self.data[at : at + size] = piece
        self._current = (room - size, at + size)
        return at, size


def _point(data: bytearray, page: Page, moved: dict[tuple[int, int], tuple[int, int]]) -> None:
    """Set the offsets and sizes of a directory's pieces."""
    directory = page.directory
    entries = [directory.entries[tag] for tag in page.tags]
    old = zip(*(directory.values(tag) for tag in page.tags), strict=True)
    new = [moved.get(piece, piece) for piece in old]
    for i, entry in enumerate(entries):
        numbers = [piece[i] for piece in new]
        if max(numbers) > entry.most:
            raise UnreadableImage("TIFF whose compressed samples find no place")
        entry.values(directory.kind.order).pack_into(data, entry.at, *numbers)


def _most(place: Place) -> int:
    """More bytes than a piece takes by any method."""
    rows = place.coding.rows if place.coding else 0
    size_bytes = place.packing.row_bytes(place.shape) * rows
    return size_bytes + size_bytes // 2 + 1024
