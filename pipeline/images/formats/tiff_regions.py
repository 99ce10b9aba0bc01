"""Rectangles of the pictures of a TIFF file, from the strips and tiles that they touch."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats import tiff_pages as tags
from seec.pipeline.images.formats.codings import Coding, decoded_alone
from seec.pipeline.images.formats.spliced import row_of
from seec.pipeline.images.formats.tiff_directories import Directory, directories
from seec.pipeline.images.ranges import Ranges
from seec.pipeline.images.raster import Packing, unpack
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_SAMPLE_BYTES, MAX_SAMPLES
from seec.schemas.planes import DEPTHS, Shape

Pixels = NDArray[Any]
Region = tuple[int, int, int, int]  # x, y, width, height

_MOST_PAGES = 1 << 20
_KINDS = {1: "u", 2: "i", 3: "f"}  # of numbers, by sample format
_YCBCR, _RGB, _JPEG = 6, 2, 7


class _Grid(NamedTuple):
    """How a picture is cut: its size, that of a strip or tile, and how many are side by side."""

    width: int
    height: int
    piece_width: int
    piece_height: int

    @property
    def across(self) -> int:
        return -(-self.width // self.piece_width)

    @property
    def count(self) -> int:
        return self.across * -(-self.height // self.piece_height)


def read_page(file: Ranges, page: int, region: Region | None = None) -> Pixels:
    """A picture of a TIFF file, or a rectangle of it: [H, W] or [H, W, C], numbers as in the file.

    page: its number from 0, in the order of directories, each followed by those below it. region:
    x, y, width and height in pixels. Samples of less than 8 bits are uint8, of 9 to 15 uint16. Only
    what the rectangle touches is read, and directories, in small parts. Parts that the file leaves
    out are 0.

    Raises IndexError if there is no such page, ValueError if the region is not inside the picture,
    UnreadableImage if the picture is damaged, or compressed in a way that is not known.
    """
    if not 0 <= page < _MOST_PAGES:
        raise IndexError(f"page {page} of a file with at most {_MOST_PAGES}")
    found = directories(file, _MOST_PAGES, page + 1)
    if page >= len(found):
        raise IndexError(f"page {page} of a file with {len(found)}")
    return _Picture(file, found[page]).read(region)


class _Picture:
    """A picture of a file."""

    def __init__(self, file: Ranges, directory: Directory) -> None:
        self._file, self._directory = file, directory
        width, height = (directory.value(tag) for tag in (tags.WIDTH, tags.HEIGHT))
        tiled = tags.TILES in directory.entries
        rows = directory.value(tags.ROWS, height) if not tiled else 0
        piece = (
            (directory.value(tags.TILE_WIDTH), directory.value(tags.TILE_HEIGHT))
            if tiled
            else (width, min(rows or height, height))
        )
        self._grid = _Grid(width, height, *piece)
        self._samples = directory.value(tags.SAMPLES, 1)
        self._depth = tags.depth_of(directory)
        if min(self._grid) < 1 or not 1 <= self._samples <= MAX_SAMPLES:
            raise UnreadableImage("TIFF without pixels")
        size = self._grid.piece_width * self._grid.piece_height * self._samples * self._depth // 8
        if size > MAX_SAMPLE_BYTES:
            raise UnreadableImage("TIFF with a strip or tile that is too large")
        self._apart = self._samples > 1 and directory.value(tags.PLANAR, 1) == 2
        where, sizes = (directory.values(tag) for tag in tags.tags_of(directory))
        if len(where) != len(sizes) or len(where) < self._grid.count * self._planes:
            raise UnreadableImage("TIFF with fewer strips or tiles than its size needs")
        self._pieces = list(zip(where, sizes, strict=True))

    @property
    def _planes(self) -> int:
        return self._samples if self._apart else 1

    def read(self, region: Region | None) -> Pixels:
        grid = self._grid
        x, y, width, height = region or (0, 0, grid.width, grid.height)
        inside = min(x, y) >= 0 and x + width <= grid.width and y + height <= grid.height
        if not inside or min(width, height) < 1:
            raise ValueError(
                f"{region} is not inside a picture of {grid.width} x {grid.height} pixels"
            )
        if width * height * self._samples * max(8, self._depth) // 8 > MAX_SAMPLE_BYTES:
            raise UnreadableImage("more pixels than are decoded at once; read a smaller region")
        out = np.zeros((height, width, self._samples), self._dtype)
        for plane, left, top, number in self._touched(x, y, width, height):
            first, behind = max(y, top), min(y + height, top + grid.piece_height)
            piece = self._rows(
                number, min(grid.height - top, grid.piece_height), first - top, behind - top
            )
            if piece is None:
                continue
            rows = slice(first - y, behind - y)
            columns = slice(max(x, left) - x, min(x + width, left + grid.piece_width) - x)
            part = piece[:, columns.start + x - left : columns.stop + x - left]
            if self._apart:
                out[rows, columns, plane] = part[:, :, 0]
            else:
                out[rows, columns] = part
        return out[:, :, 0] if self._samples == 1 else out

    def _touched(
        self, x: int, y: int, width: int, height: int
    ) -> Iterator[tuple[int, int, int, int]]:
        """Plane, left, top and number of each strip or tile that a rectangle touches."""
        grid = self._grid
        for plane in range(self._planes):
            for row in range(y // grid.piece_height, -(-(y + height) // grid.piece_height)):
                for column in range(x // grid.piece_width, -(-(x + width) // grid.piece_width)):
                    number = plane * grid.count + row * grid.across + column
                    yield plane, column * grid.piece_width, row * grid.piece_height, number

    @property
    def _dtype(self) -> np.dtype[Any]:
        if self._depth < 16:
            return np.dtype(np.uint8 if self._depth <= 8 else np.uint16)
        return np.dtype(f"{self._kind}{self._depth // 8}")

    @property
    def _kind(self) -> str:
        return _KINDS.get(self._directory.values(tags.SAMPLE_FORMAT, (1,))[0], "u")

    def _rows(self, number: int, rows: int, first: int, behind: int) -> Pixels | None:
        """Some rows of a strip or tile, [behind - first, width, samples]; None if it is not there.

        rows: of a strip, which may be the last one.
        """
        at, size = self._pieces[number]
        if size == 0:
            return None
        if tags.TILES in self._directory.entries:
            rows = self._grid.piece_height
        samples = self._samples // self._planes
        lossless = tags.is_lossless_jpeg(self._directory, [(at, size)])
        if self._directory.value(tags.COMPRESSION, 1) == _JPEG and not lossless:
            return self._jpeg(self._file.read(at, size), rows, samples)[first:behind]
        coding = tags.coding_of(self._directory, self._depth, samples, lossless)
        shape = Shape(self._grid.piece_width, rows, samples, self._depth)
        if coding is not None and lossless:
            return self._lossless(self._file.read(at, size), coding, shape)[first:behind]
        if coding is not None:
            return self._plain(self._file.read(at, size), coding, shape)[first:behind]
        row_bytes = -(-shape.width * samples * self._depth // 8)
        data = self._file.read(at + first * row_bytes, (behind - first) * row_bytes)
        return self._plain(data, None, replace(shape, height=behind - first))

    def _plain(self, data: bytes, coding: Coding | None, shape: Shape) -> Pixels:
        order = self._directory.kind.order
        packed = shape.depth not in (*DEPTHS, 64)
        little = order == "<" and not packed and shape.depth >= 8
        as_stored = Packing(little=little, bits=shape.depth if packed else 0)
        if packed:
            shape = replace(shape, depth=16)
        row_bytes = -(-shape.width * shape.samples * self._depth // 8)
        if coding is not None:
            row = row_of(as_stored, shape)._replace(size_bytes=row_bytes)
            data = decoded_alone(data, coding, shape.height, row, order == "<")
        if len(data) < row_bytes * shape.height:
            raise UnreadableImage("damaged strip or tile: cut short")
        data = data[: row_bytes * shape.height]
        if self._depth < 8 or packed:
            return unpack(data, shape, as_stored)
        dtype = np.dtype(f"{order}{self._kind}{self._depth // 8}" if self._depth > 8 else "u1")
        values = np.frombuffer(data, dtype).reshape(shape.height, shape.width, shape.samples)
        return (
            values.astype(self._dtype, copy=False) if self._depth > 8 else values.view(self._dtype)
        )

    def _lossless(self, data: bytes, coding: Coding, shape: Shape) -> Pixels:
        shape, packing = replace(shape, depth=8 * coding.number_bytes), Packing(little=True)
        data = decoded_alone(data, coding, shape.height, row_of(packing, shape), little=True)
        return unpack(data, shape, packing).view(self._dtype)

    def _jpeg(self, data: bytes, rows: int, samples: int) -> Pixels:
        tables = tags.jpeg_tables(self._directory)
        shown = self._directory.value(tags.PHOTOMETRIC, 0)
        kind = {_YCBCR: "YCBCR", _RGB: "RGB"}.get(shown)
        try:
            pixels = imagecodecs.jpeg_decode(
                data[:2] + tables + data[2:], colorspace=kind, outcolorspace=kind and "RGB"
            )
        except (ValueError, RuntimeError) as error:
            raise UnreadableImage(f"damaged strip or tile: {error}") from None
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        if pixels.shape[0] < rows or pixels.shape[1:] != (self._grid.piece_width, samples):
            raise UnreadableImage("JPEG strip or tile of another size than its file says")
        return pixels[:rows]
