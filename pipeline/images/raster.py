"""Rasters: samples of any depth, as arrays and as the bytes that files hold."""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.schemas.planes import Shape

Pixels = NDArray[np.uint8]
Samples = NDArray[Any]
_PART_SAMPLES = 1 << 20


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
    uint32 (see `Numbers` for others). depth: bits of a sample.
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


class Numbers(Enum):
    """What the bits of a sample in a file are, by the number that envelopes have for it.

    Samples of a raster are numbers without sign, in the same order as what they stand for: the
    highest bit of others is inverted, and of negative floating point numbers all other bits, too.
    """

    UNSIGNED = 0
    SIGNED = 1
    FLOATING = 2


class Planes(Enum):
    """What of all pixels stands together in a file, by the number that envelopes have for it."""

    NOTHING = 0
    SAMPLES = 1
    BYTES = 2


@dataclass(frozen=True)
class Packing:
    """How a file holds a raster.

    Rows begin at multiples of `align` bytes. little: the lowest byte of a sample comes first, or
    the lowest bits of a byte where that holds several samples. bottom_up: the last row comes first.
    bgr: the first three samples of a pixel are in reverse order. numbers: what samples are. by_row:
    a row holds the first samples of all its pixels, then the second. mosaic: the four samples of a
    pixel are two of a row and those below them. bits: of a sample in the file, one behind the other
    with the highest first; 0 if as many as in the raster. planes: all rows of the first samples
    come first, then those of the second; or the same of the bytes of samples, the highest first.
    """

    little: bool = False
    align: int = 1
    bottom_up: bool = False
    bgr: bool = False
    numbers: Numbers = Numbers.UNSIGNED
    by_row: bool = False
    mosaic: bool = False
    bits: int = 0
    planes: Planes = Planes.NOTHING

    def rows(self, shape: Shape) -> int:
        """Rows of a file."""
        if self.planes is Planes.NOTHING:
            return shape.height * (2 if self.mosaic else 1)
        bytes_ = shape.sample_bytes if self.planes is Planes.BYTES else 1
        return shape.height * shape.samples * bytes_

    def row_samples(self, shape: Shape) -> int:
        """Samples in a row of a file, or bytes of them."""
        if self.planes is not Planes.NOTHING:
            return shape.width
        return shape.width * shape.samples // (2 if self.mosaic else 1)

    def sample_bits(self, shape: Shape) -> int:
        """Bits of a sample in a row of a file."""
        return 8 if self.planes is Planes.BYTES else self.bits or shape.depth

    def row_bytes(self, shape: Shape) -> int:
        """Bytes of one row, what fills it up included."""
        used = -(-self.row_samples(shape) * self.sample_bits(shape) // 8)
        return -(-used // self.align) * self.align

    def size_bytes(self, shape: Shape) -> int:
        """Bytes of all rows."""
        return self.row_bytes(shape) * self.rows(shape)

    def fits(self, shape: Shape) -> bool:
        """Whether a raster of this shape may be packed so."""
        return (
            (not self.bgr or shape.samples >= 3)
            and (not self.mosaic or shape.samples == 4)
            and not (self.mosaic and (self.by_row or self.bgr))
            and (self.planes is Planes.NOTHING or self._fits_planes(shape))
            and (self.numbers is Numbers.UNSIGNED or shape.depth >= 8)
            and (self.bits == 0 or (8 < self.bits < shape.depth and not self.little))
        )

    def _fits_planes(self, shape: Shape) -> bool:
        plain = not (self.mosaic or self.by_row or self.bgr or self.bits or self.bottom_up)
        return plain and shape.depth >= 8


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
    rows = np.frombuffer(data, np.uint8).reshape(packing.rows(shape), packing.row_bytes(shape))
    count = packing.row_samples(shape)
    if packing.bits:
        flat = np.concatenate(
            [_from_bits(part, count, packing.bits, shape) for part in _parts(rows)]
        )
    elif shape.depth < 8:
        each = 8 // shape.depth
        places = np.arange(each, dtype=np.uint8)
        shifts = (places if packing.little else places[::-1]) * np.uint8(shape.depth)
        values = rows[:, :, None] >> shifts & np.uint8((1 << shape.depth) - 1)
        flat = values.reshape(len(rows), -1)[:, :count]
    elif packing.planes is Planes.BYTES:
        high_first = rows[:, :count].reshape(shape.samples, shape.sample_bytes, -1)
        flat = np.ascontiguousarray(high_first.transpose(0, 2, 1)).view(_dtype(shape, little=False))
        flat = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    else:
        used = rows[:, : count * shape.sample_bytes]
        flat = np.ascontiguousarray(used).view(_dtype(shape, packing.little))
        flat = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    samples = _ordered(flat, packing.numbers)
    if packing.mosaic:
        blocks = samples.reshape(shape.height, 2, shape.width, 2)
        samples = blocks.transpose(0, 2, 1, 3).reshape(shape.height, shape.width, 4)
    elif packing.by_row:
        samples = samples.reshape(shape.height, shape.samples, shape.width).transpose(0, 2, 1)
    elif packing.planes is not Planes.NOTHING:
        samples = samples.reshape(shape.samples, shape.height, shape.width).transpose(1, 2, 0)
    else:
        samples = samples.reshape(shape.height, shape.width, shape.samples)
    return np.ascontiguousarray(_reordered(samples, packing))


def pack(samples: Samples, shape: Shape, packing: Packing) -> bytes:
    """The rows of a file; what fills them up is zero."""
    rows = np.zeros((packing.rows(shape), packing.row_bytes(shape)), np.uint8)
    flat = _reordered(samples, packing)
    if packing.mosaic:
        blocks = flat.reshape(shape.height, shape.width, 2, 2)
        flat = blocks.transpose(0, 2, 1, 3)
    elif packing.by_row:
        flat = flat.transpose(0, 2, 1)
    elif packing.planes is not Planes.NOTHING:
        flat = flat.transpose(2, 0, 1)
    flat = _as_stored(flat, packing.numbers)
    if packing.planes is Planes.BYTES:
        high_first = np.ascontiguousarray(flat.astype(_dtype(shape, little=False))).view(np.uint8)
        planes = high_first.reshape(shape.samples, -1, shape.sample_bytes).transpose(0, 2, 1)
        rows[:, : shape.width] = planes.reshape(len(rows), shape.width)
        return rows.tobytes()
    flat = flat.reshape(len(rows), packing.row_samples(shape))
    if packing.bits:
        for part, filled in zip(_parts(flat), _parts(rows), strict=True):
            bits = part[:, :, None] >> np.arange(packing.bits - 1, -1, -1, dtype=part.dtype) & 1
            packed = np.packbits(bits.reshape(len(part), -1).astype(np.uint8), axis=1)
            filled[:, : packed.shape[1]] = packed
    elif shape.depth < 8:
        each = 8 // shape.depth
        padded = np.zeros((len(rows), rows.shape[1] * each), np.uint8)
        padded[:, : flat.shape[1]] = flat
        for place in range(each):
            shift = place if packing.little else each - 1 - place
            rows |= padded[:, place::each] << np.uint8(shape.depth * shift)
    else:
        stored = np.ascontiguousarray(flat.astype(_dtype(shape, packing.little), copy=False))
        used = stored.view(np.uint8)
        rows[:, : used.shape[1]] = used
    return rows.tobytes()


def _from_bits(rows: NDArray[np.uint8], count: int, bits: int, shape: Shape) -> Samples:
    each = np.unpackbits(rows, axis=1)[:, : count * bits].reshape(len(rows), count, bits)
    values = np.zeros((len(rows), count), _dtype(shape, little=True).newbyteorder("="))
    for place in range(bits):
        values = values << values.dtype.type(1) | each[:, :, place]
    return values


def _parts(rows: Samples) -> Iterator[Samples]:
    """A few rows at a time, of which each bit is to take a byte."""
    step = max(1, _PART_SAMPLES // max(1, rows.shape[1]))
    for top in range(0, len(rows), step):
        yield rows[top : top + step]


def _ordered(samples: Samples, numbers: Numbers) -> Samples:
    """Bits of numbers as numbers without sign in the same order."""
    if numbers is Numbers.UNSIGNED:
        return samples
    type_ = samples.dtype.type
    top = type_(1 << (8 * samples.itemsize - 1))
    if numbers is Numbers.SIGNED:
        return samples ^ top
    return np.where(samples & top, ~samples, samples | top)


def _as_stored(samples: Samples, numbers: Numbers) -> Samples:
    """The inverse of `_ordered`."""
    if numbers is not Numbers.FLOATING:
        return _ordered(samples, numbers)
    top = samples.dtype.type(1 << (8 * samples.itemsize - 1))
    return np.where(samples & top, samples ^ top, ~samples)


def _reordered(samples: Samples, packing: Packing) -> Samples:
    """Rows and samples in the order of the file, or from it: the same either way."""
    samples = samples[::-1] if packing.bottom_up else samples
    if not packing.bgr:
        return samples
    order = [2, 1, 0, *range(3, samples.shape[2])]
    return samples[:, :, order]


def _dtype(shape: Shape, little: bool) -> np.dtype[Any]:
    return np.dtype(f"{'<' if little else '>'}u{shape.sample_bytes}")
