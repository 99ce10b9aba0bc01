"""The methods that compress strips and tiles, each written again to the same bytes by a recipe.

A recipe tells what whoever compressed them chose, as far as the bytes of the samples do not. An
empty one stands for the way of libtiff.
"""

import lzma
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import zstandard

from seec.pipeline.deflate import Alike, Gzip, Zlib
from seec.schemas.errors import SectionCorrupt, UnreadableImage

try:
    from seec.pipeline.images import _pieces
except ImportError:  # installed without a C compiler
    _pieces = None

DAMAGE = (
    ValueError,
    SectionCorrupt,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
)
_SIZE = struct.Struct("<I")
_RULES, _NO_RULE = (0, 1), b"\2"  # of PackBits
_TAIL = b"\1"  # of a recipe that is nothing but a tail, which may be empty
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_QUICK, _USUAL = 1, 6  # levels of zlib


class Row(NamedTuple):
    """A row before it is compressed. samples: in it. bits: of a sample."""

    size_bytes: int
    samples: int
    bits: int


Read = Callable[[bytes, int, Row], tuple[bytes, bytes | None]]


class Method(ABC):
    """A method of compression. Instances hold no state.

    Methods raise UnreadableImage or what is in DAMAGE for bytes that are damaged.
    """

    number: ClassVar[int]

    @abstractmethod
    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        """What was compressed, as many bytes as that, and a recipe; None where there is none."""

    def reader(self) -> Read:
        """A `read` for the pieces of one raster, which are often compressed alike."""
        return self.read

    def plain(self, data: bytes, size_bytes: int, row: Row) -> bytes:
        """What was compressed, without a recipe."""
        return self.read(data, size_bytes, row)[0]

    @abstractmethod
    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        """Compressed as the recipe says."""

    def write_anew(self, plain: bytes, row: Row, *, quick: bool) -> bytes:
        """Compressed, in whatever way."""
        del quick
        return self.write(plain, row, b"")


