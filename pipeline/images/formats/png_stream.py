"""The compressed bytes of a PNG file, made again from its samples.

zlib writes the same bytes for the same input and settings. So a recipe is enough: its settings,
the filter type of each row, how the stream was cut into chunks. Layout, as one zlib stream: uint8
level, memory level, strategy, window bits; the first 2 bytes of the stream; uint32 little-endian
number of IDAT chunks, and the size of each; the filter types.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats import png_filters
from seec.pipeline.images.formats.png_file import Header, chunk, stream_parts
from seec.schemas.errors import UnreadableImage

_HEAD = struct.Struct("<BBBB2sI")
_PIECE_BYTES = 1 << 16
_STREAM_HEADER_BYTES, _CHECK_BYTES = 2, 4
_MAX_CHUNKS = 1 << 20
# By the two bits in which zlib says how hard it tried.
_LEVELS = {0: (1, 0), 1: (5, 2, 3, 4), 2: (6,), 3: (9, 7, 8)}
_MEMORY_LEVELS = (8, 9)  # libpng's, and Pillow's
_BY_LEVEL = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_FIXED)
_WITHOUT_LEVEL = (zlib.Z_RLE, zlib.Z_HUFFMAN_ONLY)


@dataclass(frozen=True)
class _Settings:
    """Of zlib's deflateInit2."""

    level: int
    memory_level: int
    strategy: int
    window_bits: int

    def compressor(self) -> "zlib._Compress":
        """A new stream."""
        return zlib.compressobj(
            self.level, zlib.DEFLATED, self.window_bits, self.memory_level, self.strategy
        )


def find_recipe(header: Header, image_data: bytes) -> bytes:
    """The recipe for IDAT chunks that `png_file.decode` has taken.

    Most settings are ruled out by the first block that they write. UnreadableImage if zlib does not
    write these bytes with any settings that are in use.
    """
    if header.interlaced:
        raise UnreadableImage("interlaced PNG, whose compression is not reproduced")
    parts = list(stream_parts(image_data))
    stream = b"".join(parts)
    rows = zlib.decompress(stream)
    for settings in _candidates(stream):
        if _writes(settings, rows, stream):
            break
    else:
        raise UnreadableImage("PNG whose compression cannot be reproduced")
    types = rows[:: len(rows) // header.height]
    head = _HEAD.pack(
        settings.level,
        settings.memory_level,
        settings.strategy,
        settings.window_bits,
        stream[:_STREAM_HEADER_BYTES],
        len(parts),
    )
    sizes = struct.pack(f"<{len(parts)}I", *map(len, parts))
    return zlib.compress(head + sizes + types, 9)


def recompress(header: Header, rows: NDArray[np.uint8], recipe: bytes) -> bytes:
    """The IDAT chunks. rows: [height, bytes], unfiltered. UnreadableImage if they do not fit."""
    settings, stream_header, sizes, types = _parse(header, recipe)
    if not (types <= png_filters.PAETH).all():
        raise UnreadableImage("recipe of a PNG file with an unknown filter")
    try:
        compressor = settings.compressor()
    except ValueError:
        raise UnreadableImage(
            "recipe of a PNG file with settings that zlib does not know"
        ) from None
    stream = compressor.compress(png_filters.apply_types(rows, header.pixel_bytes, types))
    stream = stream_header + (stream + compressor.flush())[_STREAM_HEADER_BYTES:]
    if sum(sizes) != len(stream):
        raise UnreadableImage(
            "this zlib compresses to another size than the one that wrote the file"
        )
    chunks: list[bytes] = []
    start = 0
    for size in sizes:
        chunks.append(chunk(b"IDAT", stream[start : start + size]))
        start += size
    return b"".join(chunks)


def _parse(
    header: Header, recipe: bytes
) -> tuple[_Settings, bytes, tuple[int, ...], NDArray[np.uint8]]:
    most = _HEAD.size + 4 * _MAX_CHUNKS + header.height
    try:
        plain = zlib.decompressobj().decompress(recipe, most)
        *settings, stream_header, count = _HEAD.unpack_from(plain)
        sizes = struct.unpack_from(f"<{count}I", plain, _HEAD.size)
    except (zlib.error, struct.error):
        raise UnreadableImage("damaged recipe of a PNG file") from None
    types = np.frombuffer(plain, np.uint8)[_HEAD.size + 4 * count :]
    if len(types) != header.height or count < 1:
        raise UnreadableImage("recipe of a PNG file of another height")
    return _Settings(*settings), stream_header, sizes, types


def _candidates(stream: bytes) -> Iterator[_Settings]:
    # A window below 9 bits is 9 to zlib, and libpng may name a smaller one than it used.
    windows = dict.fromkeys((max(9, (stream[0] >> 4) + 8), 15))
    effort = stream[1] >> 6
    kinds = [(level, strategy) for strategy in _BY_LEVEL for level in _LEVELS[effort]]
    if effort == 0:
        kinds += [(6, strategy) for strategy in _WITHOUT_LEVEL]
        kinds += [(level, zlib.Z_FIXED) for level in range(2, 10)]
    for window_bits in windows:
        for level, strategy in kinds:
            for memory_level in _MEMORY_LEVELS:
                yield _Settings(level, memory_level, strategy, min(window_bits, 15))


def _writes(settings: _Settings, rows: bytes, stream: bytes) -> bool:
    """Whether they write these bytes, but for the header; stops at the first that differs."""
    compressor, position = settings.compressor(), 0
    for start in range(0, len(rows) + _PIECE_BYTES, _PIECE_BYTES):
        piece = rows[start : start + _PIECE_BYTES]
        out = compressor.compress(piece) if piece else compressor.flush()
        wanted = stream[position : position + len(out)]
        skipped = max(0, min(len(out), _STREAM_HEADER_BYTES - position))
        if out[skipped:] != wanted[skipped:] or len(wanted) != len(out):
            return False
        position += len(out)
        if not piece:
            break
    return position == len(stream)
