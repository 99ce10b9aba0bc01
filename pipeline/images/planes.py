"""Rasters as planes that the codec takes, and back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from seec.pipeline.images.raster import Pixels, Raster, Samples
from seec.schemas.errors import SectionCorrupt
from seec.schemas.planes import Plane, Shape


def split(
    rasters: Sequence[Raster], numbers: Iterable[int] | None = None
) -> Iterator[tuple[Plane, Pixels | None]]:
    """The planes of rasters, each with its pixels, [H, W] or [H, W, 3]; None if all one value.

    numbers: of those that are split, all of them by default. High bytes come first. Where a byte
    equals the one above it everywhere, as in 16 bits that were made from 8, the difference is what
    is kept.
    """
    for number in range(len(rasters)) if numbers is None else numbers:
        raster = rasters[number]
        for byte in reversed(range(raster.shape.sample_bytes)):
            values = _byte(raster.samples, byte)
            above = (
                _byte(raster.samples, byte + 1) if byte + 1 < raster.shape.sample_bytes else None
            )
            difference = above is not None and bool((values == above).all())
            if difference:
                values = np.zeros_like(values)
            for group in _groups(raster.shape.samples):
                yield from _planes(number, group, byte, difference, values)


def join(
    shapes: Sequence[Shape],
    planes: Sequence[tuple[Plane, Pixels | None]],
    known: Mapping[int, Samples] | None = None,
) -> list[Raster]:
    """The rasters that were split. SectionCorrupt if a plane has another size than its raster.

    known: the samples of rasters that have no planes, by their numbers.
    """
    known = known or {}
    rasters = [
        Raster(known[number], shape.depth) if number in known else _blank(shape)
        for number, shape in enumerate(shapes)
    ]
    # A difference refers to the byte above it, so high bytes go first.
    for plane, pixels in sorted(planes, key=lambda item: -item[0].byte):
        samples, shape = rasters[plane.raster].samples, shapes[plane.raster]
        depth = 1 if pixels is None or pixels.ndim == 2 else pixels.shape[2]
        expected = (shape.height, shape.width)
        if pixels is not None and (pixels.shape[:2], depth) != (expected, len(plane.samples)):
            raise SectionCorrupt("planes: a plane has another size than its picture")
        for place, sample in enumerate(plane.samples):
            view = samples[:, :, sample]
            values = _values(pixels, place, plane, expected)
            if plane.difference:
                values = values + _byte(view, plane.byte + 1)
            view |= values.astype(samples.dtype) << samples.dtype.type(8 * plane.byte)
    for raster in rasters:
        if raster.depth < 8 and int(raster.samples.max()) >> raster.depth:
            raise SectionCorrupt("planes: a sample that its depth does not hold")
    return rasters


def _planes(
    number: int, group: tuple[int, ...], byte: int, difference: bool, values: Pixels
) -> Iterator[tuple[Plane, Pixels | None]]:
    chosen = values[:, :, list(group)]
    pixels = np.ascontiguousarray(chosen[:, :, 0] if len(group) == 1 else chosen)
    if (pixels == pixels.flat[0]).all():
        yield Plane(number, group, byte, difference, int(pixels.flat[0])), None
    else:
        yield Plane(number, group, byte, difference), pixels


def _groups(samples: int) -> tuple[tuple[int, ...], ...]:
    """Which samples of a pixel share a plane: the first three, as red, green and blue."""
    if samples < 3:
        return tuple((i,) for i in range(samples))
    return ((0, 1, 2), *((i,) for i in range(3, samples)))


def _values(pixels: Pixels | None, place: int, plane: Plane, expected: tuple[int, int]) -> Pixels:
    if pixels is None:
        return np.full(expected, plane.value, np.uint8)
    return pixels if pixels.ndim == 2 else pixels[:, :, place]


def _byte(samples: Samples, byte: int) -> Pixels:
    return (samples >> samples.dtype.type(8 * byte)).astype(np.uint8)


def _blank(shape: Shape) -> Raster:
    dtype = {1: np.uint8, 2: np.uint16, 4: np.uint32}[shape.sample_bytes]
    samples = np.zeros((shape.height, shape.width, shape.samples), dtype)
    return Raster(samples, shape.depth)