class _Lzw(Method):
    """Recipe: uint32 little-endian number of clear codes, how many bytes are before each, a tail.

    Tail: the last byte with bits of a code before the end code, those bits zero, and all behind.
    """

    number = 1

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        plain, clears, tail = _extension().lzw_read(data, size_bytes)
        if _extension().lzw_write(plain, None, None) == data:
            return plain, b""
        same = _extension().lzw_write(plain, clears, tail) == data
        places = np.frombuffer(clears, np.uint32).astype("<u4").tobytes()
        return plain, _SIZE.pack(len(clears) // 4) + places + tail if same else None

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        if not recipe:
            return _extension().lzw_write(plain, None, None)
        (count,) = _SIZE.unpack_from(recipe)
        places = np.frombuffer(recipe, "<u4", count, _SIZE.size).astype(np.uint32).tobytes()
        return _extension().lzw_write(plain, places, recipe[_SIZE.size + len(places) :])


class _PackBits(Method):
    """Recipe: a byte, and all bytes that follow what its rule gives.

    The rule is 0 for that of libtiff, 1 for that of threes; 2 is for none: the bytes that say how
    many each run or literal gives come first.
    """

    number = 2

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        plain, heads = _extension().packbits_read(data, size_bytes)
        for rule in _RULES:
            code = _extension().packbits_write(plain, row.size_bytes, rule)
            if data.startswith(code):
                tail = data[len(code) :]
                return plain, bytes([rule]) + tail if rule or tail else b""
        same = _extension().packbits_write(plain, row.size_bytes, heads) == data
        return plain, _NO_RULE + heads if same else None

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        rule = recipe[0] if recipe else 0
        if rule in _RULES:
            return _extension().packbits_write(plain, row.size_bytes, rule) + recipe[1:]
        return _extension().packbits_write(plain, row.size_bytes, recipe[1:])


class _Deflate(Method):
    """A zlib stream. Recipe: that of `deflate.Zlib`."""

    number = 3

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        return self.reader()(data, size_bytes, row)

    def reader(self) -> Read:
        streams = Alike()

        def read(data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
            try:
                return streams.unpack(data, size_bytes)
            except UnreadableImage:  # something behind it, or a writer that is hard to follow
                return self.plain(data, size_bytes, row), None

        return read

    def plain(self, data: bytes, size_bytes: int, row: Row) -> bytes:
        stream = zlib.decompressobj()
        plain = stream.decompress(data, size_bytes)
        if stream.decompress(stream.unconsumed_tail, 1) or not stream.eof:
            raise UnreadableImage("damaged strip or tile: more bytes than its rows need, or fewer")
        return plain

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        return Zlib().pack(plain, recipe) if recipe else zlib.compress(plain, _USUAL)

    def write_anew(self, plain: bytes, row: Row, *, quick: bool) -> bytes:
        return zlib.compress(plain, _QUICK if quick else _USUAL)


class _ExrZip(Method):
    """As OpenEXR does: bytes at even places first, differences of these bytes, a zlib stream.

    Recipe: nothing where the samples are as they are, since that is no larger; else that of
    `deflate.Zlib`.
    """

    number = 8

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        if len(data) == size_bytes:
            return data, b""
        mixed, recipe = Zlib().unpack(data, size_bytes)
        steps = np.frombuffer(mixed, np.uint8) + np.uint8(128)
        steps[:1] += np.uint8(128)
        mixed = np.cumsum(steps, dtype=np.uint8)
        plain = np.empty(len(mixed), np.uint8)
        half = -(-len(mixed) // 2)
        plain[::2], plain[1::2] = mixed[:half], mixed[half:]
        return plain.tobytes(), recipe

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        if not recipe:
            return plain
        bytes_ = np.frombuffer(plain, np.uint8)
        mixed = np.concatenate([bytes_[::2], bytes_[1::2]])
        mixed[1:] = mixed[1:] - mixed[:-1] + np.uint8(128)
        return Zlib().pack(mixed.tobytes(), recipe)


class _Gzip(Method):
    """A member of gzip. Recipe: that of `deflate.Gzip`."""

    number = 9

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        return Gzip().unpack(data, size_bytes)

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        return Gzip().pack(plain, recipe)


class _Zstandard(Method):
    """A zstd frame, without a recipe."""

    number = 4

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        with zstandard.ZstdDecompressor().stream_reader(data) as stream:
            return stream.read(size_bytes + 1), None

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        return zstandard.ZstdCompressor(9).compress(plain)


class _Lzma(Method):
    """An xz stream, without a recipe."""

    number = 5

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        return lzma.LZMADecompressor(memlimit=1 << 28).decompress(data, size_bytes + 1), None

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        return lzma.compress(plain)


class _Fax(Method):
    """Group 4 of facsimiles. Recipe: a tail as that of LZW, here behind the last row."""

    number = 6

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        rows = size_bytes // row.size_bytes
        plain, tail = _extension().fax_read(data, rows, row.size_bytes, row.samples)
        if _extension().fax_write(plain, row.size_bytes, row.samples, None) == data:
            return plain, b""
        same = _extension().fax_write(plain, row.size_bytes, row.samples, tail) == data
        return plain, _TAIL + tail if same else None

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        tail = recipe[len(_TAIL) :] if recipe else None
        return _extension().fax_write(plain, row.size_bytes, row.samples, tail)


class _ReversedFax(_Fax):
    """The same; the lowest bit of each byte comes first."""

    number = 7

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        return super().read(data.translate(_REVERSED), size_bytes, row)

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        return super().write(plain, row, recipe).translate(_REVERSED)


class _LosslessJpeg(Method):
    """A JPEG file of process 14, whose numbers have the lowest byte first.

    Its rows may have another size than those of the raster. Recipe: its headers up to that of the
    scan, and a tail as that of LZW, here behind the last sample. There is always one.
    """

    number = 10

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        plain, recipe = _extension().ljpeg_read(data, size_bytes, row.bits // 8)
        same = _extension().ljpeg_write(plain, row.bits // 8, recipe) == data
        return plain, recipe if same else None

    def plain(self, data: bytes, size_bytes: int, row: Row) -> bytes:
        return _extension().ljpeg_read(data, size_bytes, row.bits // 8)[0]

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        return _extension().ljpeg_write(plain, row.bits // 8, recipe)


class _Rice(Method):
    """Rice codes of CFITSIO, of numbers with the highest byte first. There is nothing to choose."""

    number = 11

    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        plain = _extension().rice_read(data, size_bytes, row.bits // 8)
        return plain, b"" if _extension().rice_write(plain, row.bits // 8) == data else None

    def write(self, plain: bytes, row: Row, recipe: bytes) -> bytes:
        return _extension().rice_write(plain, row.bits // 8)


# By number, as envelopes have them.
METHODS: dict[int, Method] = {
    one.number: one
    for one in (
        _Lzw(),
        _PackBits(),
        _Deflate(),
        _Zstandard(),
        _Lzma(),
        _Fax(),
        _ReversedFax(),
        _ExrZip(),
        _Gzip(),
        _LosslessJpeg(),
        _Rice(),
    )
}
FAX, PACK_BITS = (_Fax.number, _ReversedFax.number), _PackBits.number
RICE = _Rice.number
ZLIB = _Deflate.number
EXR_ZIP, GZIP, LOSSLESS_JPEG = _ExrZip.number, _Gzip.number, _LosslessJpeg.number


def _extension() -> Any:
    if _pieces is None:
        raise UnreadableImage("the C extension that takes TIFF files apart was not built")
    return _pieces
