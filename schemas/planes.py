"""The payload of codec `seec-planes`: rasters with samples of any depth. FORMAT.md tells how.

A raster is an array of samples. Rasters of one shape that follow each other may be a run, which has
a code of `schemas.deep`. The others are cut in planes: a plane is one byte of one or three of the
samples of a raster: a `.seec` file of its own, or a single value where it is the same everywhere.
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

_HEADER = struct.Struct("<4sBIII")
_RASTER = struct.Struct("<IIBB")
_PLANE = struct.Struct("<IBBBBBBI")
_RUN = struct.Struct("<III")
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
class Run:
    """Rasters of one shape that are coded together: `count` of them, from number `first` on."""

    first: int
    count: int
    code: bytes

    @property
    def rasters(self) -> range:
        """Their numbers."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Payload:
    """A parsed payload. codes: a `.seec` file for each plane, empty for one that has a value."""

    shapes: tuple[Shape, ...]
    planes: tuple[Plane, ...]
    codes: tuple[bytes, ...]
    runs: tuple[Run, ...] = ()


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
    counts = len(payload.shapes), len(payload.planes), len(payload.runs)
    data = _HEADER.pack(MAGIC, VERSION, *counts)
    for shape in payload.shapes:
        data += _RASTER.pack(shape.width, shape.height, shape.samples, shape.depth)
    for plane, code in zip(payload.planes, payload.codes, strict=True):
        samples = (*plane.samples, _NONE, _NONE)[:3]
        flags = _CONSTANT * (plane.value is not None) | _DIFFERENCE * plane.difference
        value = plane.value or 0
        data += _PLANE.pack(plane.raster, *samples, plane.byte, flags, value, len(code))
    for run in payload.runs:
        data += _RUN.pack(run.first, run.count, len(run.code))
    codes = (*payload.codes, *(run.code for run in payload.runs))
    return data + _CRC.pack(crc32c(data)) + b"".join(codes)


def parse(data: bytes) -> Payload:
    """Read a payload; each raster is in one run, or each byte of its samples in one plane.

    Raises Truncated, UnsupportedVersion, SectionCorrupt or LimitExceeded. What the codes hold is
    not looked at.
    """
    if len(data) < _HEADER.size:
        raise Truncated("planes: ends within its header")
    magic, version, rasters, count, run_count = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise SectionCorrupt("planes: not a payload of codec seec-planes")
    if version != VERSION:
        raise UnsupportedVersion(f"planes: version {version}; this program reads {VERSION}")
    if max(rasters, run_count) > MAX_RASTERS or count > MAX_RASTERS * MAX_SAMPLES * 4:
        raise LimitExceeded(f"planes: {rasters} pictures of {count} planes are too many")
    planes_at = _HEADER.size + rasters * _RASTER.size
    runs_at = planes_at + count * _PLANE.size
    end = runs_at + run_count * _RUN.size
    if len(data) < end + _CRC.size:
        raise Truncated("planes: ends within its directory")
    if _CRC.unpack_from(data, end) != (crc32c(data[:end]),):
        raise SectionCorrupt("planes: the checksum of the directory is wrong")
    shapes = tuple(Shape(*fields) for fields in _RASTER.iter_unpack(data[_HEADER.size : planes_at]))
    check_shapes(shapes)
    entries = list(_PLANE.iter_unpack(data[planes_at:runs_at]))
    run_entries = list(_RUN.iter_unpack(data[runs_at:end]))
    planes = tuple(_plane(*fields[:-1]) for fields in entries)
    sizes = [fields[-1] for fields in (*entries, *run_entries)]
    starts = list(accumulate(sizes, initial=end + _CRC.size))
    if starts[-1] != len(data):
        raise Truncated("planes: the sizes of its planes do not add up")
    codes = tuple(data[start : start + size] for start, size in zip(starts, sizes, strict=False))
    runs = tuple(
        Run(first, length, code)
        for (first, length, _), code in zip(run_entries, codes[count:], strict=True)
    )
    _check_runs(shapes, runs)
    _check_cover(shapes, planes, {number for run in runs for number in run.rasters})
    if any(bool(code) == (p.value is not None) for p, code in zip(planes, codes, strict=False)):
        raise SectionCorrupt("planes: a plane with both a value and a file, or neither")
    return Payload(shapes, planes, codes[:count], runs)


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


def _check_runs(shapes: Sequence[Shape], runs: Sequence[Run]) -> None:
    behind = 0
    for run in runs:
        if not (behind <= run.first and run.count >= 1 and run.rasters.stop <= len(shapes)):
            raise SectionCorrupt("planes: a run of rasters that are not there, or there twice")
        shape = shapes[run.first]
        if any(shapes[number] != shape for number in run.rasters):
            raise SectionCorrupt("planes: a run of rasters of several shapes")
        behind = run.rasters.stop


def _check_cover(shapes: Sequence[Shape], planes: Sequence[Plane], in_runs: set[int]) -> None:
    seen: set[tuple[int, int, int]] = set()
    cut = {number: shape for number, shape in enumerate(shapes) if number not in in_runs}
    total = sum(shape.samples * shape.sample_bytes for shape in cut.values())
    for plane in planes:
        shape = cut.get(plane.raster)
        if shape is None or max(plane.samples) >= shape.samples:
            raise SectionCorrupt("planes: a plane of a sample that is not there")
        if plane.byte + plane.difference >= shape.sample_bytes:
            raise SectionCorrupt("planes: a plane of a byte that is not there")
        seen.update((plane.raster, sample, plane.byte) for sample in plane.samples)
    # Nothing missing and nothing twice: as many as there are, all different.
    if not len(seen) == total == sum(len(plane.samples) for plane in planes):
        raise SectionCorrupt("planes: a part of a sample is missing, or there twice")
