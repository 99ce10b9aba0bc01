"""GIF files: the indices of each frame are a raster, all else stays as it is.

Envelope: uint32 little-endian number of frames; for each frame uint32 `before`, the bytes of the
file between the image data before it (or the beginning) and its own, and a byte, 1 if its rows are
interlaced; uint32 length of the recipe, the recipe; these bytes of the file, then those behind the
last image data. Recipe: a zlib stream of, for each frame, how its image data was written.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats import gif_lzw
from seec.pipeline.images.formats.format import Content, Format, ReadAt
from seec.pipeline.images.raster import Meaning, Raster
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS, MAX_RECIPE_BYTES
from seec.schemas.planes import DEPTHS, Shape

_MAGICS = (b"GIF87a", b"GIF89a")
_SCREEN_BYTES, _IMAGE_BYTES = 13, 10  # with what they begin
_COLOURS, _INTERLACED = 0x80, 0x40  # flags
_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_MOST = 255  # bytes of a block
_COUNT, _FRAME = struct.Struct("<I"), struct.Struct("<IB")
_CUT_SHORT = "damaged GIF file: cut short"


@dataclass(frozen=True)
class _Frame:
    """One picture: where its image data begins and ends, blocks and the empty one included.

    bits: of an index.
    """

    width: int
    height: int
    interlaced: bool
    bits: int
    start: int
    end: int

    @property
    def shape(self) -> Shape:
        """Of its raster."""
        return Shape(self.width, self.height, 1, min(d for d in DEPTHS if d >= self.bits))


class Gif(Format):
    """GIF, still or animated."""

    name = "GIF"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data[:6] in _MAGICS

    def shapes(self, data: bytes) -> list[Shape]:
        """As `Format.shapes`: of all frames."""
        return [frame.shape for frame in _frames(data)]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """As `Format.read`: with a recipe, or without one where it would not be followed."""
        rasters: list[Raster] = []
        recipe, heads, around = bytearray(), bytearray(), bytearray()
        last = 0
        for frame in _frames(data):
            blocks = list(_blocks(data, frame.start))
            stream = gif_lzw.read(b"".join(blocks), frame.bits, frame.width * frame.height)
            recipe += _described(stream, [len(block) for block in blocks])
            rows = np.frombuffer(stream.indices, np.uint8).reshape(frame.height, frame.width)
            samples = np.empty_like(rows)
            samples[_order(frame.height, frame.interlaced)] = rows
            rasters.append(Raster(samples[:, :, None], frame.shape.depth, Meaning.INDICES))
            heads += _FRAME.pack(frame.start - last, frame.interlaced)
            around += data[last : frame.start]
            last = frame.end
        head, around = _COUNT.pack(len(rasters)) + bytes(heads), around + data[last:]
        if len(recipe) <= MAX_RECIPE_BYTES:
            packed = zlib.compress(recipe, 9)
            yield Content(rasters, head + _COUNT.pack(len(packed)) + packed + around, exact=True)
        if not keep_file:
            yield Content(rasters, head + _COUNT.pack(0) + around, exact=False)
        raise UnreadableImage("GIF whose compression cannot be reproduced")

    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """As `Format.write`; an envelope without a recipe gives a file with the same frames."""
        del exact, quick
        try:
            return b"".join(_parts(rasters, envelope))
        except (struct.error, zlib.error, IndexError, ValueError):
            raise UnreadableImage("envelope of a GIF file does not fit its pictures") from None

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`: of the screen on which the frames are shown."""
        del read_at
        width, height = struct.unpack_from("<HH", head, 6)
        return width, height


def _parts(rasters: Sequence[Raster], envelope: bytes) -> Iterator[bytes]:
    (count,) = _COUNT.unpack_from(envelope)
    heads = [_FRAME.unpack_from(envelope, _COUNT.size + i * _FRAME.size) for i in range(count)]
    at = _COUNT.size + count * _FRAME.size
    (size,) = _COUNT.unpack_from(envelope, at)
    recipe = _Recipe(envelope[at + _COUNT.size :][:size]) if size else None
    at += _COUNT.size + size
    for raster, (before, interlaced) in zip(rasters, heads, strict=True):
        yield envelope[at : at + before]
        at += before
        bits = envelope[at - 1]
        samples = raster.samples
        if not 2 <= bits <= 8 or samples.shape[2] != 1 or samples.max() >> bits:
            raise ValueError("indices of more bits than that")
        rows = samples[_order(len(samples), interlaced)]
        yield recipe.image_data(rows.tobytes(), bits) if recipe else _anew(rows.tobytes(), bits)
    yield envelope[at:]


