"""Mutated deflate streams and recipes: each stream comes back bit for bit or is refused."""

import random
import zlib
from collections.abc import Iterable, Iterator

from seec.pipeline.deflate import analyse, rebuild
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.deflated import FOREIGN, flushed, odd_stream, zlib_stream
from tests.hostile.fuzz.mutation import mutated
from tests.pictures import textured

LIMIT = 1 << 17
Parts = tuple[bytes, bytes]


def seeds() -> list[bytes]:
    """Small streams of all kinds."""
    picture = textured(12, 17, 7).tobytes()
    words = b"".join(b"%d and %d\n" % (i, i * i % 77) for i in range(150))
    noise = random.Random(1).randbytes(700)
    files = [odd_stream(seed)[0] for seed in range(20)]
    for data in (picture, words, words + noise + picture):
        files += [zlib_stream(data, level) for level in (0, 1, 4, 9)]
        files += [zlib_stream(data, 6, 1), zlib_stream(data, 6, 8, zlib.Z_RLE)]
        files += [compress(data) for compress in FOREIGN.values()]
        files += [flushed(data, piece=100), flushed(data, zlib.Z_FULL_FLUSH, 200)]
    return files


def inflated(stream: bytes) -> tuple[bytes, int] | None:
    """Content and bytes used by zlib; None where it refuses the stream."""
    inflater = zlib.decompressobj(-15)
    try:
        content = inflater.decompress(stream, LIMIT + 1)
    except zlib.error:
        return None
    if not inflater.eof or len(content) > LIMIT:
        return None
    return content, len(stream) - len(inflater.unused_data)


def try_stream(stream: bytes) -> str:
    """What became of it: back, refused. AssertionError where it is neither."""
    try:
        content, recipe, used = analyse(stream, LIMIT)
    except UnreadableImage:
        return "refused"
    assert rebuild(content, recipe) == stream[:used], "another stream came back"
    assert inflated(stream) == (content, used), "zlib reads something else"
    return "back"


def try_recipe(parts: Parts, random_: random.Random) -> str:
    """What became of a damaged recipe, or of one with content that is not its own."""
    content, recipe = parts
    if random_.random() < 0.8:
        recipe = mutated(recipe, random_)
    if random_.random() < 0.3:
        content = mutated(content, random_) if content else random_.randbytes(100)
    try:
        stream = rebuild(content, recipe)
    except SectionCorrupt:
        return "recipe refused"
    assert len(stream) <= 2 * len(content) + (1 << 17), "larger than a stream of it may be"
    return "recipe read"


class Fuzzed:
    """Tries streams, and each third time a recipe."""

    def __init__(self) -> None:
        self._files = seeds()
        self._sources = list(_taken_apart(self._files))

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where it broke a rule."""
        if random_.randrange(3) == 0:
            return try_recipe(random_.choice(self._sources), random_)
        return try_stream(mutated(random_.choice(self._files), random_))


def _taken_apart(files: Iterable[bytes]) -> Iterator[Parts]:
    for stream in files:
        try:
            content, recipe, _ = analyse(stream, LIMIT)
        except UnreadableImage:
            continue
        yield content, recipe
