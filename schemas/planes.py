"""The payload of codec `seec-planes`: samples of any depth as 8-bit pictures. FORMAT.md tells how.

A raster is an array of samples; a plane is one byte of one or three of its samples, all over the
raster: a `.seec` file of its own, or a single value where it is the same everywhere.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from seec.schemas.container import crc32c
from seec.schemas.errors import LimitExceeded, SectionCorrupt, Truncated, UnsupportedVersion
from seec.schemas.limits import MAX_RASTERS, MAX_SAMPLE_BYTES, MAX_SAMPLES

MAGIC = b"\x8aSEP"
VERSION = 1
DEPTHS = (1, 2, 4, 8, 16, 32)

_HEADER = struct.Struct("<4sBII")
_RASTER = struct.Struct("<IIBB")
_PLANE = struct.Struct("<IBBBBBBI")
_CRC = struct.Struct("<I")
_NONE = 255
_CONSTANT, _DIFFERENCE = 1, 2


@dataclass(frozen=True)
class Shape:
    """A raster without its samples.

    width, height: pixels. samples: of a pixel. depth: bits of a sample, one of DEPTHS.
    """

    width: int
    height: int
    samples: int
    depth: int

    @property
    def sample_bytes(self) -> int:
        """Bytes that hold one sample."""
        return -(-self.depth // 8)

    @property
    def size_bytes(self) -> int:
        """Bytes that hold all samples, each in bytes of its own."""
        return self.width * self.height * self.samples * self.sample_bytes


@dataclass(frozen=True)
class Plane:
    """One byte of one sample (gray) or three (as R, G, B) of a raster.

    raster: its number. samples: their numbers. byte: 0 is the lowest. difference: the byte is
    what is here plus the byte above it, modulo 256. value: where all is the same and there is no
    `.seec` file; else None.
    """

    raster: int
    samples: tuple[int, ...]
    byte: int = 0
    difference: bool = False
    value: int | None = None


@dataclass(frozen=True)
class Payload:
    """A parsed payload. codes: a `.seec` file for each plane, empty for one that has a value."""

    shapes: tuple[Shape, ...]
    planes: tuple[Plane, ...]
    codes: tuple[bytes, ...]


def check_shapes(shapes: Sequence[Shape]) -> None:
    """LimitExceeded or SectionCorrupt unless rasters of these shapes may be."""
    if not 1 <= len(shapes) <= MAX_RASTERS:
        raise LimitExceeded(f"{len(shapes)} pictures, outside the limits of 1 to {MAX_RASTERS}")
    for shape in shapes:
        possible = min(shape.width, shape.height) > 0 and shape.depth in DEPTHS
        if not (possible and 1 <= shape.samples <= MAX_SAMPLES):
            raise SectionCorrupt(f"planes: no raster has the shape {shape}")
    size_bytes = sum(shape.size_bytes for shape in shapes)
    if size_bytes > MAX_SAMPLE_BYTES:
        raise LimitExceeded(f"{size_bytes} bytes of samples, over the limit of {MAX_SAMPLE_BYTES}")


def serialise(payload: Payload) -> bytes:
    """The bytes of a payload that `parse` would take."""
    data = _HEADER.pack(MAGIC, VERSION, len(payload.shapes), len(payload.planes))
    for shape in payload.shapes:
        data += _RASTER.pack(shape.width, shape.height, shape.samples, shape.depth)
    for plane, code in zip(payload.planes, payload.codes, strict=True):
        samples = (*plane.samples, _NONE, _NONE)[:3]
        flags = _CONSTANT * (plane.value is not None) | _DIFFERENCE * plane.difference
        value = plane.value or 0
        data += _PLANE.pack(plane.raster, *samples, plane.byte, flags, value, len(code))
    return data + _CRC.pack(crc32c(data)) + b"".join(payload.codes)


def parse(data: bytes) -> Payload:
    """Read a payload; each byte of each sample is in exactly one plane of it.

    Raises Truncated, UnsupportedVersion, SectionCorrupt or LimitExceeded. What the `.seec` files
    hold is not looked at.
    """
    if len(data) < _HEADER.size:
        raise Truncated("planes: ends within its header")
    magic, version, rasters, count = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise SectionCorrupt("planes: not a payload of codec seec-planes")
    if version != VERSION:
        raise UnsupportedVersion(f"planes: version {version}; this program reads {VERSION}")
    if rasters > MAX_RASTERS or count > MAX_RASTERS * MAX_SAMPLES * 4:
        raise LimitExceeded(f"planes: {rasters} pictures of {count} planes are too many")
    planes_at = _HEADER.size + rasters * _RASTER.size
    end = planes_at + count * _PLANE.size
    if len(data) < end + _CRC.size:
        raise Truncated("planes: ends within its directory")
    if _CRC.unpack_from(data, end) != (crc32c(data[:end]),):
        raise SectionCorrupt("planes: the checksum of the directory is wrong")
    shapes = tuple(Shape(*fields) for fields in _RASTER.iter_unpack(data[_HEADER.size : planes_at]))
    check_shapes(shapes)
    entries = list(_PLANE.iter_unpack(data[planes_at:end]))
    planes = tuple(_plane(*fields[:-1]) for fields in entries)
    _check_cover(shapes, planes)
    sizes = [fields[-1] for fields in entries]
    starts = list(accumulate(sizes, initial=end + _CRC.size))
    if starts[-1] != len(data):
        raise Truncated("planes: the sizes of its planes do not add up")
    codes = tuple(data[start : start + size] for start, size in zip(starts, sizes, strict=False))
    for plane, code in zip(planes, codes, strict=True):
        if bool(code) == (plane.value is not None):
            raise SectionCorrupt("planes: a plane with both a value and a file, or neither")
    return Payload(shapes, planes, codes)


def _plane(
    raster: int, first: int, second: int, third: int, byte: int, flags: int, value: int
) -> Plane:
    gray = (second, third) == (_NONE, _NONE)
    if flags & ~(_CONSTANT | _DIFFERENCE) or (value and not flags & _CONSTANT):
        raise SectionCorrupt("planes: flags or a value that cannot be")
    return Plane(
        raster,
        (first,) if gray else (first, second, third),
        byte,
        bool(flags & _DIFFERENCE),
        value if flags & _CONSTANT else None,
    )


def _check_cover(shapes: Sequence[Shape], planes: Sequence[Plane]) -> None:
    seen: set[tuple[int, int, int]] = set()
    total = sum(shape.samples * shape.sample_bytes for shape in shapes)
    for plane in planes:
        shape = shapes[plane.raster] if plane.raster < len(shapes) else None
        if shape is None or max(plane.samples) >= shape.samples:
            raise SectionCorrupt("planes: a plane of a sample that is not there")
        if plane.byte + plane.difference >= shape.sample_bytes:
            raise SectionCorrupt("planes: a plane of a byte that is not there")
        seen.update((plane.raster, sample, plane.byte) for sample in plane.samples)
    # Nothing missing and nothing twice: as many as there are, all different.
    if not len(seen) == total == sum(len(plane.samples) for plane in planes):
        raise SectionCorrupt("planes: a part of a sample is missing, or there twice")
