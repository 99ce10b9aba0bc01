"""Mutated deflate streams, walked through block by block, and parts of them put together again."""

import random
import zlib

from seec.pipeline.deflate import WINDOW_BYTES, Blocks, Cut, GzipPart, walk
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.hostile.fuzz.deflate import seeds
from tests.hostile.fuzz.mutation import mutated

LIMIT = 1 << 17


def read_by_zlib(stream: bytes) -> bytes:
    """The content up to where zlib finds damage, or a little less."""
    inflater, content = zlib.decompressobj(-15), b""
    try:
        for byte in stream:
            content += inflater.decompress(bytes([byte]), LIMIT + 1 - len(content))
            if len(content) > LIMIT or inflater.eof:
                break
    except zlib.error:
        pass
    return content


def try_part(stream: bytes, blocks: Blocks, random_: random.Random) -> str:
    """What became of the blocks between two places. AssertionError if others came back."""
    ends = [(0, 0), *zip(blocks.bits.tolist(), blocks.ends.tolist(), strict=True)]
    first, behind = sorted(random_.sample(range(len(ends)), 2))
    (begin, before), (end, after) = ends[first], ends[behind]
    last = blocks.final and behind == len(ends) - 1
    window = blocks.content[max(0, before - WINDOW_BYTES) : before]
    start, stop = begin // 8, len(stream) if last else end // 8
    data = stream[start : stop + (0 if last else 1)]
    cut = Cut((begin - 8 * start, end - 8 * start), window, last)
    part = GzipPart()
    try:
        content, recipe = part.take_apart(data, stop - start, cut, LIMIT)
    except UnreadableImage:
        return "refused"
    assert content == blocks.content[before:after], "another content"
    assert part.pack(content, recipe) == stream[start:stop], "other bytes came back"
    try:
        part.pack(content, mutated(recipe, random_))
    except SectionCorrupt:
        return "recipe refused"
    return "recipe read"


class Fuzzed:
    """Walks through streams, of which half are mutated."""

    cost = 4

    def __init__(self) -> None:
        self._files = [stream for stream in seeds() if len(stream) < 4000]

    def __call__(self, random_: random.Random) -> str:
        """What became of a stream. AssertionError where it broke a rule."""
        stream = random_.choice(self._files)
        if random_.randrange(2):
            stream = mutated(stream, random_)
        blocks = walk(stream, 0, b"", LIMIT)
        assert read_by_zlib(stream).startswith(blocks.content), "zlib reads something else"
        if not len(blocks.bits):
            return "damaged"
        at = random_.randrange(len(blocks.bits))
        bit, end = int(blocks.bits[at]), int(blocks.ends[at])
        window = blocks.content[max(0, end - WINDOW_BYTES) : end]
        rest = walk(stream, bit, window, LIMIT) if bit // 8 < len(stream) else None
        if (
            rest is not None
            and len(rest.bits)
            and not (blocks.final and at + 1 == len(blocks.bits))
        ):
            assert (window + rest.content).startswith(window + blocks.content[end:])
        walk(stream, random_.randrange(8 * len(stream)), window, LIMIT)
        return try_part(stream, blocks, random_)
