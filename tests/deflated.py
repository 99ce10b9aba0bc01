"""Raw deflate streams of many programs, and streams that no program writes."""

import random
import struct
import zlib
from collections.abc import Callable

import imagecodecs

from seec.pipeline.images.formats.png_file import SIGNATURE, chunk
from tests.pictures import textured


def zlib_stream(
    data: bytes, level: int = 6, memory_level: int = 8, strategy: int = 0, window_bits: int = 15
) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory_level, strategy)
    return compressor.compress(data) + compressor.flush()


def flushed(data: bytes, mode: int = zlib.Z_SYNC_FLUSH, piece: int = 3000) -> bytes:
    """Flushed behind each piece."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    pieces = (data[i : i + piece] for i in range(0, len(data), piece))
    out = b"".join(compressor.compress(p) + compressor.flush(mode) for p in pieces)
    return out + compressor.flush()


def zlib_ng(data: bytes, level: int) -> bytes:
    return bytes(imagecodecs.zlibng_encode(data, level=level))[2:-4]


def libdeflate(data: bytes, level: int) -> bytes:
    return bytes(imagecodecs.deflate_encode(data, level=level, raw=True))


def zopfli(data: bytes) -> bytes:
    return bytes(imagecodecs.zopfli_encode(data))[2:-4]


FOREIGN: dict[str, Callable[[bytes], bytes]] = {
    **{f"zlib-ng {n}": lambda data, n=n: zlib_ng(data, n) for n in (1, 2, 3, 6, 9)},
    **{f"libdeflate {n}": lambda data, n=n: libdeflate(data, n) for n in (1, 3, 6, 9, 12)},
    "zopfli": zopfli,
}


def contents() -> dict[str, bytes]:
    """Bytes of several kinds."""
    noise = random.Random(1).randbytes(40000)
    picture = textured(120, 160).tobytes()
    return {
        "nothing": b"",
        "a byte": b"a",
        "a run": b"a" * 70000,
        "noise": noise,
        "a picture": picture,
        "words": b"".join(b"%d and %d make %d\n" % (i, i * i % 77, i * 7) for i in range(5000)),
        "all": picture[:30000] + noise[:20000] + bytes(40000) + picture + noise + picture[:9000],
    }


class Writer:
    """A bit at a time, the lowest of each byte first."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def number(self, value: int, count: int) -> None:
        self.bits += [value >> i & 1 for i in range(count)]

    def code(self, value: int, count: int) -> None:
        self.bits += [value >> i & 1 for i in reversed(range(count))]

    def done(self, random_: random.Random) -> bytes:
        """The bytes; bits behind the last one are any."""
        while len(self.bits) % 8:
            self.bits.append(random_.randrange(2))
        bits = self.bits
        return bytes(
            sum(bit << j for j, bit in enumerate(bits[i : i + 8])) for i in range(0, len(bits), 8)
        )


def codes(lengths: list[int]) -> dict[int, tuple[int, int]]:
    """Code and its length, by symbol."""
    code, found = 0, {}
    for length in range(1, 16):
        for symbol, wanted in enumerate(lengths):
            if wanted == length:
                found[symbol] = code, length
                code += 1
        code <<= 1
    return found


