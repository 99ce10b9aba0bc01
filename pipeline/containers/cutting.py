"""Where a file may be cut whose members have headers: at a header, or within a long member.

A member that may be or hold an image stays whole up to 64 MiB. Any other one, such as a film, is
cut where more than 16 MiB of it are left: pieces take memory.

Bounds: 1 MiB is searched for a header behind a position, then 64 MiB before it. Sixteen headers
there are asked for the length of their member. Where the member is to be cut, `carving.cut` reads
up to 22 MiB around the position, so as to cut no image.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from seec.pipeline.containers.carving import cut as carving_cut
from seec.pipeline.images.ranges import Ranges

# What is left of a member beyond a position is not cut, if it is no more and may hold an image.
FARTHEST_BYTES = 64 << 20
_MOST_LEFT_BYTES = 16 << 20  # the same of other members
_FIRST_BYTES, _MOST_READ_BYTES = 1 << 16, 4 << 20
_NEAR_BYTES = 1 << 20
_MOST_HEADERS = 16


@dataclass(frozen=True)
class Extent:
    """Where the bytes of a member are in its file. deflated: whether they are a deflate stream."""

    start: int
    end: int
    deflated: bool = False


@dataclass(frozen=True)
class Headed:
    """How members of a kind of file are found.

    first: the first header in some bytes, or None. more_bytes: behind a header that it looks at.
    extents: of the members whose headers begin in some bytes, the last first; given these bytes and
    where they begin. wants: whether a member may be or hold an image.
    """

    first: Callable[[bytes], int | None]
    more_bytes: int
    extents: Callable[[bytes, int], Iterable[Extent]]
    wants: Callable[[Extent], bool]


def cut_headed(ranges: Ranges, position: int, kind: Headed) -> int:
    """As `containers.cut`: before a header, or within a long member."""
    found = _ahead(ranges, position, kind)
    if found is not None:
        return found
    member = _around(ranges, position, kind)
    if member is None:
        return carving_cut(ranges, position)
    wanted = kind.wants(member)
    if member.end - position <= (FARTHEST_BYTES if wanted else _MOST_LEFT_BYTES):
        return min(member.end, ranges.size_bytes)
    return position if wanted else min(member.end, carving_cut(ranges, position))


def _ahead(ranges: Ranges, position: int, kind: Headed) -> int | None:
    """The first header near behind a position; the end of the file if that is nearer."""
    at, length, farthest = position, _FIRST_BYTES, position + _NEAR_BYTES
    while at < min(ranges.size_bytes, farthest):
        length = min(length, farthest - at)
        found = kind.first(ranges.read(at, length + kind.more_bytes))
        if found is not None and found < length:
            return at + found
        at, length = at + length, 2 * length
    return ranges.size_bytes if at >= ranges.size_bytes else None


def _around(ranges: Ranges, position: int, kind: Headed) -> Extent | None:
    """The member that a position is in."""
    extents = (
        extent
        for start, length in _windows(position)
        for extent in kind.extents(ranges.read(start, length + kind.more_bytes), start)
    )
    near = islice(extents, _MOST_HEADERS)
    return next((one for one in near if one.start <= position < one.end), None)


def _windows(position: int) -> Iterator[tuple[int, int]]:
    """Start and length of what to read before a position, the nearest first."""
    end, length, farthest = position, _FIRST_BYTES, max(0, position - FARTHEST_BYTES)
    while end > farthest:
        start = max(farthest, end - length)
        yield start, end - start
        end, length = start, min(2 * length, _MOST_READ_BYTES)
