"""The colour set of an image: what the samples that are coded stand for.

Either levels (some values never occur, so that those which do are numbered and the numbers are
coded), or planes (pixels were made of integer luma and chroma, and those are coded as three gray
planes). Pixels that do not fit are exceptions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import Tile
from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.family import Family, parse_family
from seec.pipeline.codec.colours.sheet import Sheet
from seec.schemas.errors import SectionCorrupt

Pixels = NDArray[np.uint8]
_LEVELS, _PLANES = 0, 1


@dataclass(frozen=True)
class Levels:
    """used: for each channel the values that occur, ascending; their numbers are coded."""

    used: tuple[bytes, ...]
    chroma = None

    def pixels(self, samples: Sequence[Pixels], tile: Tile, sheet: Sheet) -> Pixels:
        """The pixels [h, w, channels] of a tile, of its samples, the same shape."""
        (numbers,) = samples
        tables = [np.frombuffer(used, np.uint8) for used in self.used]
        picked = [
            table[np.minimum(numbers[..., c], len(table) - 1)] for c, table in enumerate(tables)
        ]
        return np.stack(picked, -1)

    def serialise(self) -> bytes:
        """The payload of a colour set section."""
        masks = np.zeros((len(self.used), 256), np.uint8)
        for mask, used in zip(masks, self.used, strict=True):
            mask[np.frombuffer(used, np.uint8)] = 1
        return bytes([_LEVELS]) + np.packbits(masks).tobytes()


@dataclass(frozen=True)
class Planes:
    """family: what luma and chroma become; chroma: at which resolution chroma is coded."""

    family: Family
    chroma: Chroma

    def pixels(self, samples: Sequence[Pixels], tile: Tile, sheet: Sheet) -> Pixels:
        """The pixels [h, w, 3] of a tile, of its samples of Y, Cb and Cr, [h, w, 1] each."""
        coarse = sheet.samples(tile)
        top = tile.y - (coarse.y << self.chroma.row_shift)
        left = tile.x - (coarse.x << self.chroma.column_shift)
        blue, red = (
            self.chroma.enlarge(plane[..., 0])[top : top + tile.height, left : left + tile.width]
            for plane in samples[1:]
        )
        return self.family.pixels(samples[0][..., 0], blue, red)

    def serialise(self) -> bytes:
        """The payload of a colour set section."""
        return bytes([_PLANES, self.chroma]) + self.family.serialise()


ColourSet = Levels | Planes


def paint(
    colours: ColourSet | None, sheet: Sheet, samples: Sequence[Pixels], tiles: Sequence[Tile]
) -> list[Pixels]:
    """The pixels of tiles of an image, [h, w, channels] each, before exceptions.

    samples: of their tiles of the sheet, one after the other.
    """
    if colours is None:
        return list(samples)
    n = sheet.parts
    own = [samples[n * k : n * k + n] for k in range(len(tiles))]
    return [colours.pixels(part, tile, sheet) for part, tile in zip(own, tiles, strict=True)]


def parse_colour_set(payload: bytes, channels: int) -> ColourSet:
    """Inverse of serialise for an image of 1 or 3 channels; raises SectionCorrupt."""
    kind, body = payload[:1], payload[1:]
    if kind == bytes([_LEVELS]):
        return _parse_levels(body, channels)
    if kind == bytes([_PLANES]):
        return _parse_planes(body, channels)
    raise SectionCorrupt("an unknown kind of colour set")


def _parse_levels(body: bytes, channels: int) -> Levels:
    if len(body) != 32 * channels:
        raise SectionCorrupt(f"levels of {channels} channels in {len(body)} bytes")
    masks = np.unpackbits(np.frombuffer(body, np.uint8)).reshape(channels, 256)
    if not masks.any(1).all():
        raise SectionCorrupt("a channel without levels")
    return Levels(tuple(np.flatnonzero(mask).astype(np.uint8).tobytes() for mask in masks))


def _parse_planes(body: bytes, channels: int) -> Planes:
    if channels != 3:
        raise SectionCorrupt("planes of luma and chroma in a gray image")
    if not body or body[0] not in frozenset(Chroma):
        raise SectionCorrupt("an unknown resolution of chroma")
    return Planes(parse_family(body[1:]), Chroma(body[0]))
