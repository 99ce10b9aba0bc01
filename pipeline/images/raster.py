"""Rasters: samples of any depth, as arrays and as the bytes that files hold."""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.schemas.planes import Shape

Samples = NDArray[Any]


@dataclass(frozen=True)
class Raster:
    """One picture of a file.

    samples: [height, width, samples of a pixel], uint8 up to 8 bits of depth, else uint16 or
    uint32 (floating point by its bits). groups: which samples are coded together, one or three.
    """

    samples: Samples
    depth: int
    groups: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> Shape:
        """Size, samples and depth."""
        height, width, samples = self.samples.shape
        return Shape(width, height, samples, self.depth)


@dataclass(frozen=True)
class Packing:
    """How a file holds a raster: rows from `align` bytes on, bits of a byte from the highest."""

    little: bool = False
    align: int = 1

    def row_bytes(self, shape: Shape) -> int:
        """Bytes of one row, what fills it up included."""
        used = -(-shape.width * shape.samples * shape.depth // 8)
        return -(-used // self.align) * self.align

    def size_bytes(self, shape: Shape) -> int:
        """Bytes of all rows."""
        return self.row_bytes(shape) * shape.height


def default_groups(samples: int) -> tuple[tuple[int, ...], ...]:
    """Three samples are taken for red, green and blue, any others for what has no colour."""
    if samples < 3:
        return tuple((i,) for i in range(samples))
    return ((0, 1, 2), *((i,) for i in range(3, samples)))


def raster_digest(rasters: Iterable[Raster]) -> bytes:
    """SHA-256 of shapes and samples of all rasters: of what `seec-planes` promises to give back.

    For each raster width, height, samples of a pixel and depth as little-endian uint32, then its
    samples, pixel by pixel, each in as few whole bytes as hold it, the lowest first.
    """
    digest = hashlib.sha256()
    for raster in rasters:
        shape = raster.shape
        digest.update(struct.pack("<4I", shape.width, shape.height, shape.samples, shape.depth))
        little = raster.samples.astype(raster.samples.dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little).data)
    return digest.digest()


def unpack(data: bytes, shape: Shape, packing: Packing) -> Samples:
    """Samples out of a file's rows. ValueError if there are more or fewer bytes than that."""
    rows = np.frombuffer(data, np.uint8).reshape(shape.height, packing.row_bytes(shape))
    if shape.depth < 8:
        each = 8 // shape.depth
        shifts = np.arange(each - 1, -1, -1, dtype=np.uint8) * np.uint8(shape.depth)
        values = rows[:, :, None] >> shifts & np.uint8((1 << shape.depth) - 1)
        flat = values.reshape(shape.height, -1)[:, : shape.width * shape.samples]
    else:
        used = rows[:, : shape.width * shape.samples * shape.sample_bytes]
        flat = np.ascontiguousarray(used).view(_dtype(shape, packing.little))
        flat = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(flat).reshape(shape.height, shape.width, shape.samples)


def pack(samples: Samples, shape: Shape, packing: Packing) -> bytes:
    """The rows of a file; what fills them up is zero."""
    rows = np.zeros((shape.height, packing.row_bytes(shape)), np.uint8)
    flat = samples.reshape(shape.height, shape.width * shape.samples)
    if shape.depth < 8:
        each = 8 // shape.depth
        padded = np.zeros((shape.height, rows.shape[1] * each), np.uint8)
        padded[:, : flat.shape[1]] = flat
        for place in range(each):
            rows |= padded[:, place::each] << np.uint8(shape.depth * (each - 1 - place))
    else:
        stored = np.ascontiguousarray(flat.astype(_dtype(shape, packing.little), copy=False))
        used = stored.view(np.uint8)
        rows[:, : used.shape[1]] = used
    return rows.tobytes()


def _dtype(shape: Shape, little: bool) -> np.dtype[Any]:
    return np.dtype(f"{'<' if little else '>'}u{shape.sample_bytes}")
