"""The LZW streams of GIF: read with what tells how they were written, and written so again.

Most programs write the longest string that they know, so that all there is to choose is when to
forget all strings, and that is kept. What others write differently is found by comparing.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from seec.schemas.errors import UnreadableImage

MAX_BITS = 12
_MAX_CODES = 1 << MAX_BITS
_MAX_CLEARS = 1 << 20  # far more than any writer needs
_AT_ONCE = 1 << 14  # codes to pack, which take a hundred times their memory
_PLACES = np.arange(MAX_BITS, dtype=np.uint16)
_POWERS = 1 << np.arange(MAX_BITS)  # there are so many sizes, whatever is learned


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
    indices, clears = bytearray(), list[int]()
    value = available = at = 0
    try:
        while len(indices) < count:
            while available < size:
                value |= data[at] << available
                at, available = at + 1, available + 8
            code = value & ((1 << size) - 1)
            value, available = value >> size, available - size
            if code == clear:
                if len(clears) == _MAX_CLEARS:
                    raise UnreadableImage(f"GIF with more than {_MAX_CLEARS} clear codes")
                strings, size, last = first[:], bits + 1, b""
                clears.append(len(indices))
                continue
            string = last + last[:1] if code == len(strings) else strings[code]
            if not string:
                raise UnreadableImage("damaged GIF file: a code that cannot be")
            if last and len(strings) < _MAX_CODES:
                strings.append(last + string[:1])
                size = min(len(strings).bit_length(), MAX_BITS)
            indices += string
            last = string
    except IndexError:
        raise UnreadableImage("damaged GIF file: image data that is cut short") from None
    if len(indices) > count:
        raise UnreadableImage("damaged GIF file: more image data than its size needs")
    tail = data[at:]
    if available:
        tail = bytes([(value << (8 - available)) & 255]) + tail
    return Stream(bytes(indices), tuple(clears), tail)


def write(stream: Stream, bits: int) -> bytes:
    """The bytes that `read` read, where whoever wrote them took the longest strings."""
    packed, used = _pack(_as_cleared(stream, 1 << bits), bits)
    if used and stream.tail:
        packed[-1] |= stream.tail[0]
        return bytes(packed + stream.tail[1:])
    return bytes(packed + stream.tail)


def write_anew(indices: bytes, bits: int) -> bytes:
    """A stream of these indices, with a clear code at the beginning and where strings run out."""
    return bytes(_pack(_when_full(indices, 1 << bits), bits)[0])


def _as_cleared(stream: Stream, clear: int) -> Iterator[int]:
    start = 0
    for stop in stream.clears:
        start = yield from _codes(stream.indices, start, stop, clear)
        yield clear
    yield from _codes(stream.indices, start, len(stream.indices), clear)


def _when_full(indices: bytes, clear: int) -> Iterator[int]:
    start = 0
    while start < len(indices):
        yield clear
        start = yield from _codes(indices, start, len(indices), clear, until_full=True)
    yield clear + 1


def _codes(
    indices: bytes, start: int, stop: int, clear: int, until_full: bool = False
) -> Generator[int, None, int]:
    """The codes of indices from start to stop, of the longest strings; returns where they end."""
    if start >= stop:
        return start
    known: dict[int, int] = {}
    following, string = clear + 2, indices[start]
    for at in range(start + 1, stop):
        index = indices[at]
        longer = known.get(string << 8 | index)
        if longer is not None:
            string = longer
            continue
        yield string
        if following < _MAX_CODES:
            known[string << 8 | index] = following
            following += 1
        elif until_full:
            return at
        string = index
    yield string
    return stop


def _pack(codes: Iterator[int], bits: int) -> tuple[bytearray, int]:
    """Codes, from the lowest bit of each byte on, and how many bits of the last byte they use."""
    packed, left, since = bytearray(), np.zeros(0, np.uint16), 0
    while batch := list(islice(codes, _AT_ONCE)):
        part = np.array(batch, np.uint16)
        # Codes between each and the clear code before it, of which `since` are of other batches.
        places = np.arange(len(part))
        cleared = np.where(part == 1 << bits, places, -1 - since)
        before = np.maximum.accumulate(np.concatenate([[-1 - since], cleared]))
        between = places - 1 - before[:-1]
        since = len(part) - 1 - int(before[-1])
        # A reader learns a string from each of them but the first.
        known = (1 << bits) + 2 + np.maximum(between - 1, 0)
        sizes = np.searchsorted(_POWERS, known, side="right")
        values = (part[:, None] >> _PLACES & 1)[sizes[:, None] > _PLACES]
        ready = np.concatenate([left, values])
        whole = len(ready) & -8
        packed += np.packbits(ready[:whole].astype(bool), bitorder="little").tobytes()
        left = ready[whole:]
    packed += np.packbits(left.astype(bool), bitorder="little").tobytes()
    return packed, len(left)
