"""The sheet: what is coded in place of an image, and where on it the parts of a tile lie.

Without planes the sheet is the image. With planes it is gray, three planes one below the other
in slots of the same size, and each tile of the image becomes three tiles, one in each slot, at
the place that the tile has in the image. A tile of a chroma plane at half resolution fills the
top left of its place only, and where interpolation reaches beyond the tile it holds those
samples too: a tile needs nothing of another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import Tile, tile_groups
from seec.pipeline.codec.colours.chroma import Chroma

Pixels = NDArray[np.uint8]
Figures = NDArray[np.float32]
PLANES = 3


@dataclass(frozen=True)
class Sheet:
    """Geometry of what is coded.

    height, width, channels: of the image. chroma: None if the sheet is the image.
    """

    height: int
    width: int
    channels: int
    tile_size: int
    block_shift: int
    chroma: Chroma | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the sheet."""
        if self.chroma is None:
            return self.height, self.width, self.channels
        columns = (self.width - 1) // self.tile_size * self.tile_size
        last = _samples(columns, self.width - columns, self.width, self.chroma, 1)[1]
        return PLANES * self._slot, max(self.width, columns + last), 1

    @property
    def _slot(self) -> int:
        """Rows for each plane: whole label blocks."""
        assert self.chroma is not None
        rows = (self.height - 1) // self.tile_size * self.tile_size
        last = _samples(rows, self.height - rows, self.height, self.chroma, 0)[1]
        rows = max(self.height, rows + last)
        return -(-rows >> self.block_shift) << self.block_shift

    @property
    def parts(self) -> int:
        """How many tiles of the sheet a tile of the image becomes."""
        return 1 if self.chroma is None else PLANES

    def tiles(self, tile: Tile) -> list[Tile]:
        """The tiles of the sheet that hold this tile of the image: itself, or Y, Cb, Cr."""
        if self.chroma is None:
            return [tile]
        samples = self.samples(tile)
        return [tile] + [
            Tile(tile.y + plane * self._slot, tile.x, samples.height, samples.width)
            for plane in (1, 2)
        ]

    def samples(self, tile: Tile) -> Tile:
        """The samples of a chroma plane, at its own resolution, that a tile needs."""
        assert self.chroma is not None
        y, height = _samples(tile.y, tile.height, self.height, self.chroma, 0)
        x, width = _samples(tile.x, tile.width, self.width, self.chroma, 1)
        return Tile(y, x, height, width)

    def draw(self, planes: Sequence[Pixels]) -> Pixels:
        """Lay out planes [h, w, ...] uint8 on a sheet."""
        if self.chroma is None:
            return planes[0]
        drawn = np.zeros((*self.shape[:2], *planes[0].shape[2:]), np.uint8)
        (tiles,) = tile_groups(self.height, self.width, self.tile_size, self.height * self.width)
        for tile in tiles:
            places = self.tiles(tile)
            coarse = self.samples(tile)
            for plane, source, place in zip(planes, (tile, coarse, coarse), places, strict=True):
                drawn[place.rows, place.columns] = plane[source.rows, source.columns]
        return drawn

    def draw_labels(self, labels: Pixels) -> Pixels:
        """A label map [H, W] uint8 of the image, laid out for all its planes."""
        if self.chroma is None:
            return labels
        coarse = labels[:: 1 << self.chroma.row_shift, :: 1 << self.chroma.column_shift]
        return self.draw([labels, coarse, coarse])

    def gather(self, parts: Sequence[Figures], tiles: Sequence[Tile]) -> list[Figures]:
        """Figures of the samples of tiles, [h, w] for each part, shared out to their pixels."""
        if self.chroma is None:
            return list(parts)
        rows, columns = 1 << self.chroma.row_shift, 1 << self.chroma.column_shift
        shared: list[Figures] = []
        for number, tile in enumerate(tiles):
            coarse = self.samples(tile)
            top, left = tile.y - coarse.y * rows, tile.x - coarse.x * columns
            luma, blue, red = parts[PLANES * number : PLANES * number + PLANES]
            fine = ((blue + red) / (rows * columns)).repeat(rows, 0).repeat(columns, 1)
            own = fine[top : top + tile.height, left : left + tile.width]
            shared.append(np.asarray(luma + own, np.float32))
        return shared


def _samples(start: int, count: int, size: int, chroma: Chroma, axis: int) -> tuple[int, int]:
    """First sample and number of samples behind `count` pixels from `start`, of `size`."""
    shift = chroma.column_shift if axis else chroma.row_shift
    reach = chroma.reach * shift
    first = max((start >> shift) - reach, 0)
    last = min(-(-(start + count) >> shift) + reach, -(-size >> shift))
    return first, last - first
