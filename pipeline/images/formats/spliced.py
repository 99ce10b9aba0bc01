"""Formats whose files are samples and what surrounds them: samples are cut out, and put between.

Envelope: uint32 little-endian number of rasters, for each of them two bytes of packing (flags: 1 if
the lowest byte of a sample comes first, 2 if the last row comes first, 4 if the first three samples
are in reverse order, 8 and 16 the numbers that samples are, 32 if a row holds the first samples of
all its pixels first, 64 if a byte follows, 128 if rows are compressed; rows begin at multiples of
so many bytes), this byte (bits of a sample in the file, 16 and 32 what stands together of all
pixels, 128 if the samples of a pixel are two of a row and those below) and, if rows are compressed,
how (see `_CODING`); uint32 number of gaps, for each of them two uint32 (how many bytes stand before
it, how many bytes of samples fill it), then all bytes that are no samples. The highest bit of the
number of gaps says that they are not filled in order: each then has a third uint32, where the bytes
that fill it begin.
"""

import struct
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from seec.pipeline.images.formats.codings import (
    Coding,
    check_coding,
    decoded,
    encoded,
)
from seec.pipeline.images.formats.format import Content, Format, ReadAt
from seec.pipeline.images.formats.piece_methods import Row
from seec.pipeline.images.raster import (
    Meaning,
    Numbers,
    Packing,
    Planes,
    Raster,
    pack,
    unpack,
)
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS, MAX_RECIPE_BYTES
from seec.schemas.planes import Shape

_COUNT = struct.Struct("<I")
_PACKING, _BYTE = struct.Struct("<BB"), struct.Struct("<B")
# Method, predictor, bytes of a number, numbers of a pixel; rows of a piece; bytes of all pieces of
# the raster; bytes of the recipe that follows.
_CODING = struct.Struct("<BBBBIII")
_GAP, _PLACED_GAP = struct.Struct("<II"), struct.Struct("<III")
_PLACED = 1 << 31
_ALIGNMENTS = (1, 2, 4)
_PIECE_BYTES = 4096  # that a piece may take beside its samples
_LITTLE, _BOTTOM_UP, _BGR, _NUMBERS, _BY_ROW, _MORE, _CODED = 1, 2, 4, 24, 32, 64, 128
_BITS, _PLANES, _MOSAIC = 15, 48, 128  # of the byte that follows