def _anew(indices: bytes, bits: int) -> bytes:
    stream = gif_lzw.write_anew(indices, bits)
    return _in_blocks(stream[i : i + _MOST] for i in range(0, len(stream), _MOST))


def _in_blocks(parts: Iterable[bytes]) -> bytes:
    """Image data: each part behind its length, and the empty one that ends them."""
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _described(stream: gif_lzw.Stream, sizes: list[int]) -> bytes:
    numbers = (len(stream.clears), *stream.clears, len(stream.tail))
    what = struct.pack(f"<{len(numbers)}I", *numbers) + stream.tail
    return what + _COUNT.pack(len(sizes)) + bytes(sizes)


class _Recipe:
    """How the image data of all frames was written, frame by frame."""

    def __init__(self, packed: bytes) -> None:
        inflater = zlib.decompressobj()
        self._data, self._at = inflater.decompress(packed, MAX_RECIPE_BYTES), 0
        if not inflater.eof:
            raise ValueError("recipe that is cut short, or longer than any")

    def image_data(self, indices: bytes, bits: int) -> bytes:
        """The image data of the next frame."""
        (count,) = self._numbers(1)
        clears = self._numbers(count)
        tail = self._bytes(*self._numbers(1))
        sizes = self._bytes(*self._numbers(1))
        stream = gif_lzw.write(gif_lzw.Stream(indices, clears, tail), bits)
        return _in_blocks(
            stream[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)
        )

    def _numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._bytes(4 * count))

    def _bytes(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) != count:
            raise ValueError("recipe is cut short")
        self._at += count
        return part


def _order(height: int, interlaced: bool) -> NDArray[np.intp]:
    """The rows of a picture in the order in which a file has them."""
    rows = np.arange(height)
    if not interlaced:
        return rows
    return np.concatenate([rows[0::8], rows[4::8], rows[2::4], rows[1::2]])


def _frames(data: bytes) -> list[_Frame]:
    """All pictures up to the end of the file or the mark of its end."""
    found: list[_Frame] = []
    try:
        at = _SCREEN_BYTES + _colours(data[10])
        while at < len(data) and data[at] != _END:
            if data[at] == _EXTENSION:
                at = _behind(data, at + 2)
                continue
            if data[at] != _IMAGE:
                raise UnreadableImage("damaged GIF file: what is no block between its blocks")
            if len(found) == MAX_RASTERS:
                raise UnreadableImage(f"GIF with more than {MAX_RASTERS} pictures")
            found.append(_frame(data, at))
            at = found[-1].end
    except (IndexError, struct.error):
        raise UnreadableImage(_CUT_SHORT) from None
    if not found:
        raise UnreadableImage("GIF without a picture")
    return found


def _frame(data: bytes, at: int) -> _Frame:
    width, height, flags = struct.unpack_from("<HHB", data, at + 5)
    start = at + _IMAGE_BYTES + _colours(flags) + 1
    bits = data[start - 1]
    if min(width, height) < 1 or not 2 <= bits <= 8:
        raise UnreadableImage("GIF with a picture of no pixels, or of no known bits")
    return _Frame(width, height, bool(flags & _INTERLACED), bits, start, _behind(data, start))


def _colours(flags: int) -> int:
    """Bytes of the palette that flags announce."""
    return 3 << (flags & 7) + 1 if flags & _COLOURS else 0


def _blocks(data: bytes, at: int) -> Iterator[bytes]:
    """The blocks from here to the empty one. IndexError where the file ends before."""
    while size := data[at]:
        block = data[at + 1 : at + 1 + size]
        if len(block) != size:
            raise IndexError
        yield block
        at += 1 + size


def _behind(data: bytes, at: int) -> int:
    """Where the first empty block ends."""
    while size := data[at]:
        at += 1 + size
    return at + 1