def split_lengths(symbols: list[int], most: int, random_: random.Random) -> dict[int, int]:
    """Lengths of a whole code for these symbols, without any thought of how often they come."""
    if len(symbols) == 1:
        return {symbols[0]: 1}
    lengths = [1, 1]
    while len(lengths) < len(symbols):
        short = [i for i, n in enumerate(lengths) if n < most]
        at = random_.choice(short)
        lengths[at : at + 1] = [lengths[at] + 1] * 2
    random_.shuffle(lengths)
    return dict(zip(symbols, lengths, strict=True))


ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def odd_trees(w: Writer, random_: random.Random) -> tuple[list[int], list[int]]:
    """The header of a dynamic block with more symbols than it needs, in odd steps."""
    # All literals, the end, all lengths but the longest, which not all such blocks have.
    literals = list(range(random_.choice((285, 286))))
    distances = list(range(random_.choice((1, 12, 30))))
    by_literal = split_lengths(literals, 15, random_)
    by_distance = split_lengths(distances, 15, random_)
    lengths = [by_literal[s] for s in literals] + [0] * random_.randrange(287 - len(literals))
    hlit = len(lengths)
    lengths += [by_distance[s] for s in distances] + [0] * random_.randrange(31 - len(distances))
    steps: list[tuple[int, int]] = []
    i = 0
    while i < len(lengths):
        run = 1
        while i + run < len(lengths) and lengths[i + run] == lengths[i]:
            run += 1
        if i and lengths[i] == lengths[i - 1] and run >= 3 and random_.random() < 0.7:
            steps.append((16, random_.randint(3, min(6, run))))
        elif lengths[i] == 0 and run >= 11 and random_.random() < 0.7:
            steps.append((18, random_.randint(11, min(138, run))))
        elif lengths[i] == 0 and run >= 3 and random_.random() < 0.7:
            steps.append((17, random_.randint(3, min(10, run))))
        else:
            steps.append((lengths[i], 1))
        i += steps[-1][1]
    used = sorted({symbol for symbol, _ in steps} | {0, 1})
    by_step = split_lengths(used, 7, random_)
    step_lengths = [by_step.get(s, 0) for s in range(19)]
    count = random_.randint(max(4, max(k for k, s in enumerate(ORDER) if step_lengths[s]) + 1), 19)
    w.number(hlit - 257, 5)
    w.number(len(lengths) - hlit - 1, 5)
    w.number(count - 4, 4)
    for symbol in ORDER[:count]:
        w.number(step_lengths[symbol], 3)
    by_symbol = codes(step_lengths)
    for symbol, run in steps:
        w.code(*by_symbol[symbol])
        if symbol >= 16:
            w.number(run - (11 if symbol == 18 else 3), {16: 2, 17: 3, 18: 7}[symbol])
    return lengths[:hlit], lengths[hlit:]


def odd_tokens(
    w: Writer, out: bytearray, lengths: list[int], distances: list[int], random_: random.Random
) -> None:
    """Literals and matches as chance has them."""
    literal, distance = codes(lengths), codes(distances)
    for _ in range(random_.choice((0, 1, 30, 300))):
        known = [s for s in distance if s < 2 and s < len(out)]
        if known and random_.random() < 0.4:
            symbol = random_.randrange(257, 265)
            w.code(*literal[symbol])
            chosen = random_.choice(known)
            w.code(*distance[chosen])
            for _ in range(symbol - 254):
                out.append(out[-1 - chosen])
        else:
            byte = random_.randrange(97, 100)
            w.code(*literal[byte])
            out.append(byte)
    w.code(*literal[256])


def odd_stream(seed: int) -> tuple[bytes, bytes]:
    """A sound stream that no program writes, and its content."""
    random_ = random.Random(seed)
    w, out = Writer(), bytearray()
    blocks = random_.randint(1, 6)
    for i in range(blocks):
        w.number(i == blocks - 1, 1)
        kind = random_.randrange(3)
        w.number(kind, 2)
        if kind == 0:
            while len(w.bits) % 8:
                w.bits.append(random_.randrange(2))
            size = random_.choice((0, 1, 200))
            w.number(size, 16)
            w.number(size ^ 0xFFFF, 16)
            body = bytes(random_.randrange(97, 100) for _ in range(size))
            out += body
            for byte in body:
                w.number(byte, 8)
        elif kind == 1:
            fixed = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
            odd_tokens(w, out, fixed, [5] * 30, random_)
        else:
            odd_tokens(w, out, *odd_trees(w, random_), random_)
    return w.done(random_), bytes(out)


def odd_png(samples: int) -> bytes:
    """A sound black PNG of 90 x 70 whose stream no program writes: any lengths and distances."""
    row_bytes = 1 + 90 * samples
    size = 70 * row_bytes
    random_, w = random.Random(0), Writer()
    w.number(3, 3)
    at = 0
    while at < size:
        if at < 5 or size - at < 7 or random_.random() < 0.2:
            w.code(0x30, 8)
            at += 1
            continue
        symbol = random_.randrange(4)
        w.code(symbol + 1, 7)
        w.code(random_.randrange(4), 5)
        at += symbol + 3
    w.code(0, 7)
    stream = b"\x78\x9c" + w.done(random_) + zlib.adler32(bytes(size)).to_bytes(4, "big")
    header = struct.pack(">IIBBBBB", 90, 70, 8, {3: 2, 4: 6}[samples], 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
    return SIGNATURE + chunks
