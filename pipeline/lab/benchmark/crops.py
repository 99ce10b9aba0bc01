"""Random access: what a crop of a large image costs next to the whole."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec import Model, Region, decode, decode_region, default_model, encode
from seec.pipeline.codec.model.weights import TILE
from seec.schemas.container import reader

Pixels = NDArray[np.uint8]
CROP = 256
_PLACES = {
    "inside a tile": (TILE - CROP) // 2,
    "where four tiles meet": TILE - CROP // 2,
}
_REPEATS = 3


@dataclass(frozen=True)
class Crop:
    """A crop of 256 x 256: what it reads of the file, and seconds to decode, on one thread."""

    place: str
    read_bytes: int
    seconds: float


@dataclass(frozen=True)
class CropFigures:
    """One image of `megapixels`, and crops of it at the best and at the worst place.

    size_bytes, seconds: the file, and what decoding all of it takes on one thread.
    """

    megapixels: float
    size_bytes: int
    seconds: float
    crops: tuple[Crop, ...]


def measure(image: Pixels, model: Model | None = None) -> CropFigures:
    """Encode an image [H, W, 3], then decode all of it and crops. Raises FormatError.

    The image is at least two tiles wide and high. A crop counts with the median of three times.
    ValueError if one is not that of the image.
    """
    model = model or default_model()
    blob = encode(image, model=model)
    started = time.perf_counter()
    decode(blob, models={model.id: model})
    seconds = time.perf_counter() - started
    crops = tuple(_crop(place, at, blob, image, model) for place, at in _PLACES.items())
    height, width = image.shape[:2]
    return CropFigures(height * width / 1e6, len(blob), seconds, crops)


def _crop(place: str, at: int, blob: bytes, image: Pixels, model: Model) -> Crop:
    seconds: list[float] = []
    sizes: list[int] = []

    def read(offset: int, size: int) -> bytes:
        sizes.append(size)
        return reader(blob)(offset, size)

    for _ in range(_REPEATS):
        sizes.clear()
        started = time.perf_counter()
        crop = decode_region(read, Region(at, at, CROP, CROP), models={model.id: model})
        seconds.append(time.perf_counter() - started)
        if not np.array_equal(crop, image[at : at + CROP, at : at + CROP]):
            raise ValueError(f"a crop {place} decoded to other pixels")
    return Crop(place, sum(sizes), float(np.median(seconds)))


def mosaic(images: Sequence[Pixels], height: int, width: int) -> Pixels:
    """One large image [height, width, 3]: squares out of the middle of images, side by side."""
    edge = min(min(image.shape[:2]) for image in images)
    squares = [_middle(image, edge) for image in images]
    rows, columns = -(-height // edge), -(-width // edge)
    picked = [squares[n % len(squares)] for n in range(rows * columns)]
    whole = np.stack(picked).reshape(rows, columns, edge, edge, 3).transpose(0, 2, 1, 3, 4)
    return whole.reshape(rows * edge, columns * edge, 3)[:height, :width]


def _middle(image: Pixels, edge: int) -> Pixels:
    top, left = (image.shape[0] - edge) // 2, (image.shape[1] - edge) // 2
    return image[top : top + edge, left : left + edge]
