"""Files whose samples lie between other bytes, by their format description alone."""

import itertools
import lzma
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from tests.archives.plain_fax import fax
from tests.archives.plain_ljpeg import ljpeg
from tests.archives.plain_rice import rice
from tests.vectors import plain_deflate

Rasters = list[NDArray[Any]]


class Kind(NamedTuple):
    """How a raster lies in a file. coding: from method to bytes of the recipe."""

    flags: int
    alignment: int
    more: int = 0
    coding: tuple[int, ...] = ()
    recipe: bytes = b""


def spliced(rasters: Rasters, depths: list[int], envelope: bytes, exact: int) -> bytes:
    """The file. exact: the first byte of the envelope, which follows without it."""
    (count,) = struct.unpack_from("<I", envelope)
    kinds, position = [], 4
    for _ in range(count):
        kind = Kind(*struct.unpack_from("<BB", envelope, position))
        position += 2
        if kind.flags & 64:
            kind = kind._replace(more=envelope[position])
            position += 1
        if kind.flags & 128:
            *coding, size = struct.unpack_from("<4B3I", envelope, position)
            recipe = envelope[position + 16 : position + 16 + size]
            kind = kind._replace(coding=tuple(coding), recipe=recipe)
            position += 16 + size
        kinds.append(kind)
    (gap_count,) = struct.unpack_from("<I", envelope, position)
    placed, gap_count = gap_count >> 31, gap_count & 0x7FFFFFFF
    form = "<3I" if placed else "<2I"
    position += 4
    gaps = list(struct.iter_unpack(form, envelope[position:][: struct.calcsize(form) * gap_count]))
    rest = envelope[position + struct.calcsize(form) * gap_count :]
    pieces = [
        (kind, list(pieces_of(samples, depth, kind)))
        for samples, depth, kind in zip(rasters, depths, kinds, strict=True)
    ]
    string = b""
    for kind, parts in pieces:
        string += bytes(kind.coding[5]) if kind.coding and not exact else b"".join(parts)
    data, at, filled = b"", 0, []
    for before, size, *begin in gaps:
        at = begin[0] if placed else at
        filled.append((len(data) + before, at, size))
        data += rest[:before] + string[at : at + size]
        rest, at = rest[before:], at + size
    assert placed or at == len(string)
    return data + rest if exact else repointed(data + rest, pieces, filled)


def pieces_of(samples: NDArray[Any], depth: int, kind: Kind) -> Iterator[bytes]:
    """What a raster takes in the file, piece by piece."""
    rows = samples[::-1] if kind.flags & 2 else samples
    if kind.flags & 4:
        rows = np.concatenate([rows[:, :, 2::-1], rows[:, :, 3:]], axis=2)
    rows = as_stored(rows, kind.flags >> 3 & 3)
    if kind.more & 128:
        top, bottom = rows[:, :, :2], rows[:, :, 2:]
        rows = np.stack([top, bottom], axis=1).reshape(2 * len(rows), -1, 2)
    elif kind.more & 48:
        planes = [rows[:, :, i] for i in range(rows.shape[2])]
        if kind.more & 32:
            places = range(depth - 8, -8, -8)
            planes, depth = [plane >> at & 255 for plane in planes for at in places], 8
        rows = np.concatenate(planes)[:, :, None]
    elif kind.flags & 32:
        rows = np.concatenate([rows[:, :, i] for i in range(rows.shape[2])], axis=1)[:, :, None]
    lines = packed(rows, kind.more & 15 or depth, kind.flags & 1, kind.alignment)
    if not kind.coding:
        yield b"".join(lines)
        return
    method, predictor, size, numbers, height, *_ = kind.coding
    lines = [predicted(line, predictor, size, numbers, kind.flags & 1) for line in lines]
    parts = [lines[top : top + height] for top in range(0, len(lines), height)]
    parts = [shuffled(part, size) for part in parts] if predictor == 4 else parts
    for part, recipe in zip(parts, recipes(kind.recipe, len(parts)), strict=True):
        yield compressed(part, method, recipe, rows.shape[1] * rows.shape[2], size)


def as_stored(samples: NDArray[Any], numbers: int) -> NDArray[Any]:
    """The bits of numbers: 1 with sign, 2 floating point."""
    if numbers == 0:
        return samples
    bits = 8 * samples.itemsize
    top, full = 1 << (bits - 1), (1 << bits) - 1
    values = samples.astype(np.int64)
    stored = np.where((values < top) & (numbers == 2), full - values, values ^ top)
    return stored.astype(samples.dtype)


def packed(samples: NDArray[Any], depth: int, order: int, alignment: int) -> list[bytes]:
    """The rows of a raster as files hold them."""
    rows = []
    for row in samples.reshape(len(samples), -1):
        if depth < 8 and order:
            each = 8 // depth
            parts = [row[i : i + each].tolist() for i in range(0, len(row), each)]
            line = bytes(sum(v << depth * k for k, v in enumerate(part)) for part in parts)
        elif depth not in (8, 16, 32):
            bits = "".join(f"{sample:0{depth}b}" for sample in row)
            bits += "0" * (-len(bits) % 8)
            line = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        else:
            line = row.astype(f"{'<' if order else '>'}u{depth // 8}").tobytes()
        rows.append(line + bytes(-len(line) % alignment))
    return rows


