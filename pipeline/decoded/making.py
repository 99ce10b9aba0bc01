"""Pixels of the coefficients of a JPEG file, to the bit as libjpeg makes them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.presets import JFIF
from seec.pipeline.dct.jpeg import Component, Jpeg
from seec.pipeline.decoded.blocks import samples_of
from seec.schemas.errors import SectionCorrupt

Pixels = NDArray[np.uint8]
# By the sampling factors of luma, horizontal and vertical, where those of chroma are 1.
SAMPLING = {(1, 1): Chroma.FULL, (2, 1): Chroma.TRIANGLE_COLUMNS, (2, 2): Chroma.TRIANGLE_BOTH}


def pixels_of(jpeg: Jpeg) -> Pixels:
    """Pixels [height, width, 1 or 3] uint8; SectionCorrupt if no such image is coded this way."""
    planes = [samples_of(c.coefficients, c.quantisation) for c in jpeg.components]
    height, width = jpeg.height, jpeg.width
    luma = planes[0][:height, :width]
    if len(planes) == 1:
        return luma[..., None]
    blue, red = enlarged(planes[1:], chroma_of(jpeg.components), height, width)
    return JFIF.pixels(luma, blue, red)


def chroma_of(components: Sequence[Component]) -> Chroma:
    """How chroma becomes as large as luma; SectionCorrupt if in none of these ways."""
    factors = [(c.horizontal, c.vertical) for c in components]
    if len(factors) != 3 or factors[1:] != [(1, 1)] * 2 or factors[0] not in SAMPLING:
        raise SectionCorrupt("pixels of a JPEG file: sampling that is not made pixels of")
    return SAMPLING[factors[0]]


def enlarged(planes: Sequence[Pixels], chroma: Chroma, height: int, width: int) -> list[Pixels]:
    """Chroma planes [height, width] of those with whole blocks.

    What a block holds beyond the image's samples is not looked at: the last of these repeat.
    """
    rows, columns = -(-height >> chroma.row_shift), -(-width >> chroma.column_shift)
    return [chroma.enlarge(p[:rows, :columns])[:height, :width] for p in planes]
