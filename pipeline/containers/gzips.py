"""Gzip files of an image or of what holds images: `.tar.gz`, `.tgz`, `.jpg.gz`.

Files of up to 64 MiB are taken whole, larger ones in parts (see `gzip_stream`). What
`packings.PACKINGS` reproduces is one member of gzip; what lies behind it stays as it is.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress

from seec.pipeline.containers.carving import carve
from seec.pipeline.containers.gzip_stream import CONTENT_BYTES, Stream
from seec.pipeline.containers.last import Last
from seec.pipeline.containers.members import Look, inside, packed_member
from seec.pipeline.containers.packings import comes_back
from seec.pipeline.containers.span import Span
from seec.pipeline.deflate import Cut, GzipPart
from seec.pipeline.images.ranges import Parts, Ranges
from seec.schemas.errors import UnreadableImage

_MAGIC = b"\x1f\x8b\x08"
_BITS = 31  # of zlib's window, with a header of gzip
_PEEKED_BYTES = 4096
_LAST, _PART = Last(Stream), GzipPart()
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
        with suppress(UnreadableImage):
            span = _part(piece, start, ranges, look)
    elif look.wants(begin(piece[: 16 * _PEEKED_BYTES], _PEEKED_BYTES)):
        span = packed_member("gzip", piece, 0, None, inner, MOST_CONTENT_BYTES)
        if span is None and not empty:
            look.note("its gzip stream is none that can be written again: unpack it")
    if span is not None:
        yield span
    else:
        yield from carve(piece)


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`: where a block begins, for a tar one right before a member.

    At the position where the stream is damaged.
    """
    try:
        place = _LAST.get(ranges).place(ranges, position)
    except UnreadableImage:
        return position
    return ranges.size_bytes if place is None else place.mark.byte


def _part(piece: bytes, start: int, ranges: Ranges, look: Look) -> Span | None:
    """The span of a part, which is the whole piece; None if no images are in it.

    UnreadableImage if it cannot be written again.
    """
    stream, behind = _LAST.get(ranges), start + len(piece)
    first = stream.place(ranges, start)
    if first is None or (start and first.mark.byte != start):
        return None
    following = stream.place(ranges, behind) if behind < ranges.size_bytes else None
    if following is not None and following.mark.byte != behind:
        return None
    if following is None:
        end, extra = stream.end(ranges, first.mark), 0
    else:
        end, extra = following.mark.bit, following.extra
    where = (first.mark.bit - 8 * start, end - 8 * start)
    data = piece if following is None else piece + ranges.read(behind, 1)
    one = Cut(where, stream.needed(ranges, first.mark), following is None, extra)
    content, recipe = _PART.take_apart(data, len(piece), one, MOST_CONTENT_BYTES)
    if extra and following is not None:
        content += stream.content(ranges, following.mark, extra)
    if not comes_back("gzip-part", piece, content, recipe):
        raise UnreadableImage("a part of a gzip member that does not come back")
    # What is known of the whole content: its beginning, and the part.
    parts = Parts(CONTENT_BYTES, ((first.mark.at, content), (0, stream.head)))
    spans = look.spans_in(content, first.mark.at, parts)
    return Span(0, len(piece), None, "gzip-part", content, recipe, spans) if spans else None


def begin(head: bytes, most: int) -> bytes:
    """The first bytes of the content, `most` of them at most; of a damaged file there are none."""
    try:
        return zlib.decompressobj(_BITS).decompress(head, most)
    except zlib.error:
        return b""
