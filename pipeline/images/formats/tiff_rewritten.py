"""An equal TIFF file without compression: the same directories and values, samples decompressed."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

import imagecodecs
import numpy as np

from seec.pipeline.images.formats import tiff_directories as tiff
from seec.pipeline.images.formats.tiff_directories import Directory, Entry, Page
from seec.pipeline.images.raster import Packing, Samples, pack, unpack
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

_DEFLATE, _LZW, _PACK_BITS = (8, 32946), 5, 32773
_POINTERS = (34665, 34853, 40965)  # EXIF, GPS, interoperability: directories of their own
# Other directories, offsets that only their maker knows, JPEG tables, lists of free bytes.
_UNMOVABLE = (330, 37500, 513, 514, 288, 289, 347)
_DAMAGE = (RuntimeError, ValueError, TypeError, OSError, struct.error)


def rewrite(data: bytes, pages: list[Page]) -> bytes:
    """The equal file. pages: of all its directories; their sizes have been held against limits.

    UnreadableImage where a part of the file would be lost, or is damaged.
    """
    order = pages[0].directory.order
    used = bytearray(len(data))
    used[:8] = b"\1" * 8
    out = bytearray(data[:8])
    link = 4  # where the offset of the next directory belongs
    for page in pages:
        if page.rasters > 1 and page.shape.depth > 8:
            raise UnreadableImage("compressed TIFF that common readers misread without compression")
        samples = [_even(piece) for piece in _pieces(data, page)]
        starts = list(accumulate(map(len, samples[:-1]), initial=len(out)))
        for start, size in page.pieces:
            used[start : start + size] = b"\1" * len(used[start : start + size])
        out += b"".join(samples)
        sizes = [_piece_bytes(page, i) for i in range(len(samples))]
        struct.pack_into(order + "I", out, link, len(out))
        link = _append(out, used, page.directory, _changes(page, starts, sizes))
    if not all(_is_filler(run, data[:4]) for run in _unused(data, used)):
        raise UnreadableImage("compressed TIFF with bytes that no directory speaks of")
    return bytes(out)


def _unused(data: bytes, used: bytearray) -> Iterator[bytes]:
    """All runs of bytes that are not marked as used."""
    marks = np.frombuffer(b"\1" + bytes(used) + b"\1", np.uint8)
    edges = np.flatnonzero(np.diff(marks))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        yield data[start:end]


def _is_filler(run: bytes, magic: bytes) -> bool:
    """Whether it says nothing: zeros, or the header with which each page of some writers begins."""
    said = run.strip(b"\0")
    return not said or (len(said) <= 8 and said.startswith(magic.strip(b"\0")))


def _changes(page: Page, starts: list[int], sizes: list[int]) -> dict[int, bytes | None]:
    """Values of tags that are not as they were; None for those that go."""
    order, count = page.directory.order, len(starts)
    tiled = tiff.TILES in page.directory.entries
    where, length = (tiff.TILES, tiff.TILE_BYTES) if tiled else (tiff.STRIPS, tiff.STRIP_BYTES)
    return {
        where: struct.pack(f"{order}{count}I", *starts),
        length: struct.pack(f"{order}{count}I", *sizes),
        tiff.COMPRESSION: struct.pack(order + "I", tiff.RAW),
        tiff.PREDICTOR: None,
    }


def _append(
    out: bytearray, used: bytearray, directory: Directory, changes: dict[int, bytes | None]
) -> int:
    """Append a directory with its values; returns where the offset of the next one belongs."""
    order, data = directory.order, directory.data
    used[directory.at : directory.at + directory.size_bytes] = b"\1" * directory.size_bytes
    kept = {t: e for t, e in directory.entries.items() if changes.get(t, b"") is not None}
    at = len(out)
    out += bytes(2 + 12 * len(kept) + 4)
    struct.pack_into(order + "H", out, at, len(kept))
    for i, (tag, entry) in enumerate(kept.items()):
        if tag in _UNMOVABLE:
            raise UnreadableImage(f"compressed TIFF with tag {tag}, which may point anywhere")
        values = data[entry.at : entry.at + entry.size_bytes]
        used[entry.at : entry.at + entry.size_bytes] = b"\1" * entry.size_bytes
        if tag in changes:
            values = changes[tag] or b""
            entry = Entry(4, len(values) // 4, 0)
        elif tag in _POINTERS:
            values = _append_pointed(out, used, directory, tag)
            entry = replace(entry, kind=4, count=1)
        here = at + 2 + 12 * i
        struct.pack_into(order + "HHI", out, here, tag, entry.kind, entry.count)
        if len(values) > 4:
            struct.pack_into(order + "I", out, here + 8, len(out))
            out += _even(values)
        else:
            out[here + 8 : here + 8 + len(values)] = values
    return at + 2 + 12 * len(kept)


def _append_pointed(out: bytearray, used: bytearray, directory: Directory, tag: int) -> bytes:
    """Append the directory that a tag points to; the values of the tag, its new offset."""
    where = directory.value(tag)
    if used[where : where + 1] != b"\0":
        raise UnreadableImage("TIFF with a directory that is pointed to twice")
    pointed, following = tiff.read_directory(directory.data, directory.order, where)
    if following:
        raise UnreadableImage("TIFF with a chain of inner directories")
    if len(out) % 2:
        out += b"\0"
    new = len(out)
    _append(out, used, pointed, {})
    return struct.pack(directory.order + "I", new)


def _pieces(data: bytes, page: Page) -> Iterator[bytes]:
    """Each strip or tile, decompressed and without prediction."""
    predictor = page.directory.value(tiff.PREDICTOR, 1)
    if predictor not in (1, 2) or (predictor == 2 and page.shape.depth < 8):
        raise UnreadableImage(f"TIFF with predictor {predictor}")
    for i, (start, size) in enumerate(page.pieces):
        if start + size > len(data):
            raise UnreadableImage("damaged TIFF file: cut short")
        wanted = _piece_bytes(page, i)
        plain = _decompress(data[start : start + size], page.compression, wanted)
        if len(plain) != wanted:
            raise UnreadableImage("TIFF with a strip of another size than its rows need")
        if predictor == 2 and page.compression != tiff.RAW:
            plain = _sum_up(plain, page)
        yield plain


def _piece_bytes(page: Page, number: int) -> int:
    each = len(page.pieces) // page.rasters
    rows = min(page.rows, page.shape.height - page.rows * (number % each))
    if rows < 1:
        raise UnreadableImage("TIFF with more strips than its rows need")
    return page.packing.row_bytes(page.shape) * rows


def _decompress(data: bytes, compression: int, size_bytes: int) -> bytes:
    try:
        if compression == tiff.RAW:
            return data
        if compression in _DEFLATE:
            return bytes(imagecodecs.zlib_decode(data, out=size_bytes))
        if compression == _LZW:
            return bytes(imagecodecs.lzw_decode(data, out=size_bytes))
        if compression == _PACK_BITS:
            return bytes(imagecodecs.packbits_decode(data, out=size_bytes))
    except _DAMAGE as error:
        raise UnreadableImage(f"damaged TIFF file: {error}") from None
    raise UnreadableImage(f"TIFF with compression {compression}")


def _sum_up(data: bytes, page: Page) -> bytes:
    """Undo horizontal prediction: each sample was kept as its difference to the one on its left."""
    height = len(data) // page.packing.row_bytes(page.shape)
    shape = Shape(page.shape.width, height, page.shape.samples, page.shape.depth)
    packing = Packing(little=page.packing.little)
    samples: Samples = unpack(data, shape, packing)
    return pack(np.cumsum(samples, axis=1, dtype=samples.dtype), shape, packing)


def _even(data: bytes) -> bytes:
    return data + bytes(len(data) % 2)
