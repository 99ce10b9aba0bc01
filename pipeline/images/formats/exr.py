"""OpenEXR of lines: half and float numbers, and whole ones, as they are or deflated."""

import struct
from itertools import groupby

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.codings import Coding
from seec.pipeline.images.formats.format import ReadAt
from seec.pipeline.images.formats.piece_methods import EXR_ZIP
from seec.pipeline.images.formats.raw_samples import Type
from seec.pipeline.images.formats.spliced import Place, SplicedFormat
from seec.pipeline.images.raster import Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_SAMPLES
from seec.schemas.planes import Shape

_MAGIC = b"v/1\1"
_LONG_NAMES = 0x400  # the only flag of plain files
_LINES = {b"\0": 0, b"\2": 1, b"\3": 16}  # by compression
_TYPES: dict[int, Type] = {0: raw_samples.U32, 1: raw_samples.F16, 2: raw_samples.F32}
_MAX_NAME_BYTES, _MAX_ATTRIBUTES, _MAX_LINES = 256, 1 << 12, 1 << 20


class Exr(SplicedFormat):
    """One picture of lines; the channels of a line are one behind the other.

    Deflated files come back byte for byte, or are refused.
    """

    name = "EXR"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(_MAGIC)

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`: a raster for channels of one type that follow each other."""
        try:
            return _places(data)
        except (struct.error, IndexError, OverflowError):
            raise UnreadableImage("damaged EXR file: cut short") from None

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`."""
        del read_at
        _, width, height, _, _ = _header(head)
        return width, height


def _places(data: bytes) -> list[Place]:
    types, width, height, lines, at = _header(data)
    if lines == 0:
        return _plain_places(data, types, width, height, at)
    if len(set(types)) > 1:
        raise UnreadableImage("EXR file that is compressed, with channels of several types")
    shape = Shape(width, height, len(types), types[0].depth)
    packing = Packing(little=True, numbers=types[0].numbers, by_row=len(types) > 1)
    chunks = struct.unpack_from(f"<{-(-height // lines)}Q", data, at)
    pieces = [(start + 8, struct.unpack_from("<I", data, start + 4)[0]) for start in chunks]
    return [Place(shape, packing, tuple(pieces), coding=Coding(EXR_ZIP, 1, lines, 1, 1))]


def _plain_places(data: bytes, types: list[Type], width: int, height: int, at: int) -> list[Place]:
    """at: where the table of lines begins."""
    starts = [start + 8 for start in struct.unpack_from(f"<{height}Q", data, at)]
    places: list[Place] = []
    before = 0
    for type_, run in groupby(types):
        count = len(list(run))
        shape = Shape(width, height, count, type_.depth)
        packing = Packing(little=True, numbers=type_.numbers, by_row=count > 1)
        size = packing.row_bytes(shape)
        pieces = tuple((start + before, size) for start in starts)
        places.append(Place(shape, packing, pieces))
        before += size
    return places


def _header(data: bytes) -> tuple[list[Type], int, int, int, int]:
    """Types of channels, width, height, lines that are compressed together, where those are listed.

    Lines are 0 where nothing is compressed.
    """
    (version,) = struct.unpack_from("<I", data, 4)
    attributes, at = _attributes(data)
    lines = _LINES.get(attributes.get(b"compression", b""))
    if version & ~_LONG_NAMES != 2 or lines is None:
        raise UnreadableImage(
            "EXR file of tiles or parts, or compressed by another method than zip"
        )
    left, top, right, bottom = struct.unpack("<4i", attributes.get(b"dataWindow", b""))
    width, height = right - left + 1, bottom - top + 1
    types = _channels(attributes.get(b"channels", b""))
    if width < 1 or not 1 <= height <= _MAX_LINES or not 1 <= len(types) <= MAX_SAMPLES:
        raise UnreadableImage("EXR file with no lines, or with too many")
    return types, width, height, lines, at


def _attributes(data: bytes) -> tuple[dict[bytes, bytes], int]:
    """Values by name, and where they end."""
    found: dict[bytes, bytes] = {}
    at = 8
    while data[at]:
        name, at = _name(data, at)
        _, at = _name(data, at)
        (size,) = struct.unpack_from("<I", data, at)
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
        if len(found) > _MAX_ATTRIBUTES:
            raise UnreadableImage(f"EXR file with more than {_MAX_ATTRIBUTES} attributes")
    return found, at + 1


def _channels(value: bytes) -> list[Type]:
    types: list[Type] = []
    at = 0
    while value[at]:
        _, at = _name(value, at)
        kind, _, *steps = struct.unpack_from("<iIii", value, at)
        if kind not in _TYPES or steps != [1, 1]:
            raise UnreadableImage("EXR file with channels of other sizes than the picture")
        types.append(_TYPES[kind])
        at += 16
    return types


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\0", at, at + _MAX_NAME_BYTES)
    if end < 0:
        raise UnreadableImage("damaged EXR file: a name without an end")
    return data[at:end], end + 1
