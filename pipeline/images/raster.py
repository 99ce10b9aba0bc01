"""Rasters: samples of any depth, as arrays and as the bytes that files hold."""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.schemas.planes import Shape

Pixels = NDArray[np.uint8]
Samples = NDArray[Any]


class Meaning(Enum):
    """What the samples of a raster stand for.

    COLOUR: brightness, or red, green and blue, at the place where the pixel is shown, from black
    at 0 to white at the largest value. INDICES: entries of a palette. OTHER: anything else, also
    colours with transparency, and tiles below each other.
    """

    COLOUR = "colour"
    INDICES = "indices"
    OTHER = "other"


@dataclass(frozen=True)
class Raster:
    """One picture of a file.

    samples: [height, width, samples of a pixel], uint8 up to 8 bits of depth, else uint16 or
    uint32 (floating point by its bits). depth: bits of a sample.
    """

    samples: Samples
    depth: int
    meaning: Meaning = Meaning.OTHER

    @property
    def shape(self) -> Shape:
        """Size, samples and depth."""
        height, width, samples = self.samples.shape
        return Shape(width, height, samples, self.depth)

    @property
    def pixels(self) -> Pixels | None:
        """[height, width] or [height, width, 3] uint8 of 8-bit gray or RGB; else None."""
        count = self.samples.shape[2]
        if self.meaning is not Meaning.COLOUR or self.depth != 8 or count not in (1, 3):
            return None
        return np.ascontiguousarray(self.samples[:, :, 0] if count == 1 else self.samples)


def pixel_raster(pixels: Pixels) -> Raster:
    """The raster of 8-bit gray or RGB pixels: the inverse of `Raster.pixels`."""
    samples = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return Raster(samples, 8, Meaning.COLOUR)


@dataclass(frozen=True)
class Packing:
    """How a file holds a raster.

    Rows begin at multiples of `align` bytes; bits of a byte count from the highest. little: the
    lowest byte of a sample comes first. bottom_up: the last row comes first. bgr: the first three
    samples of a pixel are in reverse order.
    """

    little: bool = False
    align: int = 1
    bottom_up: bool = False
    bgr: bool = False

    def row_bytes(self, shape: Shape) -> int:
        """Bytes of one row, what fills it up included."""
        used = -(-shape.width * shape.samples * shape.depth // 8)
        return -(-used // self.align) * self.align

    def size_bytes(self, shape: Shape) -> int:
        """Bytes of all rows."""
        return self.row_bytes(shape) * shape.height


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
    samples = flat.reshape(shape.height, shape.width, shape.samples)
    return np.ascontiguousarray(_reordered(samples, packing))


def pack(samples: Samples, shape: Shape, packing: Packing) -> bytes:
    """The rows of a file; what fills them up is zero."""
    rows = np.zeros((shape.height, packing.row_bytes(shape)), np.uint8)
    flat = _reordered(samples, packing).reshape(shape.height, shape.width * shape.samples)
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


def _reordered(samples: Samples, packing: Packing) -> Samples:
    """Rows and samples in the order of the file, or from it: the same either way."""
    samples = samples[::-1] if packing.bottom_up else samples
    if not packing.bgr:
        return samples
    order = [2, 1, 0, *range(3, samples.shape[2])]
    return samples[:, :, order]


def _dtype(shape: Shape, little: bool) -> np.dtype[Any]:
    return np.dtype(f"{'<' if little else '>'}u{shape.sample_bytes}")
