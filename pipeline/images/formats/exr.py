"""OpenEXR without compression, line by line: half and float numbers, and whole ones."""

import struct
from itertools import groupby

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.raw_samples import Type
from seec.pipeline.images.formats.spliced import Place, SplicedFormat
from seec.pipeline.images.raster import Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_SAMPLES
from seec.schemas.planes import Shape

_MAGIC = b"v/1\1"
_LONG_NAMES = 0x400  # the only flag of plain files
_TYPES: dict[int, Type] = {0: raw_samples.U32, 1: raw_samples.F16, 2: raw_samples.F32}
_MAX_NAME_BYTES, _MAX_ATTRIBUTES, _MAX_LINES = 256, 1 << 12, 1 << 20


class Exr(SplicedFormat):
    """One picture of lines; the channels of a line are one behind the other."""

    name = "EXR"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(_MAGIC)

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`: a raster for channels of one type that follow each other."""
        try:
            return _places(data)
        except (struct.error, IndexError):
            raise UnreadableImage("damaged EXR file: cut short") from None


def _places(data: bytes) -> list[Place]:
    types, width, height, at = _header(data)
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


def _header(data: bytes) -> tuple[list[Type], int, int, int]:
    """Types of channels, width, height, where the table of lines begins."""
    (version,) = struct.unpack_from("<I", data, 4)
    attributes, at = _attributes(data)
    if version & ~_LONG_NAMES != 2 or attributes.get(b"compression") != b"\0":
        raise UnreadableImage("EXR file that is compressed, or of tiles or parts")
    left, top, right, bottom = struct.unpack("<4i", attributes.get(b"dataWindow", b""))
    width, height = right - left + 1, bottom - top + 1
    types = _channels(attributes.get(b"channels", b""))
    if width < 1 or not 1 <= height <= _MAX_LINES or not 1 <= len(types) <= MAX_SAMPLES:
        raise UnreadableImage("EXR file with no lines, or with too many")
    return types, width, height, at


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
