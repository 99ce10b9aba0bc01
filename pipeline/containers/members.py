"""What becomes of a member that an index delimits."""

from collections.abc import Callable

from seec.pipeline.containers.carving import carve, end_of_jpeg, is_image
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, LEAST_NAMED_BYTES, Span

# Spans in the bytes of a member.
Look = Callable[[bytes], tuple[Span, ...]]


def member(data: bytes, start: int, name: str | None, look: Look) -> Span | None:
    """The span of a member, or None where it holds no image.

    data: all its bytes. start: where they lie. look: finds spans in what is no image itself. A
    JPEG file with other images behind it is a container of them all.
    """
    members = ()
    if len(data) < LEAST_NAMED_BYTES:
        return None
    if is_image(data):
        members = _several(data)
    else:
        members = look(data)
        if not members:
            return None
    return Span(start, len(data), name, members=members)


def _several(data: bytes) -> tuple[Span, ...]:
    """The images of a file that begins with one; none where it is the only one."""
    end = end_of_jpeg(data)
    if end is None or len(data) - end < LEAST_CARVED_BYTES:
        return ()
    others = carve(data[end:])
    return (Span(0, end), *(one.moved(end) for one in others)) if others else ()
