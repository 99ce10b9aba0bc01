"""What becomes of a member that an index delimits."""

from collections.abc import Callable
from dataclasses import dataclass

from seec.pipeline.containers.carving import carve, end_of_jpeg, is_image
from seec.pipeline.containers.packings import PACKINGS, comes_back
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, LEAST_NAMED_BYTES, Span
from seec.pipeline.images.ranges import Ranges
from seec.schemas.errors import UnreadableImage

# A recipe that is longer, as a part of the packed bytes, would cost more than the image saves.
_MOST_RECIPE = 0.25


@dataclass(frozen=True)
class Look:
    """How to look into a member.

    spans: in its bytes. spans_in: in a piece of a file that is within another one, by where it
    begins and what is known of the file. wants: whether a packed member that begins so is worth
    unpacking: an image, or a container. note: told, in words that go on from "not opened:", why a
    member is left alone.
    """

    spans: Callable[[bytes], tuple[Span, ...]]
    spans_in: Callable[[bytes, int, Ranges], tuple[Span, ...]]
    wants: Callable[[bytes], bool]
    note: Callable[[str], None] = lambda reason: None


def member(data: bytes, start: int, name: str | None, look: Look) -> Span | None:
    """The span of a member, or None where it holds no image.

    data: all its bytes. start: where they lie. A JPEG file with other images behind it is a
    container of them all.
    """
    inner = inside(data, look)
    return None if inner is None else Span(start, len(data), name, members=inner)


def packed_member(
    packing: str,
    data: bytes,
    start: int,
    name: str | None,
    inner: Callable[[bytes], tuple[Span, ...] | None],
    limit: int,
) -> Span | None:
    """The same for packed bytes; None, too, where a recipe would not pay or gives other bytes.

    inner: spans in the content, as `inside`. limit: of the content, in bytes.
    """
    try:
        content, recipe = PACKINGS[packing].unpack(data, limit)
    except UnreadableImage:
        return None
    spans = inner(content) if len(recipe) <= _MOST_RECIPE * len(data) else None
    if spans is None or not comes_back(packing, data, content, recipe):
        return None
    return Span(start, len(data), name, packing, content, recipe, spans)


def inside(data: bytes, look: Look) -> tuple[Span, ...] | None:
    """Spans in the bytes of a member; none where it is an image, None where it holds none."""
    if len(data) < LEAST_NAMED_BYTES:
        return None
    return _several(data) if is_image(data) else look.spans(data) or None


def _several(data: bytes) -> tuple[Span, ...]:
    """The images of a file that begins with one; none where it is the only one."""
    end = end_of_jpeg(data)
    if end is None or len(data) - end < LEAST_CARVED_BYTES:
        return ()
    others = carve(data[end:])
    return (Span(0, end), *(one.moved(end) for one in others)) if others else ()
