"""FITS: the images of all header and data units, of whole and of floating point numbers."""

import re
from collections.abc import Iterator
from math import prod

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.raw_samples import Array, Type
from seec.pipeline.images.formats.spliced import Place, SplicedFormat
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_FILE_BYTES, MAX_RASTERS

_BLOCK, _CARD = 2880, 80
_MAX_CARDS, _MAX_AXES = 1 << 17, 999
_WORDS = re.compile(
    rb"(SIMPLE|XTENSION|BITPIX|NAXIS\d{0,3}|PCOUNT|GCOUNT|GROUPS|END) *"
    rb"(?:= +('[^']*'|[TF]|-?\d{1,15})? *(?:/.*)?)?"
)
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
        for array in _arrays(data):
            if len([size for size in array.sizes if size > 1]) > 1:
                places += array.places()
            if len(places) > MAX_RASTERS:
                raise UnreadableImage(f"FITS file with more than {MAX_RASTERS} pictures")
        if not places:
            raise UnreadableImage("FITS file without a picture")
        return places


def _arrays(data: bytes) -> Iterator[Array]:
    """The images of all units."""
    at = cards = 0
    while at < len(data):
        words, at = _header(data, at)
        cards += len(words)
        if cards > _MAX_CARDS:
            raise UnreadableImage(f"FITS file with more than {_MAX_CARDS} words")
        sizes = _sizes(words)
        type_ = _TYPES.get(_number(words, b"BITPIX", 0))
        if type_ is None:
            raise UnreadableImage("FITS file with numbers of unknown size")
        groups, beside = _number(words, b"GCOUNT", 1), _number(words, b"PCOUNT", 0)
        counted = sizes[1:] if sizes and sizes[0] == 0 and words.get(b"GROUPS") == b"T" else sizes
        image = words.get(b"XTENSION", b"'IMAGE   '")[1:-1].strip() == b"IMAGE"
        if image and sizes and min(sizes) > 0 and (groups, beside) == (1, 0):
            yield Array(at, sizes, type_, little=False)
        numbers = groups * (beside + prod(counted)) if sizes else 0
        if not 0 <= numbers <= MAX_FILE_BYTES:
            raise UnreadableImage("damaged FITS file: a unit that is too large")
        at += -(-numbers * type_.size_bytes // _BLOCK) * _BLOCK


def _header(data: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
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


def _sizes(words: dict[bytes, bytes]) -> list[int]:
    axes = _number(words, b"NAXIS", 0)
    if not 0 <= axes <= _MAX_AXES:
        raise UnreadableImage(f"FITS file with {axes} axes")
    return [_number(words, b"NAXIS%d" % (i + 1), -1) for i in range(axes)]


def _number(words: dict[bytes, bytes], name: bytes, default: int) -> int:
    value = words.get(name, b"")
    return int(value) if value.strip(b"-").isdigit() else default
