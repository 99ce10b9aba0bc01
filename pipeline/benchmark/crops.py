"""Random access: what a crop of a large image costs next to the whole."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.codec import Model, Region, decode, decode_region, default_model, encode
from pipeline.codec.encoder import TILE_SIZE
from schemas.container import reader

Pixels = NDArray[np.uint8]
CROP = 256


@dataclass(frozen=True)
class CropFigures:
    """One image of `megapixels`, and a crop of 256 x 256 where four tiles meet: the worst place.

    size_bytes, whole_s: the file, and the seconds to decode all of it on one thread.
    read_bytes, crop_s: what the crop reads of the file, and the seconds it takes.
    """

    megapixels: float
    size_bytes: int
    whole_s: float
    read_bytes: int
    crop_s: float


def measure(image: Pixels, model: Model | None = None) -> CropFigures:
    """Encode an image [H, W, 3], then decode all of it and the crop. Raises FormatError.

    The image is at least two tiles wide and high. ValueError if the crop is not that of the
    image.
    """
    model = model or default_model()
    blob, models = encode(image, model=model), {model.id: model}
    read_bytes = 0

    def read(offset: int, size: int) -> bytes:
        nonlocal read_bytes
        read_bytes += size
        return reader(blob)(offset, size)

    corner = TILE_SIZE - CROP // 2
    started = time.perf_counter()
    crop = decode_region(read, Region(corner, corner, CROP, CROP), models=models)
    crop_s = time.perf_counter() - started
    started = time.perf_counter()
    whole = decode(blob, models=models)
    whole_s = time.perf_counter() - started
    if not np.array_equal(crop, whole[corner : corner + CROP, corner : corner + CROP]):
        raise ValueError("a crop decoded to other pixels than the whole")
    height, width = image.shape[:2]
    return CropFigures(height * width / 1e6, len(blob), whole_s, read_bytes, crop_s)


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
