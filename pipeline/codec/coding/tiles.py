"""How an image is cut into tiles, and in which order their pixels are coded.

A tile sees nothing outside itself. Its canvas has a margin of three pixels above, left
and right, filled so that the causal taps of every pixel exist:

- the rows above, and the left margin of row 0, hold the tile's border colour;
- the left margin of row y holds pixel (y - 1, 0);
- the right margin of row y holds pixel (y, width - 1).
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
MARGIN = 3


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image, in pixels."""

    y: int
    x: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """Its rows of the image."""
        return slice(self.y, self.y + self.height)

    @property
    def columns(self) -> slice:
        """Its columns of the image."""
        return slice(self.x, self.x + self.width)


def tile_groups(height: int, width: int, tile_size: int, per_group: int) -> list[list[Tile]]:
    """All tiles in raster order, cut into groups of `per_group`."""
    tiles = [
        Tile(y, x, min(tile_size, height - y), min(tile_size, width - x))
        for y in range(0, height, tile_size)
        for x in range(0, width, tile_size)
    ]
    return [tiles[i : i + per_group] for i in range(0, len(tiles), per_group)]


@dataclass(frozen=True)
class GroupCanvas:
    """The tiles of one group with their margins and labels.

    canvas: [tiles, rows + 3, columns + 6, 3] uint8. sizes: [tiles, 2] int32, height and
    width. labels: [tiles, rows of blocks, columns of blocks] uint8. widths: the same shape, how
    many values share a bin in the block: 1 is lossless, 0 codes nothing. side: [tiles, rows,
    columns, features] int16, the features of SIC. channels: 1 or 3; with 1 the canvas holds the
    gray value three times.
    """

    canvas: Pixels
    sizes: NDArray[np.int32]
    labels: Pixels
    widths: Pixels
    side: NDArray[np.int16]
    block_shift: int
    channels: int

    @property
    def lossless(self) -> bool:
        """Whether every pixel comes back as it was."""
        return bool((self.widths == 1).all())

    @property
    def rows(self) -> int:
        """Rows of the highest tile."""
        return self.canvas.shape[1] - MARGIN

    @property
    def columns(self) -> int:
        """Columns of the widest tile."""
        return self.canvas.shape[2] - 2 * MARGIN

    def interior(self, index: int) -> Pixels:
        """The pixels of one tile, [h, w, 3], a view."""
        height, width = self.sizes[index]
        return self.canvas[index, MARGIN : MARGIN + height, MARGIN : MARGIN + width]


