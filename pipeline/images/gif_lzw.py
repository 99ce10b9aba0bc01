"""The LZW streams of GIF: read with what tells how they were written, and written so again.

Most programs write the longest string that they know, so that all there is to choose is when to
forget all strings, and that is kept. What others write differently is found by comparing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UnreadableImage

MAX_BITS = 12
_MAX_CODES = 1 << MAX_BITS
_POWERS = 1 << np.arange(MAX_BITS + 1)


@dataclass(frozen=True)
class Stream:
    """Indices, and what was chosen when they were written.

    clears: before which index each clear code stands, in order. tail: the last byte with bits of
    an index, those bits zero, and all bytes after it.
    """

    indices: bytes
    clears: tuple[int, ...]
    tail: bytes


def read(data: bytes, bits: int, count: int) -> Stream:
    """The first `count` indices, of `bits` bits. UnreadableImage if they are not there."""
    clear = 1 << bits
    first = [bytes([index]) for index in range(clear)] + [b"", b""]
    strings, size, last = first[:], bits + 1, b""
    parts: list[bytes] = []
    clears: list[int] = []
    value = available = at = done = 0
    try:
        while done < count:
            while available < size:
                value |= data[at] << available
                at, available = at + 1, available + 8
            code = value & ((1 << size) - 1)
            value, available = value >> size, available - size
            if code == clear:
                strings, size, last = first[:], bits + 1, b""
                clears.append(done)
                continue
            string = last + last[:1] if code == len(strings) else strings[code]
            if not string:
                raise UnreadableImage("damaged GIF file: a code that cannot be")
            if last and len(strings) < _MAX_CODES:
                strings.append(last + string[:1])
                size = min(len(strings).bit_length(), MAX_BITS)
            parts.append(string)
            done, last = done + len(string), string
    except IndexError:
        raise UnreadableImage("damaged GIF file: image data that is cut short") from None
    if done > count:
        raise UnreadableImage("damaged GIF file: more image data than its size needs")
    tail = data[at:]
    if available:
        tail = bytes([(value << (8 - available)) & 255]) + tail
    return Stream(b"".join(parts), tuple(clears), tail)


def write(stream: Stream, bits: int) -> bytes:
    """The bytes that `read` read, where whoever wrote them took the longest strings."""
    clear, start = 1 << bits, 0
    codes: list[list[int]] = []
    for stop in stream.clears:
        some, start = _codes(stream.indices, start, stop, clear)
        codes.append([*some, clear])
    codes.append(_codes(stream.indices, start, len(stream.indices), clear)[0])
    packed, used = _pack(codes, bits)
    if used and stream.tail:
        return packed[:-1] + bytes([packed[-1] | stream.tail[0]]) + stream.tail[1:]
    return packed + stream.tail


def write_anew(indices: bytes, bits: int) -> bytes:
    """A stream of these indices, with a clear code at the beginning and where strings run out."""
    clear, start = 1 << bits, 0
    codes = [[clear]]
    while start < len(indices):
        some, start = _codes(indices, start, len(indices), clear, until_full=True)
        codes.append([*some, clear if start < len(indices) else clear + 1])
    return _pack(codes, bits)[0]


def _codes(
    indices: bytes, start: int, stop: int, clear: int, until_full: bool = False
) -> tuple[list[int], int]:
    """The codes of indices from start to stop, of the longest strings; where they end."""
    if start >= stop:
        return [], start
    known: dict[int, int] = {}
    codes: list[int] = []
    following, string = clear + 2, indices[start]
    for at in range(start + 1, stop):
        index = indices[at]
        longer = known.get(string << 8 | index)
        if longer is not None:
            string = longer
            continue
        codes.append(string)
        if following < _MAX_CODES:
            known[string << 8 | index] = following
            following += 1
        elif until_full:
            return codes, at
        string = index
    codes.append(string)
    return codes, stop


def _pack(codes: Iterable[Sequence[int]], bits: int) -> tuple[bytes, int]:
    """Codes one after the other, from the lowest bit of each byte on; bits used of the last byte.

    codes: those between clear codes, each with its clear code.
    """
    known = (1 << bits) + 2
    all_codes: list[NDArray[np.uint16]] = []
    all_sizes: list[NDArray[np.intp]] = []
    for some in codes:
        # A reader learns a string from each code but the first.
        strings = known + np.maximum(np.arange(len(some)) - 1, 0)
        sizes = np.searchsorted(_POWERS, strings, side="right")
        all_codes.append(np.array(some, np.uint16))
        all_sizes.append(np.minimum(sizes, MAX_BITS))
    sizes = np.concatenate(all_sizes)
    places = np.arange(MAX_BITS)
    values = np.concatenate(all_codes)[:, None] >> places.astype(np.uint16) & 1
    packed = np.packbits(values[places < sizes[:, None]].astype(bool), bitorder="little")
    return packed.tobytes(), int(sizes.sum()) % 8
