"""Rasters of one shape to bytes and back."""

import struct
from collections.abc import Sequence

import numpy as np
import zstandard

from seec.pipeline.deep.mapping import (
    Samples,
    plans,
    read_gaps,
    remainder,
    to_numbers,
    to_samples,
)
from seec.pipeline.deep.native import Numbers, decode_group, encode_group
from seec.schemas.deep import (
    ACROSS,
    HOLES,
    PACKED,
    REPEATS,
    DeepCode,
    Layout,
    Part,
    group_size,
    is_codable,
    parse,
    parts,
    serialise,
)
from seec.schemas.errors import SectionCorrupt
from seec.schemas.planes import Shape

_LEAST_TRIED, _MOST_TRIED = 1 << 13, 1 << 15  # samples that each way is tried with
_QUICK, _THOROUGH = 6, 19  # levels of zstd
_SIZE = struct.Struct("<I")
_RARE = 0.01  # of all numbers
_NEARLY = 1.01  # times the code, of what zstd makes quickly: then it gets all its time


def encode(rasters: Sequence[Samples], depth: int) -> bytes | None:
    """The code of rasters, all [height, width, samples of a pixel]; None if they are not for it.

    depth: bits of a sample; floating point by its bits.
    """
    height, width, samples = rasters[0].shape
    shape = Shape(width, height, samples, depth)
    layouts = plans(rasters, depth, group_size(shape, len(rasters))) if is_codable(shape) else []
    if not layouts:
        return None
    layout = _choose(layouts, rasters, shape)
    code = _encoded(rasters, shape, layout)
    # Of floats that repeat, whatever they are, zstd may be the best coder, and not of their parts.
    if layout is not layouts[0] and _packs(rasters, shape, layouts[0], len(code)):
        code = min(code, _encoded(rasters, shape, layouts[0]), key=len)
    return code


def _encoded(rasters: Sequence[Samples], shape: Shape, layout: Layout) -> bytes:
    gaps = read_gaps(layout.gaps)
    ways: list[int] = []
    codes: list[bytes] = []
    for part in parts(shape, len(rasters), layout):
        samples = _planes(rasters, part)
        coder = _mixed if layout.meaning.has_parts else _smallest
        way, code = coder(to_numbers(samples, shape.depth, layout, gaps), layout.top)
        if layout.meaning.has_parts:
            code = _SIZE.pack(len(code)) + code + remainder(samples, layout)
        ways.append(way)
        codes.append(code)
    return serialise(DeepCode(layout, tuple(ways), tuple(codes)))


def _planes(rasters: Sequence[Samples], part: Part) -> Samples:
    """[slices, samples of a pixel, rows, width] of a group."""
    return np.stack([np.moveaxis(one[part.rows], 2, 0) for one in rasters[part.slices]])


def _choose(layouts: Sequence[Layout], rasters: Sequence[Samples], shape: Shape) -> Layout:
    """The layout with which some samples are smallest."""
    if len(layouts) == 1:
        return layouts[0]
    first = _planes(rasters, parts(shape, len(rasters), layouts[0])[0])
    some = _some(first, _MOST_TRIED // 2)

    def size(layout: Layout) -> int:
        numbers = to_numbers(some, shape.depth, layout, read_gaps(layout.gaps))
        rest = remainder(some, layout) if layout.meaning.has_parts else b""
        way = max(_repeats(numbers, layout.top), default=0)
        return len(encode_group(numbers, layout.top, way)) + len(rest)

    return min(layouts, key=size)


def _packs(rasters: Sequence[Samples], shape: Shape, layout: Layout, most: int) -> bool:
    """Whether zstd is quick to make less than `most` bytes of all numbers."""
    gaps, total = read_gaps(layout.gaps), 0
    for part in parts(shape, len(rasters), layout):
        numbers = to_numbers(_planes(rasters, part), shape.depth, layout, gaps)
        total += len(_packed(_shuffled(numbers, layout.top), _QUICK))
    return total < most


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
        payload, rest = _split(payload) if code.layout.meaning.has_parts else (payload, b"")
        numbers = _decoded(payload, (slices, shape.samples, rows, shape.width), code.layout, way)
        values = to_samples(numbers, shape.depth, code.layout, gaps, rest)
        for raster, planes in zip(rasters[part.slices], values, strict=True):
            raster[part.rows] = np.moveaxis(planes, 0, 2)
    return rasters


def _split(payload: bytes) -> tuple[bytes, bytes]:
    """The code of numbers, and what they leave of samples."""
    if len(payload) < _SIZE.size:
        raise SectionCorrupt("samples: a group without the size of its numbers")
    (size,) = _SIZE.unpack_from(payload)
    if size > len(payload) - _SIZE.size:
        raise SectionCorrupt("samples: numbers that end too early")
    return payload[_SIZE.size : _SIZE.size + size], payload[_SIZE.size + size :]


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
    tried = _some(numbers)
    choices = [_repeats(tried, top) if top > 1 else (), (ACROSS,) if len(numbers) > 1 else ()]
    way, codes = REPEATS if top == 1 else 0, dict[int, bytes]()
    for flags in filter(None, choices):
        for each in (way, *(way | flag for flag in flags)):
            if each not in codes:
                codes[each] = encode_group(tried, top, each)
        way = min(codes, key=lambda each: len(codes[each]))
    if way in codes and tried.size == numbers.size:
        return way, codes[way]
    return way, encode_group(numbers, top, way)


def _some(planes: Samples, most: int = _MOST_TRIED) -> Samples:
    """The middle rows of up to four slices in the middle, with enough samples to try ways with."""
    slices, bands, _, width = planes.shape
    at = slice(slices // 2, slices // 2 + 4) if slices > 4 else slice(0, 4)
    count = min(most, max(_LEAST_TRIED, planes.size // 4))
    rows = max(1, count // (len(planes[at]) * bands * width))
    start = max(0, (planes.shape[2] - rows) // 2)
    return np.ascontiguousarray(planes[at, :, start : start + rows])


def _repeats(numbers: Numbers, top: int) -> tuple[int, ...]:
    """What to try of REPEATS and HOLES: what a hundredth of the numbers may gain from."""
    ends = (numbers == 0) | (numbers == top)
    repeated = ends.copy()
    repeated[..., 1:] |= numbers[..., 1:] == numbers[..., :-1]
    repeated[..., 1:, :] |= numbers[..., 1:, :] == numbers[..., :-1, :]
    if repeated.mean() < _RARE:
        return ()
    return (REPEATS,) if ends.mean() < _RARE else (REPEATS, REPEATS | HOLES)


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