def border_colours(image: Pixels, tiles: Sequence[Tile]) -> Pixels:
    """Mean colour of each tile's first row, rounded half up: [tiles, channels] uint8.

    image: [H, W, channels] uint8.
    """
    rows = [image[t.y, t.x : t.x + t.width].astype(np.int64) for t in tiles]
    means = [(2 * row.sum(0) + len(row)) // (2 * len(row)) for row in rows]
    return np.array(means, np.uint8)


@dataclass(frozen=True)
class BlockMaps:
    """What holds for each block of 2^shift pixels of an image.

    labels, widths: [rows, columns] uint8; see GroupCanvas.
    """

    labels: Pixels
    widths: Pixels
    shift: int

    @staticmethod
    def blank(height: int, width: int, shift: int) -> "BlockMaps":
        """Label 0 everywhere, lossless."""
        shape = (-(-height >> shift), -(-width >> shift))
        return BlockMaps(np.zeros(shape, np.uint8), np.ones(shape, np.uint8), shift)


def extent_of(tiles: Sequence[Tile]) -> tuple[int, int]:
    """Rows and columns of the smallest rectangle that holds each of the tiles."""
    return max(t.height for t in tiles), max(t.width for t in tiles)


def empty_canvas(
    tiles: Sequence[Tile],
    borders: Pixels,
    maps: BlockMaps,
    side: NDArray[np.int16] | None = None,
) -> GroupCanvas:
    """A canvas with only its initial margins filled, as decoding starts.

    borders: [tiles, channels] uint8. side: [tiles, rows, columns, features] int16, if any.
    """
    rows, columns = extent_of(tiles)
    blocks = -(-rows >> maps.shift), -(-columns >> maps.shift)
    canvas = np.empty((len(tiles), rows + MARGIN, columns + 2 * MARGIN, 3), np.uint8)
    canvas[:] = borders[:, None, None, :]
    labels = np.zeros((len(tiles), *blocks), np.uint8)
    widths = np.ones_like(labels)
    for index, t in enumerate(tiles):
        top, left = t.y >> maps.shift, t.x >> maps.shift
        for of_tile, of_image in ((labels, maps.labels), (widths, maps.widths)):
            part = of_image[top : top + blocks[0], left : left + blocks[1]]
            of_tile[index, : part.shape[0], : part.shape[1]] = part
    if side is None:
        side = np.zeros((len(tiles), rows, columns, 0), np.int16)
    sizes = np.array([(t.height, t.width) for t in tiles], np.int32)
    return GroupCanvas(canvas, sizes, labels, widths, side, maps.shift, borders.shape[1])


def fill_canvas(group: GroupCanvas, image: Pixels, tiles: Sequence[Tile]) -> None:
    """Copy the tiles of `image` [H, W, channels] into the canvas, margins included."""
    for index, t in enumerate(tiles):
        pixels = image[t.y : t.y + t.height, t.x : t.x + t.width]
        rows = group.canvas[index, MARGIN : MARGIN + t.height]
        rows[:, MARGIN : MARGIN + t.width] = pixels
        rows[1:, :MARGIN] = pixels[:-1, :1]
        rows[:, MARGIN + t.width : 2 * MARGIN + t.width] = pixels[:, -1:]


def canvas_of(pictures: Sequence[Pixels], block_shift: int) -> GroupCanvas:
    """Pictures of one shape, [H, W, channels], as the tiles of a group without labels.

    Their margins are filled as a decoder fills them.
    """
    height, width = pictures[0].shape[:2]
    image = np.concatenate(pictures)
    tiles = [Tile(number * height, 0, height, width) for number in range(len(pictures))]
    blank = BlockMaps.blank(len(image), width, block_shift)
    canvas = empty_canvas(tiles, border_colours(image, tiles), blank)
    fill_canvas(canvas, image, tiles)
    return canvas


def join_groups(groups: Sequence[GroupCanvas]) -> tuple[GroupCanvas, NDArray[np.int64]]:
    """Groups of one shape as one, and behind which tile of it each of them ends."""
    joined = GroupCanvas(
        np.concatenate([g.canvas for g in groups]),
        np.concatenate([g.sizes for g in groups]),
        np.concatenate([g.labels for g in groups]),
        np.concatenate([g.widths for g in groups]),
        np.concatenate([g.side for g in groups]),
        groups[0].block_shift,
        groups[0].channels,
    )
    return joined, np.cumsum([len(g.sizes) for g in groups])


@dataclass(frozen=True)
class Wavefront:
    """The coding order of a group: by step 2 y + x, then tile, then row.

    offset: [pixels] int64, of each pixel in the flat canvas. label, width: [pixels] uint8.
    tile, y, x: [pixels]. starts: [steps + 1], where each step begins.
    """

    offset: NDArray[np.int64]
    label: Pixels
    width: Pixels
    tile: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    starts: NDArray[np.int64]


def wavefront(group: GroupCanvas) -> Wavefront:
    """List all pixels of a group in coding order."""
    parts = []
    for index, (height, width) in enumerate(group.sizes):
        y, x = np.mgrid[:height, :width].reshape(2, -1)
        parts.append(np.stack([np.full_like(y, index), y, x]))
    tile, y, x = np.concatenate(parts, 1)
    order = np.lexsort((y, tile, 2 * y + x))
    tile, y, x = tile[order], y[order], x[order]
    step = 2 * y + x
    rows, columns = group.canvas.shape[1:3]
    offset = 3 * ((tile * rows + MARGIN + y) * columns + MARGIN + x)
    block = (tile, y >> group.block_shift, x >> group.block_shift)
    starts = np.searchsorted(step, np.arange(step[-1] + 2))
    return Wavefront(offset, group.labels[block], group.widths[block], tile, y, x, starts)


def even_rows(order: Wavefront) -> Wavefront:
    """The even rows of each tile only, in the same order."""
    keep = order.y % 2 == 0
    step = (2 * order.y + order.x)[keep]
    starts = np.searchsorted(step, np.arange(len(order.starts)))
    return Wavefront(
        order.offset[keep],
        order.label[keep],
        order.width[keep],
        order.tile[keep],
        order.y[keep],
        order.x[keep],
        starts,
    )
