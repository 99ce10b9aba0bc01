"""Rasters of one shape to bytes and back."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import zstandard

from seec.pipeline.deep.mapping import Samples, plan, read_gaps, to_numbers, to_samples
from seec.pipeline.deep.native import Numbers, decode_group, encode_group
from seec.schemas.deep import (
    ACROSS,
    HOLES,
    PACKED,
    REPEATS,
    DeepCode,
    Layout,
    group_size,
    is_codable,
    parse,
    parts,
    serialise,
)
from seec.schemas.errors import SectionCorrupt
from seec.schemas.planes import Shape

_LEAST_TRIED, _MOST_TRIED = 1 << 13, 3 << 14  # samples that each way is tried with
_QUICK, _THOROUGH = 6, 19  # levels of zstd
_NEARLY = 1.05  # times the code, of what zstd makes quickly: then it gets all its time


def encode(rasters: Sequence[Samples], depth: int) -> bytes | None:
    """The code of rasters, all [height, width, samples of a pixel]; None if they are not for it.

    depth: bits of a sample; floating point by its bits.
    """
    height, width, samples = rasters[0].shape
    shape = Shape(width, height, samples, depth)
    layout = plan(rasters, depth, group_size(shape, len(rasters))) if is_codable(shape) else None
    if layout is None:
        return None
    gaps = read_gaps(layout.gaps)
    ways: list[int] = []
    codes: list[bytes] = []
    for part in parts(shape, len(rasters), layout):
        numbers = np.stack(
            [
                np.moveaxis(to_numbers(one[part.rows], depth, layout, gaps), 2, 0)
                for one in rasters[part.slices]
            ]
        )
        way, code = _smallest(numbers, layout.top)
        ways.append(way)
        codes.append(code)
    return serialise(DeepCode(layout, tuple(ways), tuple(codes)))


def decode(data: bytes, shape: Shape, count: int) -> list[Samples]:
    """The `count` rasters of a shape that `encode` took. Raises FormatError."""
    code = parse(data, shape, count)
    dtype = {1: np.uint8, 2: np.uint16, 4: np.uint32}[shape.sample_bytes]
    rasters = [np.empty((shape.height, shape.width, shape.samples), dtype) for _ in range(count)]
    gaps = read_gaps(code.layout.gaps)
    for part, way, payload in zip(
        parts(shape, count, code.layout), code.ways, code.codes, strict=True
    ):
        slices, rows = part.slices.stop - part.slices.start, part.rows.stop - part.rows.start
        numbers = _decoded(payload, (slices, shape.samples, rows, shape.width), code.layout, way)
        for raster, planes in zip(rasters[part.slices], numbers, strict=True):
            values = to_samples(planes, shape.depth, code.layout, gaps)
            raster[part.rows] = np.moveaxis(values, 0, 2)
    return rasters


def _smallest(numbers: Numbers, top: int) -> tuple[int, bytes]:
    way, code = _mixed(numbers, top)
    data = _shuffled(numbers, top)
    if len(_packed(data, _QUICK)) < _NEARLY * len(code):
        packed = _packed(data, _THOROUGH)
        if len(packed) < len(code):
            return PACKED, packed
    return way, code


def _mixed(numbers: Numbers, top: int) -> tuple[int, bytes]:
    """The flags with which a part of a group is smallest, and the group coded with them."""
    slices, bands, height, width = numbers.shape
    at = slice(slices // 2, slices // 2 + 4) if slices > 4 else slice(0, 4)
    count = min(_MOST_TRIED, max(_LEAST_TRIED, numbers.size // 4))
    rows = max(1, count // (len(numbers[at]) * bands * width))
    start = max(0, (height - rows) // 2)
    tried = np.ascontiguousarray(numbers[at, :, start : start + rows])
    across = (0, ACROSS) if slices > 1 else (0,)
    repeats = _repeats(tried, top)
    ways = [one | other for one, other in product(across, repeats)]
    way, code = ways[0], b""
    if len(ways) > 1:
        codes = {each: encode_group(tried, top, each) for each in ways}
        way, code = min(codes.items(), key=lambda item: len(item[1]))
        if tried.size == numbers.size:
            return way, code
    return way, encode_group(numbers, top, way)


def _repeats(numbers: Numbers, top: int) -> tuple[int, ...]:
    """What to try of REPEATS and HOLES.

    Both, if a hundredth of the numbers are the one before or above, or at an end of the range.
    """
    if top == 1:
        return (REPEATS,)
    repeated = (numbers == 0) | (numbers == top)
    repeated[..., 1:] |= numbers[..., 1:] == numbers[..., :-1]
    repeated[..., 1:, :] |= numbers[..., 1:, :] == numbers[..., :-1, :]
    return (0, REPEATS, REPEATS | HOLES) if repeated.mean() >= 0.01 else (0,)


def _number_bytes(top: int) -> int:
    return max(1, -(-top.bit_length() // 8))


def _shuffled(numbers: Numbers, top: int) -> bytes:
    """The lowest bytes of all numbers, then the next ones."""
    as_bytes = np.ascontiguousarray(numbers.ravel().astype("<u4")).view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(as_bytes.T[: _number_bytes(top)]).tobytes()


def _packed(data: bytes, level: int) -> bytes:
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(data)


def _decoded(payload: bytes, shape: tuple[int, int, int, int], layout: Layout, way: int) -> Numbers:
    if way != PACKED:
        return decode_group(payload, shape, layout.top, way)
    count, each = int(np.prod(shape)), _number_bytes(layout.top)
    try:
        data = zstandard.ZstdDecompressor().decompress(
            payload, max_output_size=count * each, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise SectionCorrupt(f"samples: {error}") from None
    if len(data) != count * each:
        raise SectionCorrupt("samples: a group of another size")
    planes = np.frombuffer(data, np.uint8).reshape(each, count).astype(np.uint32)
    numbers = sum((planes[i] << np.uint32(8 * i) for i in range(each)), np.zeros(count, np.uint32))
    if int(numbers.max()) > layout.top:
        raise SectionCorrupt("samples: a number above the largest")
    return numbers.reshape(shape)
