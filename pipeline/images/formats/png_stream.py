"""The compressed bytes of a PNG file, made again from its samples, whatever program wrote them.

A recipe has the filter type of each row, how the stream was cut into chunks, and the recipe of its
deflate stream. Layout: the first 2 bytes of the stream; uint32 little-endian number of IDAT chunks
before the last one, and the size of each; the filter types; the recipe of the deflate stream. It is
not compressed: recipes of many small files compress better together.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seec.pipeline import deflate
from seec.pipeline.images.formats import png_filters
from seec.pipeline.images.formats.png_file import (
    Header,
    chunk,
    pass_starts,
    stream_bytes,
    stream_parts,
)
from seec.schemas.errors import SectionCorrupt, UnreadableImage

_HEAD = struct.Struct("<2sI")
_STREAM_HEADER_BYTES, _CHECK_BYTES = 2, 4
_UNKNOWN = "PNG whose compression cannot be reproduced"


def find_recipe(header: Header, image_data: bytes) -> bytes:
    """The recipe for IDAT chunks that `png_file.decode` has taken.

    UnreadableImage if the recipe of the deflate stream would be too large.
    """
    parts = list(stream_parts(image_data))
    stream = b"".join(parts)
    coded = stream[_STREAM_HEADER_BYTES : len(stream) - _CHECK_BYTES]
    try:
        rows, recipe, used = deflate.analyse(coded, stream_bytes(header))
    except UnreadableImage:
        raise UnreadableImage(_UNKNOWN) from None
    # No checksum behind the stream, or something in between: `png_file.decode` takes none.
    if used != len(coded) or len(rows) != stream_bytes(header):
        raise UnreadableImage(_UNKNOWN)
    sizes = [len(part) for part in parts[:-1]]
    head = _HEAD.pack(stream[:_STREAM_HEADER_BYTES], len(sizes))
    head += struct.pack(f"<{len(sizes)}I", *sizes)
    return head + _filter_types(header, rows) + recipe


def recompress(header: Header, rows: NDArray[np.uint8], recipe: bytes) -> bytes:
    """The IDAT chunks. rows: [height, bytes], unfiltered. UnreadableImage if they do not fit."""
    stream_header, sizes, types, deflate_recipe = _parse(header, recipe)
    if not (types <= png_filters.PAETH).all():
        raise UnreadableImage("recipe of a PNG file with an unknown filter")
    filtered = b"".join(_filtered(header, rows, types))
    try:
        stream = deflate.rebuild(filtered, deflate_recipe)
    except SectionCorrupt as error:
        raise UnreadableImage(f"recipe of a PNG file: {error}") from None
    stream = stream_header + stream + zlib.adler32(filtered).to_bytes(_CHECK_BYTES, "big")
    if sum(sizes) > len(stream):
        raise UnreadableImage("recipe of a PNG file with chunks of another size")
    chunks: list[bytes] = []
    start = 0
    for size in sizes:
        chunks.append(chunk(b"IDAT", stream[start : start + size]))
        start += size
    return b"".join(chunks) + chunk(b"IDAT", stream[start:])


def _parse(
    header: Header, recipe: bytes
) -> tuple[bytes, tuple[int, ...], NDArray[np.uint8], bytes]:
    type_count = sum(height for _, height, _ in _passes(header))
    try:
        stream_header, count = _HEAD.unpack_from(recipe)
        sizes = struct.unpack_from(f"<{count}I", recipe, _HEAD.size)
    except struct.error:
        raise UnreadableImage("damaged recipe of a PNG file") from None
    start = _HEAD.size + 4 * count
    types = np.frombuffer(recipe, np.uint8)[start : start + type_count]
    if len(types) != type_count:
        raise UnreadableImage("recipe of a PNG file of another height")
    return stream_header, sizes, types, recipe[start + type_count :]


def _passes(header: Header) -> Iterator[tuple[tuple[slice, slice], int, int]]:
    """Rows and columns of each pass that has pixels, how many rows, bytes of each."""
    if not header.interlaced:
        yield (slice(None), slice(None)), header.height, stream_bytes(header) // header.height - 1
        return
    for top, left, down, right in pass_starts(header):
        height, width = -(-(header.height - top) // down), -(-(header.width - left) // right)
        yield (slice(top, None, down), slice(left, None, right)), height, width * header.pixel_bytes


def _filter_types(header: Header, rows: bytes) -> bytes:
    types, start = b"", 0
    for _, height, size in _passes(header):
        end = start + height * (1 + size)
        types += rows[start : end : 1 + size]
        start = end
    return types


def _filtered(header: Header, rows: NDArray[np.uint8], types: NDArray[np.uint8]) -> Iterator[bytes]:
    """The rows of each pass, filtered, with their types."""
    for where, height, size in _passes(header):
        part = rows
        if header.interlaced:
            part = rows.reshape(header.height, header.width, -1)[where].reshape(height, size)
        yield png_filters.apply_types(part, header.pixel_bytes, types[:height])
        types = types[height:]
