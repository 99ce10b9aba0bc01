"""Packings by what FORMAT.md says, with nothing of the project and nothing beside Python.

Those with deflate streams are read by `tests/vectors/plain_deflate.py`.
"""

import zlib
from collections.abc import Callable


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
