"""Packings by what FORMAT.md says, with nothing of the project and nothing beside Python.

Those with deflate streams are read by `tests/vectors/plain_deflate.py`.
"""

import zlib
from collections.abc import Callable
from itertools import product
from math import prod


def _snappy(content: bytes, recipe: bytes) -> bytes:
    out, done, recipe = bytearray(), 0, zlib.decompress(recipe)
    _, at = _number(recipe, 0)
    out += recipe[:at]
    while at < len(recipe):
        b, begin = recipe[at], at
        kind, size = b & 3, b >> 2
        at += 1
        if kind == 0 and size >= 60:
            more = size - 59
            size = int.from_bytes(recipe[at : at + more], "little")
            at += more
        elif kind == 1:
            size = (size & 7) + 3
            at += 1
        elif kind:
            at += 2 if kind == 2 else 4
        out += recipe[begin:at]
        if kind == 0:
            out += content[done : done + size + 1]
        done += size + 1
    return bytes(out)


def _zstd(content: bytes, recipe: bytes) -> bytes:
    out, done, at, recipe = bytearray(), 0, 0, zlib.decompress(recipe)
    while at < len(recipe):
        verbatim, at = _number(recipe, at)
        copied, at = _number(recipe, at)
        passed, at = _number(recipe, at)
        out += recipe[at : at + verbatim]
        at += verbatim
        done += passed
        out += content[done : done + copied]
        done += copied
    return bytes(out)


def _headed(content: bytes, recipe: bytes) -> bytes:
    return recipe[4:] + content[int.from_bytes(recipe[:4], "little") :]


def chunks(content: bytes, recipe: bytes, zlib_stream: Callable[[bytes, bytes], bytes]) -> bytes:
    """zlib_stream: one of a content and a recipe."""
    at = 0

    def numbers(count: int) -> list[int]:
        nonlocal at
        found: list[int] = []
        for _ in range(count):
            value, at = _number(recipe, at)
            found.append(value)
        return found

    size, count = numbers(2)
    grids: list[tuple[list[int], list[int], bytes, int]] = []
    rest = 0
    for _ in range(count):
        (axes,) = numbers(1)
        sizes, edges, (b,) = numbers(axes), numbers(axes), numbers(1)
        grids.append((sizes, edges, recipe[at : at + b], rest))
        at += b
        rest += prod(sizes)
    (count,) = numbers(1)
    listed = [numbers(5) for _ in range(count)]
    out, last = bytearray(), [-1] * len(grids)
    for gap, a, s, f, length in listed:
        last[a] += 1 + (s // 2 if s % 2 == 0 else -(s + 1) // 2)
        out += content[rest : rest + gap]
        rest += gap
        sizes, edges, beyond, begin = grids[a]
        chunk, rest = _one_chunk(content, sizes, edges, beyond, begin, last[a], f, rest)
        if f & 2:
            chunk = b"".join(chunk[i :: len(beyond)] for i in range(len(beyond)))
        if f & 1:
            chunk = zlib_stream(chunk, recipe[at : at + length])
        at += length
        out += chunk + (_fletcher(chunk) if f & 8 else b"")
    out += content[rest:]
    assert len(out) == size
    return bytes(out)


def _one_chunk(
    content: bytes,
    sizes: list[int],
    edges: list[int],
    beyond: bytes,
    begin: int,
    number: int,
    f: int,
    rest: int,
) -> tuple[bytes, int]:
    """Of an array that begins there in the content; and where the rest then begins."""
    start: list[int] = []
    for size, edge in zip(reversed(sizes), reversed(edges), strict=True):
        number, along = divmod(number, -(-size // edge))
        start.insert(0, along * edge)
    chunk = bytearray()
    for place in product(*map(range, edges)):
        at = 0
        for i, first, size in zip(place, start, sizes, strict=True):
            at = at * size + first + i
        if all(i + first < size for i, first, size in zip(place, start, sizes, strict=True)):
            chunk.append(content[begin + at])
        elif f & 4:
            chunk.append(content[rest])
            rest += 1
        else:
            chunk.append(beyond[len(chunk) % len(beyond)])
    return bytes(chunk), rest


def _fletcher(data: bytes) -> bytes:
    low = high = 0
    for i in range(0, len(data), 2):
        low += int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big")
        high += low
    low, high = ((one - 1) % 65535 + 1 if one else 0 for one in (low, high))
    return (low + 65536 * high).to_bytes(4, "little")


def gzip_part(content: bytes, recipe: bytes, rebuild: Callable[[bytes, bytes], bytes]) -> bytes:
    """rebuild: a deflate stream of a content and a recipe."""
    lead, first, flags = recipe[:3]
    sizes = [int.from_bytes(recipe[at : at + 4], "little") for at in range(3, 19, 4)]
    parts, at = [], 19
    for size in sizes[:3]:
        parts.append(recipe[at : at + size])
        at += size
    head, window, tail = parts
    stream = rebuild(window + content[: len(content) - sizes[3]], recipe[at:])
    bits = "".join(f"{byte:08b}"[::-1] for byte in stream[len(window) + 5 if window else 0 :])
    bits = bits[95 + (lead + 1) // 2 % 4 * 10 if lead % 2 else 5 * lead :]
    bits = bits[: len(bits) - (flags & 7) - (0 if flags & 8 else 10)]
    bits = f"{first:08b}"[::-1][:lead] + bits
    if flags & 8:
        bits += "0" * (-len(bits) % 8)
    whole = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits) - 7, 8))
    return head + whole + tail


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


# By packing: the bytes of a part of a file, of its content and recipe.
PLAIN = {"headed": _headed, "snappy": _snappy, "zstd": _zstd}
