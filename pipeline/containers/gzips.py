"""Gzip files of an image or of what holds images: `.tar.gz`, `.tgz`, `.jpg.gz`.

Nothing of a deflate stream can be written again without all of its content before, so a file is
taken whole or not at all. What `packings.PACKINGS` reproduces is one member of gzip.
"""

import zlib
from collections.abc import Iterator

from seec.pipeline.containers.carving import carve
from seec.pipeline.containers.members import Look, inside, packed_member
from seec.pipeline.containers.span import Span
from seec.pipeline.images.ranges import Ranges

_MAGIC = b"\x1f\x8b\x08"
_BITS = 31  # of zlib's window, with a header of gzip
_PEEKED_BYTES = 4096
# Looking into one takes about six times its content in memory.
MOST_WHOLE_BYTES, MOST_CONTENT_BYTES = 1 << 26, 1 << 27


def matches(head: bytes) -> bool:
    """Whether a file begins as a member of gzip does."""
    return head.startswith(_MAGIC)


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterator[Span]:
    """As `containers.find`: the whole file with packing `gzip`, else what is carved in a piece."""
    empty = False

    def inner(content: bytes) -> tuple[Span, ...] | None:
        nonlocal empty
        spans = inside(content, look)
        empty = spans is None
        return spans

    span = None
    if len(piece) < ranges.size_bytes:
        most = MOST_WHOLE_BYTES >> 20
        look.note(f"it has more than {most} MiB: unpack it to have its images coded")
    elif look.wants(begin(piece[: 16 * _PEEKED_BYTES], _PEEKED_BYTES)):
        span = packed_member("gzip", piece, 0, None, inner, MOST_CONTENT_BYTES)
        if span is None and not empty:
            look.note("its gzip stream is none that can be written again: unpack it")
    if span is not None:
        yield span
    else:
        yield from carve(piece)


def begin(head: bytes, most: int) -> bytes:
    """The first bytes of the content, `most` of them at most; of a damaged file there are none."""
    try:
        return zlib.decompressobj(_BITS).decompress(head, most)
    except zlib.error:
        return b""
