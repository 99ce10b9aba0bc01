"""How strips and tiles are compressed, and compressed again to the same bytes.

A recipe tells what whoever compressed them chose, as far as the bytes of the samples do not. An
empty one stands for the way of libtiff.
"""

import lzma
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from seec.pipeline.deflate import Gzip, Zlib
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from seec.schemas.limits import MAX_RECIPE_BYTES, MAX_SAMPLE_BYTES

try:
    from seec.pipeline.images import _pieces
except ImportError:  # installed without a C compiler
    _pieces = None

_DAMAGE = (
    ValueError,
    SectionCorrupt,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
)
_SIZE = struct.Struct("<I")
_NONE, _HORIZONTAL, _FLOATS = 1, 2, 3  # predictors
_RULES, _NO_RULE = (0, 1), b"\2"  # of PackBits
_TAIL = b"\1"  # of a recipe that is nothing but a tail, which may be empty
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_CHECK_BYTES = 1 << 16
_SMALL = 128  # bytes of a recipe that is never too large
_QUICK, _USUAL = 1, 6  # levels of zlib


@dataclass(frozen=True)
class Coding:
    """How the pieces of a raster are compressed.

    method: of METHODS. predictor: 1 for none, 2 for differences of numbers, 3 for differences of
    the bytes of floating point numbers. rows: of a piece; the last one may have fewer.
    number_bytes: of a number that is predicted. numbers: of a pixel.
    """

    method: int
    predictor: int
    rows: int
    number_bytes: int
    numbers: int


class Row(NamedTuple):
    """A row before it is compressed. samples: in it. bits: of a sample."""

    size_bytes: int
    samples: int
    bits: int


class Method(ABC):
    """A method of compression. Instances hold no state.

    Methods raise UnreadableImage or what is in _DAMAGE for bytes that are damaged.
    """

    number: ClassVar[int]

    @abstractmethod
    def read(self, data: bytes, size_bytes: int, row: Row) -> tuple[bytes, bytes | None]:
        """What was compressed, as many bytes as that, and a recipe; None where there is none."""

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
        try:
            return Zlib().unpack(data, size_bytes)
        except UnreadableImage:  # something behind it, or a writer that is hard to follow
            return self.plain(data, size_bytes, row), None

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
    )
}
FAX, PACK_BITS = (_Fax.number, _ReversedFax.number), _PackBits.number
EXR_ZIP, GZIP, LOSSLESS_JPEG = _ExrZip.number, _Gzip.number, _LosslessJpeg.number


def decoded(
    pieces: Sequence[bytes],
    coding: Coding,
    height: int,
    row: Row,
    little: bool,
    most_recipe: float | None = None,
) -> tuple[bytes, bytes | None]:
    """The rows of all pieces, and the recipe for all of them; None where one has none.

    height: of all rows. little: whether the lowest byte of a number comes first. most_recipe: a
    recipe that takes a larger share of the pieces is given up, soon. UnreadableImage if the pieces
    do not give so many rows.
    """
    rows: list[bytes] = []
    recipes: list[bytes | None] = []
    taken, check_at = 0, _CHECK_BYTES
    method = METHODS[coding.method]
    try:
        for piece, size_bytes in zip(pieces, _sizes(coding, height, row), strict=True):
            if None in recipes[-1:]:
                plain, recipe = method.plain(piece, size_bytes, row), None
            else:
                plain, recipe = method.read(piece, size_bytes, row)
            if len(plain) != size_bytes:
                raise UnreadableImage("a strip or tile of another size than its rows need")
            rows.append(_predicted(plain, coding, row.size_bytes, little, undo=True))
            recipes.append(recipe)
            taken += len(piece)
            if most_recipe is not None and taken >= check_at:
                check_at = 2 * taken
                if _is_large(_joined(recipes), most_recipe * taken):
                    recipes.append(None)
    except _DAMAGE as error:
        raise UnreadableImage(f"damaged strip or tile: {error}") from None
    recipe = _joined(recipes)
    if most_recipe is not None and _is_large(recipe, most_recipe * taken):
        recipe = None
    return b"".join(rows), recipe


def decoded_alone(piece: bytes, coding: Coding, height: int, row: Row, little: bool) -> bytes:
    """The rows of one piece, without a recipe. Raises as `decoded`."""
    size_bytes = height * row.size_bytes
    try:
        plain = METHODS[coding.method].plain(piece, size_bytes, row)
    except _DAMAGE as error:
        raise UnreadableImage(f"damaged strip or tile: {error}") from None
    if len(plain) != size_bytes:
        raise UnreadableImage("a strip or tile of another size than its rows need")
    return _predicted(plain, coding, row.size_bytes, little, undo=True)


def _is_large(recipe: bytes | None, most: float) -> bool:
    return len(recipe or b"") > _SMALL + most


