"""Mutated deflate streams and recipes: each stream comes back bit for bit or is refused.

`python -m tests.hostile.fuzz_deflate 100000` runs so many, with the C extension in the file that
the variable SEEC_DEFLATE_EXTENSION names; `make fuzz` makes one with sanitisers. Prints a line at
the end, or the mutation that broke a rule.
"""

import os
import random
import sys
import zlib
from collections import Counter
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

from seec.pipeline.deflate import analyse, rebuild, streams
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.deflated import FOREIGN, flushed, odd_stream, zlib_stream
from tests.hostile.fuzz_jpeg import mutated
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


def main(count: int, seed: int = 0) -> Counter[str]:
    """Try so many mutations."""
    files = seeds()
    sources: list[Parts] = []
    for stream in files:
        try:
            content, recipe, _ = analyse(stream, LIMIT)
        except UnreadableImage:
            continue
        sources.append((content, recipe))
    seen: Counter[str] = Counter()
    for number in range(count):
        random_ = random.Random((seed << 32) + number)
        try:
            if number % 3 == 2:
                seen[try_recipe(random_.choice(sources), random_)] += 1
            else:
                seen[try_stream(mutated(random_.choice(files), random_))] += 1
        except BaseException:
            sys.stderr.write(f"mutation {number} of seed {seed}\n")
            raise
    return seen


def _load(path: str) -> None:
    name = "seec.pipeline.deflate._deflate"
    loader = ExtensionFileLoader(name, path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    streams._deflate = module_from_spec(spec)
    loader.exec_module(streams._deflate)


if __name__ == "__main__":
    if extension := os.environ.get("SEEC_DEFLATE_EXTENSION"):
        _load(extension)
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.stdout.write(f"{dict(main(*arguments))}\n")
