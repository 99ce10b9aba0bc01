"""Screen coding: tile groups of text, drawings and interfaces, without a network.

A pixel is mostly the colour of a neighbour, or of a place that looked alike; a chain of yes/no
guesses says which. Adaptive probabilities of many contexts are mixed for each guess, in integers.
A C extension does it fast; `tile.py` gives the same bits where there is none.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import Tile
from seec.pipeline.codec.screen.coder import BitDecoder, BitEncoder
from seec.pipeline.codec.screen.tile import ScreenCoder
from seec.schemas.errors import SectionCorrupt
from seec.schemas.limits import MAX_TILE, MIN_TILE

try:
    from seec.pipeline.codec.screen import _screen as native  # pyright: ignore[reportAttributeAccessIssue]
except ImportError:  # built without a compiler
    native = None

Pixels = NDArray[np.uint8]
_SMALL = 4096  # pixels, with which any try is quick
_MANY_REPEATS, _SOME_REPEATS, _FEW_COLOURS = 0.5, 0.2, 1 / 32  # of the pixels


def looks_drawn(image: Pixels) -> bool:
    """Whether screen coding is worth a try on an image [H, W, channels] uint8.

    It is if half of the pixels repeat the one to their left or the one above them, or a fifth do
    and there are few colours. One row in four is looked at.
    """
    height, width, channels = image.shape
    if height * width <= _SMALL or min(height, width) < 2:
        return True
    places = np.array([1, 256, 65536][:channels], np.uint32)
    above, rows = image[:-1:4] @ places, image[1::4] @ places
    repeats = (rows[:, 1:] == rows[:, :-1]) | (rows[:, 1:] == above[:, 1:])
    share = float(repeats.mean())
    if share >= _MANY_REPEATS:
        return True
    return share >= _SOME_REPEATS and len(np.unique(rows)) <= _FEW_COLOURS * rows.size


def widest_tile(height: int, width: int, block_shift: int) -> int:
    """The tile size with which an image has as few tiles as can be."""
    block = 1 << block_shift
    return min(MAX_TILE, max(MIN_TILE, -(-max(height, width) // block) * block))


def encode_screen(samples: bytes, tiles: Sequence[Tile], channels: int) -> bytes:
    """The words of a tile group; samples as in a raw group, tile after tile, row after row."""
    if native is not None:
        return native.encode(samples, _sizes(tiles), channels)
    coder = BitEncoder()
    _code(coder, tiles, channels, samples)
    return coder.finish()


def decode_screen(words: bytes, tiles: Sequence[Tile], channels: int) -> bytes:
    """The samples of a tile group; raises SectionCorrupt."""
    if len(words) % 4:
        raise SectionCorrupt("coded words are not a whole number of 32-bit words")
    if native is not None:
        samples = bytearray(sum(t.height * t.width for t in tiles) * channels)
        if not native.decode(words, _sizes(tiles), channels, samples):
            raise SectionCorrupt("coded words that no encoder writes")
        return bytes(samples)
    coder = BitDecoder(words)
    samples = _code(coder, tiles, channels, None)
    coder.finish()
    return samples


def _code(
    coder: BitEncoder | BitDecoder, tiles: Sequence[Tile], channels: int, samples: bytes | None
) -> bytes:
    screen = ScreenCoder(coder, sum(t.height * t.width for t in tiles), channels)
    parts: list[bytes] = []
    begin = 0
    for t in tiles:
        end = begin + t.height * t.width * channels
        wanted = None if samples is None else _colours(samples[begin:end], channels)
        parts.append(_samples(screen.code_tile(t.height, t.width, wanted), channels))
        begin = end
    return b"".join(parts)


def _colours(samples: bytes, channels: int) -> list[int]:
    planes = np.frombuffer(samples, np.uint8).reshape(-1, channels).astype(np.int64)
    return (planes << 8 * np.arange(channels)).sum(1).tolist()


def _samples(colours: list[int], channels: int) -> bytes:
    packed = np.array(colours, np.int64)[:, None] >> 8 * np.arange(channels)
    return packed.astype(np.uint8).tobytes()


def _sizes(tiles: Sequence[Tile]) -> NDArray[np.int32]:
    return np.array([(t.height, t.width) for t in tiles], np.int32)