def encoded(rows: bytes, coding: Coding, row: Row, little: bool, recipe: bytes) -> Iterator[bytes]:
    """Each piece again. UnreadableImage if the recipe cannot be."""
    sizes = list(_sizes(coding, len(rows) // row.size_bytes, row))
    recipes = _parted(recipe, len(sizes))
    try:
        for plain, own in zip(
            _parts(rows, coding, sizes, row.size_bytes, little), recipes, strict=True
        ):
            yield METHODS[coding.method].write(plain, row, own)
    except _DAMAGE:
        raise UnreadableImage("recipe of a strip or tile that cannot be") from None


def encoded_anew(
    rows: bytes, coding: Coding, row: Row, little: bool, *, quick: bool
) -> Iterator[bytes]:
    """Each piece, compressed in whatever way."""
    sizes = list(_sizes(coding, len(rows) // row.size_bytes, row))
    for plain in _parts(rows, coding, sizes, row.size_bytes, little):
        yield METHODS[coding.method].write_anew(plain, row, quick=quick)


def _sizes(coding: Coding, height: int, row: Row) -> Iterator[int]:
    for top in range(0, height, coding.rows):
        yield min(coding.rows, height - top) * row.size_bytes


def _parts(
    rows: bytes, coding: Coding, sizes: Sequence[int], row_bytes: int, little: bool
) -> Iterator[bytes]:
    """What is compressed of each piece."""
    start = 0
    for size_bytes in sizes:
        part = rows[start : start + size_bytes]
        yield _predicted(part, coding, row_bytes, little, undo=False)
        start += size_bytes


def _joined(recipes: Sequence[bytes | None]) -> bytes | None:
    """One recipe of those of all pieces: nothing if all are empty."""
    if None in recipes:
        return None
    if not any(recipes):
        return b""
    joined = b"".join(_SIZE.pack(len(one or b"")) + (one or b"") for one in recipes)
    return zlib.compress(joined, 9) if len(joined) <= MAX_RECIPE_BYTES else None


def _parted(recipe: bytes, count: int) -> list[bytes]:
    if not recipe:
        return [b""] * count
    try:
        joined = zlib.decompressobj().decompress(recipe, MAX_RECIPE_BYTES)
        parts: list[bytes] = []
        at = 0
        for _ in range(count):
            (size,) = _SIZE.unpack_from(joined, at)
            parts.append(joined[at + _SIZE.size : at + _SIZE.size + size])
            at += _SIZE.size + size
    except (zlib.error, struct.error):
        raise UnreadableImage("damaged recipe of strips or tiles") from None
    return parts


def _predicted(data: bytes, coding: Coding, row_bytes: int, little: bool, *, undo: bool) -> bytes:
    """Rows with prediction, or without it again."""
    if coding.predictor == _NONE or not data:
        return data
    rows = np.frombuffer(data, np.uint8).reshape(-1, row_bytes)
    if coding.predictor == _HORIZONTAL:
        dtype = np.dtype(f"{'<' if little else '>'}u{coding.number_bytes}")
        return _summed(rows.view(dtype), coding.numbers, undo).astype(dtype, copy=False).tobytes()
    # The highest bytes of all numbers of a row come first, then those below, whatever the order.
    parts = (len(rows), coding.number_bytes, row_bytes // coding.number_bytes)
    if undo:
        mixed = _summed(rows, coding.numbers, undo).reshape(parts)
        high_first = np.moveaxis(mixed, 1, 2)
        return np.ascontiguousarray(high_first[:, :, ::-1] if little else high_first).tobytes()
    numbers = rows.reshape(parts[0], parts[2], parts[1])
    mixed = np.moveaxis(numbers[:, :, ::-1] if little else numbers, 2, 1).reshape(len(rows), -1)
    return _summed(mixed, coding.numbers, undo).tobytes()


def _summed(rows: NDArray[Any], step: int, undo: bool) -> NDArray[Any]:
    """Differences to the value `step` places before, or the values again; both modulo 2^n."""
    native = rows.astype(rows.dtype.newbyteorder("="))
    pixels = native.reshape(len(rows), -1, step)
    if undo:
        return np.cumsum(pixels, axis=1, dtype=native.dtype).reshape(rows.shape)
    pixels[:, 1:] -= pixels[:, :-1].copy()
    return pixels.reshape(rows.shape)


def check_coding(coding: Coding, row: Row) -> None:
    """UnreadableImage unless there may be such pieces, of such rows."""
    known = coding.method in METHODS and coding.predictor in (_NONE, _HORIZONTAL, _FLOATS)
    size = coding.number_bytes * coding.numbers
    predictable = coding.predictor == _NONE or (
        coding.numbers >= 1
        and coding.number_bytes in ((1, 2, 4, 8) if coding.predictor == _HORIZONTAL else (2, 4, 8))
        and row.size_bytes % size == 0
    )
    if coding.method in FAX:
        predictable = coding.predictor == _NONE and row.bits == 1
    if coding.method == LOSSLESS_JPEG:
        whole = row.bits in (8, 16) and row.bits == 8 * coding.number_bytes
        predictable = coding.predictor == _NONE and whole
    if not known or not predictable or not 1 <= coding.rows <= MAX_SAMPLE_BYTES:
        raise UnreadableImage("strips or tiles that are compressed in no known way")


def _extension() -> Any:
    if _pieces is None:
        raise UnreadableImage("the C extension that takes TIFF files apart was not built")
    return _pieces