def predicted(line: bytes, predictor: int, size: int, numbers: int, little: int) -> bytes:
    if predictor == 2:
        order = "little" if little else "big"
        values = [int.from_bytes(line[i : i + size], order) for i in range(0, len(line), size)]
        left = [0] * numbers + values
        return b"".join(
            ((value - before) % (1 << 8 * size)).to_bytes(size, order)
            for value, before in zip(values, left, strict=False)
        )
    if predictor == 3:
        order = range(size - 1, -1, -1) if little else range(size)
        line = b"".join(line[byte::size] for byte in order)
        left = bytes(numbers) + line
        return bytes((v - before) % 256 for v, before in zip(line, left, strict=False))
    return line


def shuffled(lines: list[bytes], size: int) -> list[bytes]:
    """One line: the first bytes of all numbers, then the second ones."""
    data = b"".join(lines)
    return [b"".join(data[byte::size] for byte in range(size))]


def recipes(joined: bytes, count: int) -> list[bytes]:
    if not joined:
        return [b""] * count
    joined, parts = zlib.decompress(joined), []
    while joined:
        (size,) = struct.unpack_from("<I", joined)
        parts.append(joined[4 : 4 + size])
        joined = joined[4 + size :]
    return parts


def compressed(
    rows: list[bytes], method: int, recipe: bytes, width: int = 0, size: int = 1
) -> bytes:
    data = b"".join(rows)
    if method == 10:
        return ljpeg(np.frombuffer(data, f"<u{size}").tolist(), recipe)
    if method == 11:
        return rice(np.frombuffer(data, f">i{size}").tolist(), 8 * size)
    if method in (6, 7):
        coded = fax(rows, width, recipe)
        return coded if method == 6 else bytes(int(f"{byte:08b}"[::-1], 2) for byte in coded)
    if method == 1:
        return lzw(data, recipe)
    if method == 2:
        rule, tail = recipe[:1] or b"\0", recipe[1:]
        if rule == b"\2":
            return packbits(data, tail)
        return packbits(data, b"".join(map((heads_of, threes_of)[rule[0]], rows))) + tail
    if recipe and method == 3:
        return zlib_stream(data, recipe)
    if method == 8:
        mixed = data[::2] + data[1::2]
        steps = [(one - other + 128) % 256 for other, one in itertools.pairwise(mixed)]
        return zlib_stream(mixed[:1] + bytes(steps), recipe) if recipe else data
    if method == 9:
        size = int.from_bytes(recipe[:4], "little")
        stream = plain_deflate.rebuild(data, recipe[4 + size :])
        tail = struct.pack("<II", zlib.crc32(data), len(data) % 2**32)
        return recipe[4 : 4 + size] + stream + tail
    return {3: zlib.compress, 4: zstandard.compress, 5: lzma.compress}[method](data)


def gzipped(rasters: Rasters, depths: list[int], envelope: bytes) -> bytes:
    """A gzip file with a file of another format, whose name comes first."""
    at = 1 + envelope[0]
    recipe = recipe_of(envelope[at:])
    data = spliced(rasters, depths, envelope[at + 4 + len(recipe) :], 1)
    return gzip_member(data, recipe)


