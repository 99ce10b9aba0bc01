"""How strips and tiles are compressed, and compressed again to the same bytes."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.formats.piece_methods import (
    DAMAGE,
    FAX,
    LOSSLESS_JPEG,
    METHODS,
    RICE,
    Row,
)
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RECIPE_BYTES, MAX_SAMPLE_BYTES

_SIZE = struct.Struct("<I")
_NONE, _HORIZONTAL, _FLOATS, SHUFFLED = 1, 2, 3, 4  # predictors
_CHECK_BYTES = 1 << 16
_SMALL = 128  # bytes of a recipe that is never too large


@dataclass(frozen=True)
class Coding:
    """How the pieces of a raster are compressed.

    method: of METHODS. predictor: 1 for none, 2 for differences of numbers, 3 for differences of
    the bytes of floating point numbers, 4 for the first bytes of all numbers of a piece before the
    second ones. rows: of a piece; the last one may have fewer. number_bytes: of a number that is
    predicted. numbers: of a pixel.
    """

    method: int
    predictor: int
    rows: int
    number_bytes: int
    numbers: int


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
    read = method.reader()
    try:
        for piece, size_bytes in zip(pieces, _sizes(coding, height, row), strict=True):
            if None in recipes[-1:]:
                plain, recipe = method.plain(piece, size_bytes, row), None
            else:
                plain, recipe = read(piece, size_bytes, row)
            if len(plain) != size_bytes:
                raise UnreadableImage("a strip or tile of another size than its rows need")
            rows.append(_predicted(plain, coding, row.size_bytes, little, undo=True))
            recipes.append(recipe)
            taken += len(piece)
            if most_recipe is not None and taken >= check_at:
                check_at = 2 * taken
                if _is_large(_joined(recipes), most_recipe * taken):
                    recipes.append(None)
    except DAMAGE as error:
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
    except DAMAGE as error:
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
    except DAMAGE:
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
    if coding.predictor == SHUFFLED:
        each = (-1, coding.number_bytes) if not undo else (coding.number_bytes, -1)
        return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(each).T).tobytes()
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
    known = coding.method in METHODS and coding.predictor in (_NONE, _HORIZONTAL, _FLOATS, SHUFFLED)
    size = coding.number_bytes * coding.numbers
    predictable = coding.predictor == _NONE or (
        coding.numbers >= 1
        and coding.number_bytes in ((1, 2, 4, 8) if coding.predictor == _HORIZONTAL else (2, 4, 8))
        and row.size_bytes % size == 0
    )
    if coding.method in FAX:
        predictable = coding.predictor == _NONE and row.bits == 1
    if coding.method == RICE:
        whole = row.bits in (8, 16, 32) and row.size_bytes * 8 == row.samples * row.bits
        predictable = coding.predictor == _NONE and whole
    if coding.method == LOSSLESS_JPEG:
        whole = row.bits in (8, 16) and row.bits == 8 * coding.number_bytes
        predictable = coding.predictor == _NONE and whole
    if not known or not predictable or not 1 <= coding.rows <= MAX_SAMPLE_BYTES:
        raise UnreadableImage("strips or tiles that are compressed in no known way")
