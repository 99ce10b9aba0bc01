"""Whether an image was decoded from JPEG, and of which coefficients (encoder only)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.dct.jpeg import Component, Jpeg
from seec.pipeline.decoded import recovery
from seec.pipeline.decoded.headers import recipe_of
from seec.pipeline.decoded.lattice import Coefficients, Steps
from seec.pipeline.decoded.making import SAMPLING
from seec.pipeline.decoded.tables import Judged, find_chroma, find_luma, is_of_ycc

Pixels = NDArray[np.uint8]
_MOST_SIDE = (1 << 16) - 1  # of a JPEG file; what was put together of several may be longer


def shows_jpeg(image: Pixels) -> bool:
    """Whether `find_jpeg` is likely to find one: its luma is quantised. Takes milliseconds."""
    return _luma_of(image) is not None


def find_jpeg(image: Pixels) -> Jpeg | None:
    """A JPEG file that decodes to nearly these pixels, [H, W, 1 or 3] uint8; None if none is found.

    Standard tables are found, at libjpeg's qualities, and blocks that begin at the first pixel. An
    image that was no JPEG file takes some milliseconds, one that was about half a second for each
    megapixel. How many pixels differ is for the caller to see.
    """
    luma = _luma_of(image)
    if luma is None:
        return None
    if _is_gray(image):
        return _jpeg(image, [recovery.gray(image[..., 0], luma.steps)], [luma.steps], Chroma.FULL)
    other = find_chroma(image, luma.steps)
    if other is None:
        return None
    found = recovery.colour(image, other.chroma, luma.steps, other.steps)
    return _jpeg(image, found, [luma.steps, other.steps, other.steps], other.chroma)


def _luma_of(image: Pixels) -> Judged | None:
    if max(image.shape[:2]) > _MOST_SIDE:
        return None
    if _is_gray(image):
        return find_luma(image[..., :1])
    return find_luma(image) if is_of_ycc(image) else None


def _is_gray(image: Pixels) -> bool:
    """Whether all channels are the same. Of other images few rows are looked at."""
    for rows in (image[:: max(1, len(image) // 8)], image):
        if (rows[..., :1] != rows[..., 1:]).any():
            return False
    return True


def _jpeg(
    image: Pixels, found: Sequence[Coefficients], steps: Sequence[Steps], chroma: Chroma
) -> Jpeg:
    height, width = image.shape[:2]
    across, down = next(factors for factors, kind in SAMPLING.items() if kind is chroma)
    columns, rows = -(-width // (8 * across)), -(-height // (8 * down))  # of MCUs
    factors = [(across, down), (1, 1), (1, 1)]
    components = tuple(
        Component(h, v, own, _filled(coefficients, v * rows, h * columns))
        for coefficients, own, (h, v) in zip(found, steps, factors, strict=False)
    )
    return Jpeg.of(width, height, components, recipe_of(width, height, components))


def _filled(blocks: Coefficients, rows: int, columns: int) -> Coefficients:
    """With the blocks that fill the last MCUs: as bright as those beside them, and flat."""
    have_rows, have_columns = blocks.shape[:2]
    made = np.zeros((rows, columns, 64), np.int16)
    made[:have_rows, :have_columns] = blocks
    made[:have_rows, have_columns:, 0] = blocks[:, -1:, 0]
    made[have_rows:, :, 0] = made[have_rows - 1, :, 0]
    return made
