"""PNG of any colour type and depth, as one raster.

Envelope: the 13 bytes of the IHDR chunk's body, uint32 little-endian length of the first part, the
first part (all bytes between IHDR and the first IDAT), where the file comes back byte for byte
uint32 length of the recipe (see `png_stream`) and the recipe, then the second part (all bytes after
the last IDAT, IEND and trailing bytes included). Palette and transparency are chunks of the first
part. The header of a file that does not come back byte for byte is not interlaced.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats import png_file, png_stream
from seec.pipeline.images.formats.format import Content, Format, ReadAt
from seec.pipeline.images.formats.png_file import Header
from seec.pipeline.images.raster import Meaning, Packing, Raster, pack, unpack
from seec.schemas.errors import UnreadableImage
from seec.schemas.planes import Shape

_SIZE = struct.Struct("<I")
_PALETTE, _GRAY, _RGB = 3, 0, 2  # colour types
# Colour types of 8 bits by bytes of a pixel.
_STAND_INS = {1: 0, 2: 4, 3: 2, 4: 6}
_LEVEL = 6
_NO_FILTER, _ALL_FILTERS = 0x08, 0xF8  # as libpng names them
_TRANSPARENCY = b"tRNS"
_SIGNING = (b"caBX", b"dSIG")


class Png(Format):
    """PNG with one picture."""

    name = "PNG"
    has_comments = True

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(png_file.SIGNATURE)

    def shapes(self, data: bytes) -> list[Shape]:
        """As `Format.shapes`."""
        return [png_file.read_header(data).shape]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """As `Format.read`: the exact one last, since it takes long to find how."""
        header = png_file.read_header(data)
        first, image_data, second = png_file.parts(data, png_file.ANIMATION)
        samples = unpack(_rows(header, image_data).tobytes(), header.shape, Packing())
        rasters = [Raster(samples, header.depth, _meaning(header, first))]
        if not keep_file:
            plain = replace(header, interlaced=0)
            yield Content(rasters, _envelope(plain, first, second), exact=False)
        recipe = png_stream.find_recipe(header, image_data)
        envelope = _envelope(header, first, _SIZE.pack(len(recipe)) + recipe + second)
        yield Content(rasters, envelope, exact=True)
        raise UnreadableImage("PNG that does not come back byte for byte")

    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """As `Format.write`."""
        header, first, second = _split(envelope)
        if [raster.shape for raster in rasters] != [header.shape]:
            raise UnreadableImage("envelope of a PNG file does not fit its picture")
        rows = np.frombuffer(pack(rasters[0].samples, header.shape, Packing()), np.uint8)
        rows = rows.reshape(header.height, -1)
        if exact:
            recipe, second = _split_sized(second)
            image_data = png_stream.recompress(header, rows, recipe)
        else:
            image_data = _compressed(header, rows, 0 if quick else _LEVEL)
        head = png_file.SIGNATURE + png_file.chunk(b"IHDR", header.body())
        return head + first + image_data + second

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`."""
        del read_at
        header = png_file.read_header(head)
        return header.width, header.height

    def signature(self, data: bytes) -> str | None:
        """As `Format.signature`: chunks that do, too."""
        kinds = (kind for kind, _, _ in png_file.chunks(data) if kind in _SIGNING)
        return next((f"chunk {kind.decode()}" for kind in kinds), super().signature(data))

    def with_comment(self, data: bytes, text: str) -> bytes:
        """As `Format.with_comment`: a tEXt chunk before the image data."""
        begin = next(start for kind, start, _ in png_file.chunks(data) if kind == b"IDAT")
        comment = png_file.chunk(b"tEXt", b"Comment\0" + text.encode("ascii"))
        return data[:begin] + comment + data[begin:]


def _meaning(header: Header, first: bytes) -> Meaning:
    """first: the chunks between IHDR and the first IDAT."""
    if header.color == _PALETTE:
        return Meaning.INDICES
    kinds = (kind for kind, _, _ in png_file.chunks_of(first))
    direct = header.color in (_GRAY, _RGB) and _TRANSPARENCY not in kinds
    return Meaning.COLOUR if direct else Meaning.OTHER


def _envelope(header: Header, first: bytes, rest: bytes) -> bytes:
    return header.body() + _SIZE.pack(len(first)) + first + rest


def _split(envelope: bytes) -> tuple[Header, bytes, bytes]:
    """Header, first part, and the rest of an envelope."""
    header = png_file.parse_header(envelope[: png_file.HEADER_BYTES])
    return header, *_split_sized(envelope[png_file.HEADER_BYTES :])


def _split_sized(data: bytes) -> tuple[bytes, bytes]:
    """As many bytes as the uint32 before them says, and what follows them."""
    end = _SIZE.size + (_SIZE.unpack_from(data)[0] if len(data) >= _SIZE.size else 0)
    if end > len(data):
        raise UnreadableImage("envelope of a PNG file is cut short")
    return data[_SIZE.size : end], data[end:]


def _rows(header: Header, image_data: bytes) -> NDArray[np.uint8]:
    """The bytes of all rows, without filters: [height, bytes]."""
    if header.pixel_bytes not in _STAND_INS:
        decoded = png_file.decode(header, image_data)
        return decoded.astype(">u2").view(np.uint8).reshape(header.height, -1)
    # Filters work on bytes, so a file of 8 bits with pixels of as many bytes has the same rows.
    row_bytes = Packing().row_bytes(header.shape)
    stand_in = Header(
        row_bytes // header.pixel_bytes,
        header.height,
        8,
        _STAND_INS[header.pixel_bytes],
        header.interlaced,
    )
    decoded = png_file.decode(stand_in, image_data).astype(np.uint8, copy=False)
    return decoded.reshape(header.height, row_bytes)


def _compressed(header: Header, rows: NDArray[np.uint8], level: int) -> bytes:
    """IDAT chunks with these rows of bytes, filtered where that makes them smaller."""
    if header.pixel_bytes in _STAND_INS:
        pixels = rows.reshape(header.height, -1, header.pixel_bytes)
    else:
        pixels = rows.view(">u2").astype(np.uint16).reshape(header.height, header.width, -1)
    plain = header.depth < 8 or header.color == _PALETTE or level == 0
    filters = _NO_FILTER if plain else _ALL_FILTERS
    # The room that imagecodecs makes leaves out the byte that says how each row is filtered.
    stream = rows.size + len(rows)
    room = stream + stream // 64 + 4096
    file = bytes(imagecodecs.png_encode(pixels, level=level, filter=filters, out=room))
    return b"".join(file[a:b] for kind, a, b in png_file.chunks(file) if kind == b"IDAT")