@dataclass(frozen=True)
class Place:
    """Where one raster of a file lies: pieces of (offset, size), in the order of its rows.

    coding: how each piece is compressed; None if they are not.
    """

    shape: Shape
    packing: Packing
    pieces: tuple[tuple[int, int], ...]
    meaning: Meaning = Meaning.OTHER
    coding: Coding | None = None

    @property
    def start(self) -> int:
        """Offset of the first piece."""
        return self.pieces[0][0]

    @property
    def size_bytes(self) -> int:
        """Of all pieces."""
        return sum(size for _, size in self.pieces)

    def check(self) -> None:
        """UnreadableImage unless its pieces fit its shape."""
        if min(self.shape.width, self.shape.height) < 1 or not self.pieces:
            raise UnreadableImage("no pixels")
        if not self.packing.fits(self.shape):
            raise UnreadableImage("samples that are packed in no known way")
        if self.coding is None:
            if self.size_bytes != self.packing.size_bytes(self.shape):
                raise UnreadableImage("more or fewer bytes of samples than its size needs")
            return
        check_coding(self.coding, row_of(self.packing, self.shape))
        if len(self.pieces) != -(-self.packing.rows(self.shape) // self.coding.rows):
            raise UnreadableImage("more or fewer strips or tiles than its size needs")
        check_stored(self.coding, self.packing, self.shape, self.size_bytes)


def row_of(packing: Packing, shape: Shape) -> Row:
    """A row of a file, as compression sees it."""
    samples = packing.row_samples(shape)
    return Row(packing.row_bytes(shape), samples, packing.sample_bits(shape))


def check_stored(coding: Coding, packing: Packing, shape: Shape, size_bytes: int) -> None:
    """UnreadableImage if compressed pieces of a raster take more bytes than any writer needs."""
    pieces = -(-packing.rows(shape) // coding.rows)
    if size_bytes > 2 * packing.size_bytes(shape) + _PIECE_BYTES * pieces:
        raise UnreadableImage("strips or tiles that are larger than their samples")


def check_places(places: Sequence[Place], size_bytes: int) -> list[Place]:
    """The places in the order of the file, by their first pieces.

    UnreadableImage unless all pieces fit the rasters, lie within the file, and do not overlap.
    """
    if not 1 <= len(places) <= MAX_RASTERS:
        raise UnreadableImage(f"{len(places)} pictures in the file, of at most {MAX_RASTERS}")
    for place in places:
        place.check()
    pieces = sorted(piece for place in places for piece in place.pieces)
    apart = all(one + size <= other for (one, size), (other, _) in pairwise(pieces))
    if not apart or pieces[-1][0] + pieces[-1][1] > size_bytes:
        raise UnreadableImage("samples that are cut short, or that overlap")
    return sorted(places, key=lambda place: place.start)


class SplicedFormat(Format):
    """A format whose files hold nothing but samples, and what surrounds them."""

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
        yield cut_out(data, places)
        raise UnreadableImage("rows that are filled up with something else than zero")

    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """As `Format.write`."""
        del exact, quick
        return splice(rasters, envelope)

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`."""
        del read_at
        shape = self.places(head)[0].shape
        return shape.width, shape.height


@dataclass(frozen=True)
class Layout:
    """A parsed envelope.

    packings, codings: of each raster. stored: bytes that each takes if it is compressed, else 0.
    recipes: of each raster. gaps: (bytes before it, bytes that fill it, where those begin) each.
    rest: all bytes that are no samples.
    """

    packings: Sequence[Packing]
    codings: Sequence[Coding | None]
    stored: Sequence[int]
    recipes: Sequence[bytes]
    gaps: Sequence[tuple[int, int, int]]
    rest: bytes

    def serialise(self) -> bytes:
        """The envelope."""
        each = zip(self.packings, self.codings, self.stored, self.recipes, strict=True)
        head = _COUNT.pack(len(self.packings)) + b"".join(_described(*one) for one in each)
        in_order = all(gap[2] == at for gap, at in zip(self.gaps, _starts(self.gaps), strict=True))
        head += _COUNT.pack(len(self.gaps) | (0 if in_order else _PLACED))
        if in_order:
            head += b"".join(_GAP.pack(*gap[:2]) for gap in self.gaps)
        else:
            head += b"".join(_PLACED_GAP.pack(*gap) for gap in self.gaps)
        return head + self.rest

    def check(self, rasters: Sequence[Raster]) -> None:
        """UnreadableImage unless these rasters may be what is missing."""
        if len(self.packings) != len(rasters):
            raise UnreadableImage("envelope of a file with more or fewer pictures")
        each = zip(rasters, self.packings, self.codings, self.stored, strict=True)
        for raster, packing, coding, size in each:
            if not packing.fits(raster.shape):
                raise UnreadableImage("envelope of a file with other samples")
            if coding is not None:
                check_coding(coding, row_of(packing, raster.shape))
                check_stored(coding, packing, raster.shape, size)

    def between(self) -> Iterator[tuple[int, bytes]]:
        """Where in the file bytes stand that are no samples, and these."""
        at = position = 0
        for size, samples, _ in self.gaps:
            yield at, self.rest[position : position + size]
            position += size
            at += size + samples
        yield at, self.rest[position:]

    def filled(self, stored: bytes) -> bytes:
        """The file. stored: what all rasters take in it, one behind the other."""
        before, filling = (sum(gap[i] for gap in self.gaps) for i in (0, 1))
        if before > len(self.rest) or filling != len(stored):
            raise UnreadableImage("envelope does not fit its pictures")
        parts: list[bytes] = []
        position = 0
        for size, samples, begin in self.gaps:
            parts += [self.rest[position : position + size], stored[begin : begin + samples]]
            position += size
        return b"".join(parts) + self.rest[position:]


def cut_out(data: bytes, places: Sequence[Place], most_recipe: float | None = None) -> Content:
    """Rasters and envelope. places: as `check_places` gives them.

    Not exact if a raster is compressed in a way for which there is no recipe, or one that takes
    more than a share of the raster's bytes in the file, `most_recipe`.
    """
    rasters: list[Raster] = []
    recipes: list[bytes | None] = []
    for place in places:
        rows, recipe = _rows(data, place, most_recipe)
        samples = unpack(rows, place.shape, place.packing)
        rasters.append(Raster(samples, place.shape.depth, place.meaning))
        recipes.append(recipe)
    exact = None not in recipes
    layout = Layout(
        [place.packing for place in places],
        [place.coding for place in places],
        [place.size_bytes if place.coding else 0 for place in places],
        [recipe or b"" for recipe in recipes] if exact else [b""] * len(places),
        *_gaps(data, places),
    )
    return Content(rasters, layout.serialise(), exact)


def splice(rasters: Sequence[Raster], envelope: bytes) -> bytes:
    """The file whose samples were cut out; UnreadableImage if the envelope does not fit."""
    layout = parse(envelope)
    layout.check(rasters)
    stored: list[bytes] = []
    each = zip(rasters, layout.packings, layout.codings, layout.recipes, strict=True)
    for raster, packing, coding, recipe in each:
        rows = pack(raster.samples, raster.shape, packing)
        if coding is None:
            stored.append(rows)
        else:
            row = row_of(packing, raster.shape)
            stored += encoded(rows, coding, row, packing.little, recipe)
    return layout.filled(b"".join(stored))


def _rows(data: bytes, place: Place, most_recipe: float | None) -> tuple[bytes, bytes | None]:
    pieces = [data[start : start + size] for start, size in place.pieces]
    if place.coding is None:
        return b"".join(pieces), b""
    shape, packing = place.shape, place.packing
    row = row_of(packing, shape)
    rows, little = packing.rows(shape), packing.little
    return decoded(pieces, place.coding, rows, row, little, most_recipe)


def _described(packing: Packing, coding: Coding | None, stored: int, recipe: bytes) -> bytes:
    """How a raster lies in the file."""
    more = packing.bits | packing.planes.value << 4 | _MOSAIC * packing.mosaic
    flags = _LITTLE * packing.little | _BOTTOM_UP * packing.bottom_up | _BGR * packing.bgr
    flags |= packing.numbers.value << 3 | _BY_ROW * packing.by_row | _MORE * bool(more)
    flags |= _CODED * (coding is not None)
    head = _PACKING.pack(flags, packing.align) + (bytes([more]) if more else b"")
    if coding is None:
        return head
    how = (coding.method, coding.predictor, coding.number_bytes, coding.numbers, coding.rows)
    return head + _CODING.pack(*how, stored, len(recipe)) + recipe


def _gaps(data: bytes, places: Sequence[Place]) -> tuple[list[tuple[int, int, int]], bytes]:
    """As `Layout` has them, and the bytes that are no samples."""
    pieces = [piece for place in places for piece in place.pieces]
    begins = accumulate((size for _, size in pieces), initial=0)
    gaps: list[tuple[int, int, int]] = []
    kept: list[bytes] = []
    end = 0
    for (start, size), begin in sorted(zip(pieces, begins, strict=False)):
        before, filled, first = gaps[-1] if gaps else (0, 0, 0)
        if gaps and start == end and begin == first + filled:
            gaps[-1] = (before, filled + size, first)
        else:
            gaps.append((start - end, size, begin))
            kept.append(data[end:start])
        end = start + size
    return gaps, b"".join(kept) + data[end:]


def _starts(gaps: Sequence[tuple[int, int, int]]) -> Iterator[int]:
    """Where the bytes that fill gaps begin, if they are filled in order."""
    at = 0
    for gap in gaps:
        yield at
        at += gap[1]


def parse(envelope: bytes) -> Layout:
    """Read an envelope; UnreadableImage if it is damaged."""
    try:
        return _parse(envelope)
    except struct.error:
        raise UnreadableImage("envelope is cut short") from None


def _parse(envelope: bytes) -> Layout:
    (count,) = _COUNT.unpack_from(envelope)
    position = _COUNT.size
    if count > MAX_RASTERS:
        raise UnreadableImage("envelope of too many pictures")
    packings: list[Packing] = []
    codings: list[Coding | None] = []
    stored: list[int] = []
    recipes: list[bytes] = []
    for _ in range(count):
        packing, coded, position = _parse_packing(envelope, position)
        packings.append(packing)
        coding, taken, recipe = None, 0, b""
        if coded:
            *how, rows, taken, length = _CODING.unpack_from(envelope, position)
            coding = Coding(how[0], how[1], rows, how[2], how[3])
            position += _CODING.size
            recipe = envelope[position : position + length]
            position += length
            if len(recipe) < length or length > MAX_RECIPE_BYTES:
                raise UnreadableImage("envelope with a recipe that is cut short")
        codings.append(coding)
        stored.append(taken)
        recipes.append(recipe)
    (count,) = _COUNT.unpack_from(envelope, position)
    position += _COUNT.size
    kind = _PLACED_GAP if count & _PLACED else _GAP
    end = position + (count & ~_PLACED) * kind.size
    if end > len(envelope):
        raise UnreadableImage("envelope is cut short")
    gaps = list(kind.iter_unpack(envelope[position:end]))
    if kind is _GAP:
        gaps = [(*gap, at) for gap, at in zip(gaps, _starts(gaps), strict=True)]
    return Layout(packings, codings, stored, recipes, gaps, envelope[end:])


def _parse_packing(envelope: bytes, position: int) -> tuple[Packing, bool, int]:
    """How a raster lies in the file, whether it is compressed, and where that ends."""
    flags, align = _PACKING.unpack_from(envelope, position)
    position += _PACKING.size
    more = 0
    if flags & _MORE:
        (more,) = _BYTE.unpack_from(envelope, position)
        position += _BYTE.size
    numbers = (flags & _NUMBERS) >> 3
    if (
        align not in _ALIGNMENTS
        or numbers > Numbers.FLOATING.value
        or more & ~(_BITS | _PLANES | _MOSAIC)
        or more & _PLANES == _PLANES
        or bool(flags & _MORE) != (more > 0)
    ):
        raise UnreadableImage("envelope with a packing that cannot be")
    packing = Packing(
        little=bool(flags & _LITTLE),
        align=align,
        bottom_up=bool(flags & _BOTTOM_UP),
        bgr=bool(flags & _BGR),
        numbers=Numbers(numbers),
        by_row=bool(flags & _BY_ROW),
        mosaic=bool(more & _MOSAIC),
        bits=more & _BITS,
        planes=Planes((more & _PLANES) >> 4),
    )
    return packing, bool(flags & _CODED), position
