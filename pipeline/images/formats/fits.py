"""FITS: the images of all header and data units, of whole and of floating point numbers.

Images in tiles of whole rows, by Rice or gzip, are written again to the same bytes.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from math import prod

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.codings import Coding
from seec.pipeline.images.formats.format import ReadAt
from seec.pipeline.images.formats.piece_methods import GZIP, RICE
from seec.pipeline.images.formats.raw_samples import Array, Type
from seec.pipeline.images.formats.spliced import Place, SplicedFormat
from seec.pipeline.images.ranges import Ranges, Sliced
from seec.pipeline.images.raster import Meaning, Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_FILE_BYTES, MAX_RASTERS, MAX_SAMPLE_BYTES
from seec.schemas.planes import Shape

_BLOCK, _CARD = 2880, 80
_HEADERS_BYTES = 1 << 16  # that hold the first headers of most files
_MOST_VALUES = 10  # of those that a compression is described by
_MAX_CARDS, _MAX_AXES = 1 << 17, 999
_WORDS = re.compile(
    rb"(SIMPLE|XTENSION|BITPIX|NAXIS\d{0,3}|PCOUNT|GCOUNT|GROUPS|END|THEAP|TFIELDS|TTYPE1|TFORM1"
    rb"|ZIMAGE|ZCMPTYPE|ZBITPIX|ZNAXIS\d{0,3}|ZTILE\d{1,3}|ZNAME\d{1,3}|ZVAL\d{1,3}) *"
    rb"(?:= +('[^']*'|[TF]|-?\d{1,15})? *(?:/.*)?)?"
)
_RICE_BLOCK = 32
_DESCRIPTORS = {b"1P": ">2i", b"1Q": ">2q", b"P": ">2i", b"Q": ">2q"}
_TYPES: dict[int, Type] = {
    8: raw_samples.U8,
    16: raw_samples.I16,
    32: raw_samples.I32,
    64: raw_samples.W64,
    -32: raw_samples.F32,
    -64: raw_samples.W64,
}


class Fits(SplicedFormat):
    """The Flexible Image Transport System. Tables stay as they are."""

    name = "FITS"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(b"SIMPLE  =")

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`."""
        places: list[Place] = []
        for unit in _units(data):
            if isinstance(unit, Place):
                places.append(unit)
            elif len([size for size in unit.sizes if size > 1]) > 1:
                places += unit.places()
            if len(places) > MAX_RASTERS:
                raise UnreadableImage(f"FITS file with more than {MAX_RASTERS} pictures")
        if not places:
            raise UnreadableImage("FITS file without a picture")
        return places

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`: of the first unit with an image."""
        with suppress(UnreadableImage):
            return _extent(head)
        return _extent(read_at(0, _HEADERS_BYTES))


def arrays(file: Ranges) -> Iterator[Array]:
    """The uncompressed images of all units of a file, which is read by its headers alone.

    Ends with the first header that is damaged.
    """
    with suppress(UnreadableImage):
        for words, at in _headers(Sliced(file)):
            array = _array(words, at)
            if array is not None and len([size for size in array.sizes if size > 1]) > 1:
                yield array


def _extent(head: bytes) -> tuple[int, int]:
    for words, at in _headers(head):
        if _is_compressed(words):
            width, *others = _sizes(words, b"ZNAXIS")
            return width, prod(others)
        array = _array(words, at)
        if array is not None and len([size for size in array.sizes if size > 1]) > 1:
            shape = array.places()[0].shape
            return shape.width, shape.height
    raise UnreadableImage("FITS file without a picture")


def _units(data: bytes) -> Iterator[Array | Place]:
    """The images of all units; those that are compressed as places."""
    for words, at in _headers(data):
        array = _array(words, at)
        if array is not None:
            yield array
        if _is_compressed(words):
            with suppress(UnreadableImage, struct.error):
                yield _tiles(data, at, words, *_sizes(words))


def _headers(data: bytes | Sliced) -> Iterator[tuple[dict[bytes, bytes], int]]:
    """The words of each unit, and where its data begins."""
    at = cards = 0
    while at < len(data):
        words, at = _header(data, at)
        cards += len(words)
        if cards > _MAX_CARDS:
            raise UnreadableImage(f"FITS file with more than {_MAX_CARDS} words")
        sizes = _sizes(words)
        type_ = _type(words)
        yield words, at
        groups, beside = _number(words, b"GCOUNT", 1), _number(words, b"PCOUNT", 0)
        counted = sizes[1:] if sizes and sizes[0] == 0 and words.get(b"GROUPS") == b"T" else sizes
        numbers = groups * (beside + prod(counted)) if sizes else 0
        if not 0 <= numbers <= MAX_FILE_BYTES:
            raise UnreadableImage("damaged FITS file: a unit that is too large")
        at += -(-numbers * type_.size_bytes // _BLOCK) * _BLOCK


def _type(words: dict[bytes, bytes]) -> Type:
    type_ = _TYPES.get(_number(words, b"BITPIX", 0))
    if type_ is None:
        raise UnreadableImage("FITS file with numbers of unknown size")
    return type_


def _array(words: dict[bytes, bytes], at: int) -> Array | None:
    """The image of a unit, unless it has none, or a compressed one."""
    sizes = _sizes(words)
    groups, beside = _number(words, b"GCOUNT", 1), _number(words, b"PCOUNT", 0)
    image = words.get(b"XTENSION", b"'IMAGE   '")[1:-1].strip() == b"IMAGE"
    if image and sizes and min(sizes) > 0 and (groups, beside) == (1, 0):
        return Array(at, sizes, _type(words), little=False)
    return None


def _is_compressed(words: dict[bytes, bytes]) -> bool:
    axes = _number(words, b"ZNAXIS", 0)
    return words.get(b"ZIMAGE") == b"T" and len(_sizes(words)) == 2 and axes > 1


def _header(data: bytes | Sliced, at: int) -> tuple[dict[bytes, bytes], int]:
    """The words of a header that say where its data is, and where that begins."""
    words: dict[bytes, bytes] = {}
    start = at
    while b"END" not in words:
        card = data[at : at + _CARD]
        if len(card) < _CARD or at - start > _CARD * _MAX_CARDS:
            raise UnreadableImage("damaged FITS file: a header without an end")
        found = _WORDS.match(card) if card[:8].strip(b" 0123456789") in _KNOWN else None
        if found and found[1] == card[:8].strip():
            words.setdefault(found[1], found[2] or b"")
        at += _CARD
    if not words.keys() & {b"SIMPLE", b"XTENSION"}:
        raise UnreadableImage("FITS file with something else behind its units")
    return words, start + -(-(at - start) // _BLOCK) * _BLOCK


_KNOWN = {b"SIMPLE", b"XTENSION", b"BITPIX", b"NAXIS", b"PCOUNT", b"GCOUNT", b"GROUPS", b"END"}
_KNOWN |= {b"THEAP", b"TFIELDS", b"TTYPE", b"TFORM", b"ZIMAGE", b"ZCMPTYPE", b"ZBITPIX", b"ZNAXIS"}
_KNOWN |= {b"ZTILE", b"ZNAME", b"ZVAL"}


def _tiles(data: bytes, at: int, words: dict[bytes, bytes], row_bytes: int, rows: int) -> Place:
    """An image in tiles of whole rows, each of them one of a table, which begins at `at`.

    UnreadableImage if the tiles are others, or are compressed in another way.
    """
    width, *others = _sizes(words, b"ZNAXIS")
    heights = [_number(words, b"ZTILE%d" % (i + 2), 1) for i in range(len(others))]
    descriptor = _DESCRIPTORS.get(_text(words, b"TFORM1").partition(b"B")[0])
    first = _text(words, b"TTYPE1") == b"COMPRESSED_DATA"
    # All other axes follow each other, which tiles of several rows allow of one of them only.
    in_rows = min(heights[1:], default=1) == max(heights[1:], default=1) == 1
    in_rows = in_rows and (len(others) == 1 or heights[0] == 1)
    whole = _number(words, b"ZTILE1", width) == width and in_rows and len(others) > 0
    if descriptor is None or not (first and whole) or min(width, *others, heights[0]) < 1:
        raise UnreadableImage("FITS file with tiles that are no whole rows")
    type_, method = _tile_type(words)
    if prod(others) * width * type_.size_bytes > MAX_SAMPLE_BYTES:
        raise UnreadableImage("damaged FITS file: an image that is too large")
    # A table may say that it has more rows than any file, or rows of no bytes.
    if rows != -(-prod(others) // heights[0]) or row_bytes < struct.calcsize(descriptor):
        raise UnreadableImage("damaged FITS file: a table with other rows than its tiles need")
    heap = at + _number(words, b"THEAP", row_bytes * rows)
    pieces: list[tuple[int, int]] = []
    for row in range(rows):
        size, start = struct.unpack_from(descriptor, data, at + row * row_bytes)
        pieces.append((heap + start, size))
    if any(size < 1 or not heap <= start <= len(data) - size for start, size in pieces):
        raise UnreadableImage("FITS file with tiles that are somewhere else")
    shape = Shape(width, prod(others), type_.words, type_.depth)
    coding = Coding(method, 1, heights[0], type_.size_bytes // type_.words, type_.words)
    colour = type_ == raw_samples.U8 and prod(others[1:]) == 1
    meaning = Meaning.COLOUR if colour else Meaning.OTHER
    place = Place(shape, Packing(numbers=type_.numbers), tuple(pieces), meaning, coding)
    place.check()
    return place


def _tile_type(words: dict[bytes, bytes]) -> tuple[Type, int]:
    """Numbers of tiles, and how they are compressed."""
    kind, fields = _text(words, b"ZCMPTYPE"), _number(words, b"TFIELDS", 1)
    bits = _number(words, b"ZBITPIX", 0)
    values = {
        _text(words, b"ZNAME%d" % i): _number(words, b"ZVAL%d" % i, 0)
        for i in range(1, _MOST_VALUES)
    }
    if kind in (b"RICE_1", b"RICE_ONE") and values.get(b"BLOCKSIZE", _RICE_BLOCK) == _RICE_BLOCK:
        # Floating point numbers were made whole ones before.
        bits, method = 8 * values.get(b"BYTEPIX", 4), RICE
    elif kind == b"GZIP_1":
        bits, method = (32 if bits < 0 and fields > 1 else bits), GZIP
    else:
        name = kind.decode("latin-1")
        raise UnreadableImage(f"FITS file with tiles that are compressed by {name}")
    if bits not in _TYPES:
        raise UnreadableImage("FITS file with numbers of unknown size")
    return _TYPES[bits], method


def _text(words: dict[bytes, bytes], name: bytes) -> bytes:
    return words.get(name, b"")[1:-1].strip()


def _sizes(words: dict[bytes, bytes], name: bytes = b"NAXIS") -> list[int]:
    axes = _number(words, name, 0)
    if not 0 <= axes <= _MAX_AXES:
        raise UnreadableImage(f"FITS file with {axes} axes")
    return [_number(words, name + b"%d" % (i + 1), -1) for i in range(axes)]


def _number(words: dict[bytes, bytes], name: bytes, default: int) -> int:
    value = words.get(name, b"")
    return int(value) if value.strip(b"-").isdigit() else default
