"""Where a file may be cut: the next place of some kind behind a position."""

from collections.abc import Callable

from seec.pipeline.images.ranges import Ranges

# Where so many bytes behind a position hold no such place, a piece begins at the position.
FARTHEST_BYTES = 64 << 20
_FIRST_BYTES, _MOST_READ_BYTES = 1 << 16, 4 << 20

Following = Callable[[bytes], int | None]


def ahead(ranges: Ranges, position: int, following: Following, more_bytes: int) -> int | None:
    """The first place at or behind a position; the size of the file if there is none within it.

    following: the first place in some bytes, or None. more_bytes: behind a place that it looks at.
    None if 64 MiB show no place, and the file goes on.
    """
    at, length, farthest = position, _FIRST_BYTES, position + FARTHEST_BYTES
    while at < min(ranges.size_bytes, farthest):
        length = min(length, farthest - at)
        found = following(ranges.read(at, length + more_bytes))
        if found is not None and found < length:
            return at + found
        at, length = at + length, min(2 * length, _MOST_READ_BYTES)
    return ranges.size_bytes if at >= ranges.size_bytes else None
