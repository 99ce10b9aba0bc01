"""An image as it is coded: its samples on their sheet (encoder only)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import Tile
from seec.pipeline.codec.colours.colour_set import ColourSet
from seec.pipeline.codec.colours.detect import find_colour_set
from seec.pipeline.codec.colours.sheet import Sheet

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawing:
    """colours: None if pixels are coded themselves. samples: [H, W, channels] of the sheet."""

    colours: ColourSet | None
    sheet: Sheet
    samples: Pixels

    def tiles(self, tiles: list[Tile]) -> list[Tile]:
        """The tiles of the sheet for tiles of the image."""
        return [part for tile in tiles for part in self.sheet.tiles(tile)]

    def labels(self, labels: Pixels) -> Pixels:
        """A label map [H, W] uint8 of the image, laid out like its samples."""
        return self.sheet.draw_labels(labels)


def draw(image: Pixels, tile_size: int, block_shift: int, *, find_colours: bool) -> Drawing:
    """Lay out an image [H, W, channels], if it has a colour set then by that."""
    height, width, channels = image.shape
    found = find_colour_set(image) if find_colours else None
    chroma = None if found is None else found.colours.chroma
    sheet = Sheet(height, width, channels, tile_size, block_shift, chroma)
    if found is None:
        return Drawing(None, sheet, image)
    return Drawing(found.colours, sheet, sheet.draw(found.samples))
