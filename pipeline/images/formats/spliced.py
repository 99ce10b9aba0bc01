"""Formats that hold samples as they are: a file is what surrounds them, and they are put between.

Envelope: uint32 little-endian number of rasters, for each of them two bytes of packing (flags: 1 if
the lowest byte of a sample comes first, 2 if the last row comes first, 4 if the first three samples
are in reverse order; rows begin at multiples of so many bytes), uint32 number of gaps, for each of
them two uint32 (how many bytes stand before it, how many bytes of samples fill it), then all bytes
that are no samples.
"""

import struct
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from seec.pipeline.images.formats.format import Content, Format
from seec.pipeline.images.raster import Meaning, Packing, Raster, pack, unpack
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS
from seec.schemas.planes import Shape

_COUNT = struct.Struct("<I")
_PACKING = struct.Struct("<BB")
_GAP = struct.Struct("<II")
_ALIGNMENTS = (1, 2, 4)
_LITTLE, _BOTTOM_UP, _BGR = 1, 2, 4


@dataclass(frozen=True)
class Place:
    """Where one raster of a file lies: pieces of (offset, size), in the order of its rows."""

    shape: Shape
    packing: Packing
    pieces: tuple[tuple[int, int], ...]
    meaning: Meaning = Meaning.OTHER

    @property
    def start(self) -> int:
        """Offset of the first piece."""
        return self.pieces[0][0]


def check_places(places: Sequence[Place], size_bytes: int) -> list[Place]:
    """The places in the order of the file.

    UnreadableImage unless their pieces fit the rasters, lie within the file one behind the other,
    and those of one raster behind those of another.
    """
    if not 1 <= len(places) <= MAX_RASTERS:
        raise UnreadableImage(f"{len(places)} pictures in the file, of at most {MAX_RASTERS}")
    for place in places:
        if min(place.shape.width, place.shape.height) < 1 or not place.pieces:
            raise UnreadableImage("no pixels")
        if sum(size for _, size in place.pieces) != place.packing.size_bytes(place.shape):
            raise UnreadableImage("more or fewer bytes of samples than its size needs")
    ordered = sorted(places, key=lambda place: place.start)
    pieces = [piece for place in ordered for piece in place.pieces]
    in_order = all(one + size <= other for (one, size), (other, _) in pairwise(pieces))
    if not in_order or pieces[-1][0] + pieces[-1][1] > size_bytes:
        raise UnreadableImage("samples that are cut short, or not one behind the other")
    return ordered


class SplicedFormat(Format):
    """A format whose files hold nothing but plain samples and what surrounds them."""

    @abstractmethod
    def places(self, data: bytes) -> list[Place]:
        """Where the samples of all rasters lie."""

    def shapes(self, data: bytes) -> list[Shape]:
        """As `Format.shapes`."""
        return [place.shape for place in check_places(self.places(data), len(data))]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """As `Format.read`: exact, or not at all."""
        del keep_file
        places = check_places(self.places(data), len(data))
        yield Content(*cut_out(data, places), exact=True)
        raise UnreadableImage("rows that are filled up with something else than zero")

    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """As `Format.write`."""
        del exact, quick
        return splice(rasters, envelope)


def cut_out(data: bytes, places: Sequence[Place]) -> tuple[list[Raster], bytes]:
    """Rasters and envelope. places: as `check_places` gives them."""
    rasters: list[Raster] = []
    for place in places:
        stored = b"".join(data[start : start + size] for start, size in place.pieces)
        samples = unpack(stored, place.shape, place.packing)
        rasters.append(Raster(samples, place.shape.depth, place.meaning))
    envelope = _COUNT.pack(len(places))
    for place in places:
        envelope += _PACKING.pack(_flags(place.packing), place.packing.align)
    gaps: list[tuple[int, int]] = []
    kept: list[bytes] = []
    end = 0
    for start, size in (piece for place in places for piece in place.pieces):
        if start == end and gaps:
            gaps[-1] = (gaps[-1][0], gaps[-1][1] + size)
        else:
            gaps.append((start - end, size))
            kept.append(data[end:start])
        end = start + size
    envelope += _COUNT.pack(len(gaps)) + b"".join(_GAP.pack(*gap) for gap in gaps)
    return rasters, envelope + b"".join(kept) + data[end:]


def splice(rasters: Sequence[Raster], envelope: bytes) -> bytes:
    """The file whose samples were cut out; UnreadableImage if the envelope does not fit."""
    try:
        packings, gaps, rest = _parse(envelope)
    except struct.error:
        raise UnreadableImage("envelope is cut short") from None
    if len(packings) != len(rasters):
        raise UnreadableImage("envelope of a file with more or fewer pictures")
    if any(p.bgr and r.shape.samples < 3 for p, r in zip(packings, rasters, strict=True)):
        raise UnreadableImage("envelope of a file with more samples in a pixel")
    stored = b"".join(
        pack(raster.samples, raster.shape, packing)
        for raster, packing in zip(rasters, packings, strict=True)
    )
    before, filling = (sum(gap[i] for gap in gaps) for i in (0, 1))
    if before > len(rest) or filling != len(stored):
        raise UnreadableImage("envelope does not fit its pictures")
    parts: list[bytes] = []
    position = used = 0
    for size, samples in gaps:
        parts += [rest[position : position + size], stored[used : used + samples]]
        position, used = position + size, used + samples
    return b"".join(parts) + rest[position:]


def _flags(packing: Packing) -> int:
    return _LITTLE * packing.little | _BOTTOM_UP * packing.bottom_up | _BGR * packing.bgr


def _parse(envelope: bytes) -> tuple[list[Packing], list[tuple[int, int]], bytes]:
    (count,) = _COUNT.unpack_from(envelope)
    position = _COUNT.size
    if count > MAX_RASTERS:
        raise UnreadableImage("envelope of too many pictures")
    packings: list[Packing] = []
    for _ in range(count):
        flags, align = _PACKING.unpack_from(envelope, position)
        if flags & ~(_LITTLE | _BOTTOM_UP | _BGR) or align not in _ALIGNMENTS:
            raise UnreadableImage("envelope with a packing that cannot be")
        order = (bool(flags & flag) for flag in (_BOTTOM_UP, _BGR))
        packings.append(Packing(bool(flags & _LITTLE), align, *order))
        position += _PACKING.size
    (count,) = _COUNT.unpack_from(envelope, position)
    position += _COUNT.size
    end = position + count * _GAP.size
    if end > len(envelope):
        raise UnreadableImage("envelope is cut short")
    return packings, list(_GAP.iter_unpack(envelope[position:end])), envelope[end:]