def gzip_member(data: bytes, recipe: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", recipe)
    stream = plain_deflate.rebuild(data, recipe[4 + size :])
    return recipe[4 : 4 + size] + stream + struct.pack("<II", zlib.crc32(data), len(data) % 2**32)


def recipe_of(data: bytes) -> bytes:
    return data[4 : 4 + int.from_bytes(data[:4], "little")]


def zlib_stream(data: bytes, recipe: bytes) -> bytes:
    stream = plain_deflate.rebuild(data, recipe[2:])
    return recipe[:2] + stream + struct.pack(">I", zlib.adler32(data))


class Lzw:
    """Codes as a string of bits, and the strings that they have taught."""

    def __init__(self) -> None:
        self.bits, self.codes, self.known = "", 0, dict[bytes, int]()

    def put(self, code: int) -> None:
        self.codes += 1
        size = 9 + (self.codes >= 255) + (self.codes >= 767) + (self.codes >= 1791)
        self.bits += f"{code:0{size}b}"

    def clear(self) -> None:
        self.put(256)
        self.codes, self.known = 0, {}

    def longest(self, data: bytes) -> int:
        """Put the code of the longest known string with which the data begins; its size."""
        size = 1
        while size < len(data) and data[: size + 1] in self.known:
            size += 1
        self.put(self.known[data[:size]] if size > 1 else data[0])
        if 257 + self.codes < 4096 and size < len(data):
            self.known[data[: size + 1]] = 257 + self.codes
        return size


def lzw(data: bytes, recipe: bytes) -> bytes:
    out = Lzw()
    if not recipe:
        out.clear()
        while data:
            data = data[out.longest(data) :]
            if out.codes == 3836:
                out.clear()
        out.put(257)
        return whole(out.bits)
    (count,) = struct.unpack_from("<I", recipe)
    clears, tail = struct.unpack_from(f"<{count}I", recipe, 4), recipe[4 + 4 * count :]
    for start, stop in zip((0, *clears), (*clears, len(data)), strict=True):
        if start or (clears and clears[0] == 0 and stop):
            out.clear()
        part = data[start:stop]
        while part:
            part = part[out.longest(part) :]
    coded = bytearray(whole(out.bits))
    if len(out.bits) % 8 and tail:
        coded[-1] |= tail[0]
        tail = tail[1:]
    return bytes(coded) + tail


def whole(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


def heads_of(row: bytes) -> bytes:
    """The bytes that say how many follow, for one row."""
    runs: list[list[int]] = []  # bytes, whether they are a run
    parts = [len(found[0]) for found in re.finditer(rb"(.)\1*", row, re.DOTALL)]
    parts = [min(128, size - i) for size in parts for i in range(0, size, 128)]
    for place, size in enumerate(parts):
        following = parts[place + 1] if place + 1 < len(parts) else 0
        literal = runs[-1] if runs and not runs[-1][1] else None
        if size == 1 and literal and literal[0] < 128:
            literal[0] += 1
        elif size == 2 and literal and literal[0] <= 126 and following == 1:
            literal[0] += 2
        else:
            runs.append([size, size > 1])
    return bytes(257 - size if run else size - 1 for size, run in runs)


def threes_of(row: bytes) -> bytes:
    """The same, for literals that go on up to three equal bytes."""
    heads = b""
    while row:
        run = max(i for i in range(1, min(128, len(row)) + 1) if row[:i] == row[:1] * i)
        if run == 1:
            three = re.search(rb"(.)\1\1", row, re.DOTALL)
            run = min(128, three.start() if three else len(row))
            heads += bytes([run - 1])
        else:
            heads += bytes([257 - run])
        row = row[run:]
    return heads


def packbits(data: bytes, heads: bytes) -> bytes:
    out, place = b"", 0
    while data:
        head = heads[place]
        place += 1
        out += bytes([head])
        if head < 128:
            out += data[: head + 1]
            data = data[head + 1 :]
        elif head > 128:
            out += data[:1]
            data = data[257 - head :]
    return out + heads[place:]


def repointed(
    data: bytes, rasters: list[tuple[Kind, list[bytes]]], filled: list[tuple[int, int, int]]
) -> bytes:
    """A TIFF file with new pieces at its end. filled: offsets, where in the string, and sizes."""
    out = bytearray(data)
    places = [
        (begin + offset - start, where, counts)
        for where, counts, offset, size in lists(data)
        for start, begin, room in filled
        if size and start <= offset < start + room
    ]
    begin = 0
    for kind, parts in rasters:
        end = begin + (kind.coding[5] if kind.coding else sum(map(len, parts)))
        if kind.coding:
            within = sorted(place for place in places if begin <= place[0] < end)
            for (_, where, counts), part in zip(within, parts, strict=True):
                struct.pack_into(where[1], out, where[0], len(out))
                struct.pack_into(counts[1], out, counts[0], len(part))
                out += part
        begin = end
    return bytes(out)


Number = tuple[int, str]  # where it stands, and what it is


def lists(data: bytes) -> Iterator[tuple[Number, Number, int, int]]:
    """Of each strip and tile where its offset and its size stand, and what they are."""
    for tags in directories(data):
        for offsets, sizes in ((273, 279), (324, 325)):
            if offsets in tags:
                for one, other in zip(tags[offsets], tags[sizes], strict=True):
                    yield one[0], other[0], one[1], other[1]


def directories(data: bytes) -> Iterator[dict[int, list[tuple[Number, int]]]]:
    """The whole numbers of each directory, by tag."""
    order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
    word = order + ("Q" if big else "I")
    word_bytes = struct.calcsize(word)
    queue = list(struct.unpack_from(word, data, 8 if big else 4))
    seen = {0}
    while queue:
        at = queue.pop(0)
        if at in seen:
            continue
        seen.add(at)
        tags: dict[int, list[tuple[Number, int]]] = {}
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
        at += 8 if big else 2
        for entry in range(at, at + count * (4 + 2 * word_bytes), 4 + 2 * word_bytes):
            tag, kind, n = struct.unpack_from(f"{order}HH{word[1]}", data, entry)
            form = order + {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(kind, "x")
            size, here = struct.calcsize(form), entry + 4 + word_bytes
            if size * n > word_bytes:
                (here,) = struct.unpack_from(word, data, here)
            if form[1] != "x":
                places = [(here + i * size, form) for i in range(n)]
                tags[tag] = [(place, *struct.unpack_from(form, data, place[0])) for place in places]
        yield tags
        below = [offset for _, offset in tags.get(330, [])]
        at += count * (4 + 2 * word_bytes)
        queue = [*below, *struct.unpack_from(word, data, at), *queue]
