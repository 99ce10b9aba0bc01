"""DICOM with native pixel data, of one frame or of several.

Pixel data that is compressed by the run length encoding of DICOM, or as lossless JPEG of process
14, is written again to the same bytes. Other encapsulated pixel data is files of other formats, and
is left to those.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.codings import Coding
from seec.pipeline.images.formats.format import ReadAt
from seec.pipeline.images.formats.piece_methods import LOSSLESS_JPEG, PACK_BITS
from seec.pipeline.images.formats.raw_samples import Type, stack
from seec.pipeline.images.formats.spliced import Place, SplicedFormat
from seec.pipeline.images.raster import Meaning, Numbers, Packing, Planes
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS, MAX_SAMPLES
from seec.schemas.planes import Shape

_MAGIC, _MAGIC_AT = b"DICM", 128
_IMPLICIT, _BIG_ENDIAN = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2"
_DEFLATED, _RUN_LENGTHS = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.5"
_LOSSLESS_JPEG = (b"1.2.840.10008.1.2.4.57", b"1.2.840.10008.1.2.4.70")
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SYNTAX = 0x00020010
_SAMPLES, _PHOTOMETRIC, _PLANAR, _FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
_ROWS, _COLUMNS, _ALLOCATED, _STORED = 0x00280010, 0x00280011, 0x00280100, 0x00280101
_SIGNED = 0x00280103
_FLOATS, _DOUBLES, _PIXELS = 0x7FE00008, 0x7FE00009, 0x7FE00010
_WANTED = {_SAMPLES, _PHOTOMETRIC, _PLANAR, _FRAMES, _ROWS, _COLUMNS}
_WANTED |= {_ALLOCATED, _STORED, _SIGNED}
_MAX_ELEMENTS, _MAX_DEPTH, _MAX_VALUE_BYTES = 1 << 18, 16, 64
_MAX_SEGMENTS, _SEGMENTS_BYTES = 15, 64
_SHOWN = (b"MONOCHROME2", b"RGB")
# By bits and sign.
_TYPES: dict[tuple[int, int], Type] = {
    (1, 0): raw_samples.U1,
    (8, 0): raw_samples.U8,
    (8, 1): raw_samples.I8,
    (16, 0): raw_samples.U16,
    (16, 1): raw_samples.I16,
    (32, 0): raw_samples.U32,
    (32, 1): raw_samples.I32,
}


class _Element(NamedTuple):
    """One element: its tag, where its value begins, how many bytes that has."""

    tag: int
    at: int
    size: int


class Dicom(SplicedFormat):
    """A DICOM file with its preamble."""

    name = "DICOM"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`."""
        try:
            picture, pixels, reader = _opened(data)
            if pixels.size != _UNDEFINED:
                return _frames(picture, pixels, reader.order)
            if reader.syntax == _RUN_LENGTHS:
                return list(_run_lengths(picture, reader, pixels.at))
            if reader.syntax in _LOSSLESS_JPEG:
                return list(_jpeg_frames(picture, reader, pixels.at))
        except struct.error:
            raise UnreadableImage("damaged DICOM file: cut short") from None
        raise UnreadableImage("DICOM file with encapsulated pixels")

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`."""
        picture, pixels, _ = _opened(head)
        if pixels.size != _UNDEFINED:
            return super().extent(head, read_at)
        return picture.shape.width, picture.shape.height


def _opened(data: bytes) -> tuple["_Picture", _Element, "_Reader"]:
    """What a file says of its pixels, the element that holds them, and what reads others."""
    meta = _Reader(data, b"")
    at = _MAGIC_AT + 4
    syntax = b""
    while data[at : at + 2] == b"\2\0":
        element = meta.element(at)
        if element.tag == _SYNTAX:
            syntax = data[element.at : element.at + element.size].rstrip(b"\0 ")
        at = element.at + element.size
    if syntax == _DEFLATED:
        raise UnreadableImage("DICOM file that is compressed as a whole")
    reader = _Reader(data, syntax)
    values: dict[int, bytes] = {}
    for element in reader.elements(at, len(data)):
        if element.tag in _WANTED:
            values[element.tag] = data[
                element.at : element.at + min(element.size, _MAX_VALUE_BYTES)
            ]
        if element.tag in (_FLOATS, _DOUBLES, _PIXELS):
            return _picture(values, element, reader.order), element, reader
    raise UnreadableImage("DICOM file without pixels")


class _Picture(NamedTuple):
    """What a file says of its pixels.

    stored: bits of a sample that are used. planar: whether samples of a frame are apart.
    """

    shape: Shape
    type: Type
    stored: int
    frames: int
    planar: bool
    meaning: Meaning


def _picture(values: dict[int, bytes], pixels: _Element, order: str) -> _Picture:
    """pixels: the element that holds them."""

    def number(tag: int, default: int = 0) -> int:
        value = values.get(tag, b"")
        return struct.unpack(order + "H", value)[0] if len(value) == 2 else default

    samples = number(_SAMPLES, 1)
    type_ = _TYPES.get((number(_ALLOCATED), number(_SIGNED)))
    if pixels.tag != _PIXELS:
        type_ = raw_samples.F32 if pixels.tag == _FLOATS else raw_samples.W64
    said = values.get(_FRAMES, b"1").strip(b"\0 ") or b"1"
    if type_ is None or not 1 <= samples <= MAX_SAMPLES or not (said.isdigit() and len(said) < 9):
        raise UnreadableImage(f"DICOM file with {number(_ALLOCATED)} bits in a sample")
    photometric = values.get(_PHOTOMETRIC, b"").strip(b"\0 ")
    shown = type_ == raw_samples.U8 and photometric in _SHOWN and samples in (1, 3)
    shape = Shape(number(_COLUMNS), number(_ROWS), samples * type_.words, type_.depth)
    meaning = Meaning.COLOUR if shown and int(said) == 1 else Meaning.OTHER
    stored = number(_STORED, shape.depth)
    return _Picture(shape, type_, stored, int(said), samples > 1 and number(_PLANAR) == 1, meaning)


def _frames(picture: _Picture, pixels: _Element, order: str) -> list[Place]:
    shape, count = picture.shape, picture.frames
    if shape.depth < 8 and (order == ">" or shape.width * shape.depth % 8 or picture.planar):
        raise UnreadableImage("DICOM file with bits whose rows are no whole bytes")
    planes = Planes.SAMPLES if picture.planar else Planes.NOTHING
    packing = Packing(little=order == "<", numbers=picture.type.numbers, planes=planes)
    if not 0 <= pixels.size - count * packing.size_bytes(shape) <= 1:
        raise UnreadableImage("DICOM file with more or fewer pixels than its size needs")
    if not picture.planar:
        return stack(pixels.at, shape, packing, count, picture.meaning)
    if count > MAX_RASTERS:
        raise UnreadableImage(f"DICOM file with more than {MAX_RASTERS} frames of planes")
    size = packing.size_bytes(shape)
    each = range(pixels.at, pixels.at + count * size, size)
    return [Place(shape, packing, ((at, size),), picture.meaning) for at in each]


def _compressed_frames(picture: _Picture, reader: "_Reader", at: int) -> Iterator[_Element]:
    """The fragments of pixels, of which each is a frame."""
    fragments = [*reader.fragments(at)][1:]  # the first one is a table of offsets
    if len(fragments) != picture.frames or picture.frames > MAX_RASTERS or picture.shape.height < 1:
        raise UnreadableImage("DICOM file whose frames are in pieces, or too many")
    yield from fragments


def _run_lengths(picture: _Picture, reader: "_Reader", at: int) -> Iterator[Place]:
    """A frame begins with the offsets of its segments, one of each byte of each sample."""
    shape = picture.shape
    packing = Packing(numbers=picture.type.numbers, planes=Planes.BYTES)
    coding = Coding(PACK_BITS, 1, shape.height, 1, 1)
    for fragment in _compressed_frames(picture, reader, at):
        count, *offsets = struct.unpack_from("<16I", reader.data, fragment.at)
        if count != shape.samples * shape.sample_bytes or count > _MAX_SEGMENTS:
            raise UnreadableImage("DICOM file with more or fewer segments than its size needs")
        bounds = [*offsets[:count], fragment.size]
        if any(one > other for one, other in pairwise(bounds)) or bounds[0] < _SEGMENTS_BYTES:
            raise UnreadableImage("DICOM file with segments that overlap")
        pieces = [(fragment.at + one, other - one) for one, other in pairwise(bounds)]
        yield Place(shape, packing, tuple(pieces), picture.meaning, coding)


def _jpeg_frames(picture: _Picture, reader: "_Reader", at: int) -> Iterator[Place]:
    """A frame is a file of lossless JPEG, with the samples of a pixel together."""
    shape = picture.shape
    # Such a file has no more bits than are used, and numbers below zero no sign where that is less.
    whole = picture.stored == shape.depth
    packing = Packing(little=True, numbers=picture.type.numbers if whole else Numbers.UNSIGNED)
    coding = Coding(LOSSLESS_JPEG, 1, shape.height, shape.sample_bytes, shape.samples)
    for fragment in _compressed_frames(picture, reader, at):
        pieces = ((fragment.at, fragment.size),)
        yield Place(shape, packing, pieces, picture.meaning, coding)


class _Reader:
    """Elements of a file. syntax: how they are written; none of those that say so themselves."""

    def __init__(self, data: bytes, syntax: bytes):
        self.data, self.syntax = data, syntax
        self.order = ">" if syntax == _BIG_ENDIAN else "<"
        self._implicit = syntax == _IMPLICIT
        self._left = _MAX_ELEMENTS

    def elements(self, at: int, end: int) -> Iterator[_Element]:
        """Those from `at` to `end`, without those that are within them."""
        while at < end:
            element = self.element(at)
            yield element
            if element.size == _UNDEFINED:
                at = self._end_of_items(element.at, 0)
            else:
                at = element.at + element.size

    def fragments(self, at: int) -> Iterator[_Element]:
        """The items from `at` to the end of their sequence."""
        while (item := self.element(at)).tag == _ITEM:
            yield item
            at = item.at + item.size
        if item.tag != _SEQUENCE_END:
            raise UnreadableImage("damaged DICOM file: a sequence of no items")

    def element(self, at: int) -> _Element:
        """The one that begins at `at`; struct.error if the file ends within its head."""
        self._left -= 1
        if self._left < 0:
            raise UnreadableImage(f"DICOM file with more than {_MAX_ELEMENTS} elements")
        group, number = struct.unpack_from(self.order + "HH", self.data, at)
        tag = group << 16 | number
        kind = self.data[at + 4 : at + 6]
        if self._implicit or group == 0xFFFE:
            (size,) = struct.unpack_from(self.order + "I", self.data, at + 4)
            return _Element(tag, at + 8, size)
        if kind in _LONG:
            (size,) = struct.unpack_from(self.order + "I", self.data, at + 8)
            return _Element(tag, at + 12, size)
        (size,) = struct.unpack_from(self.order + "H", self.data, at + 6)
        return _Element(tag, at + 8, size)

    def _end_of_items(self, at: int, depth: int) -> int:
        """Where items end whose end is marked."""
        if depth > _MAX_DEPTH:
            raise UnreadableImage("DICOM file with too many sequences in each other")
        while True:
            item = self.element(at)
            if item.tag == _SEQUENCE_END:
                return item.at
            if item.tag != _ITEM:
                raise UnreadableImage("damaged DICOM file: a sequence of no items")
            at = item.at + item.size
            if item.size == _UNDEFINED:
                at = self._end_of_item(item.at, depth)

    def _end_of_item(self, at: int, depth: int) -> int:
        while True:
            element = self.element(at)
            if element.tag == _ITEM_END:
                return element.at
            at = element.at + element.size
            if element.size == _UNDEFINED:
                at = self._end_of_items(element.at, depth + 1)
