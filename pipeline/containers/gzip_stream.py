"""The deflate stream of a gzip member that is too large to be taken whole, in parts.

Nothing tells where a block begins but the blocks before it. So a process walks through the stream
from its beginning, once if it gets parts of the same file in their order, and remembers where it
was. A part begins with the last block that begins at or before a member of a tar; the content up to
this member is told with the part before, too.

Bounds: a walk holds 4 MiB of the stream and 64 MiB of content. It ends where content is more than
64 times the stream; then the file has no parts.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from seec.pipeline.containers import tars
from seec.pipeline.deflate import WINDOW_BYTES, Blocks, gzip_header_bytes, walk
from seec.pipeline.images.ranges import Parts, Ranges
from seec.schemas.errors import UnreadableImage

_READ_BYTES, _CONTENT_BYTES = 4 << 20, 1 << 26  # of a step
_MOST_RATIO = 64
_AHEAD_BYTES = 16 << 20  # of content in which a member of a tar is looked for
_HEADER_BYTES, _HEAD_BYTES = 1 << 16, 1 << 16
_MOST_MARKS, _KEPT = 256, 64  # 32 KiB each; places that were found last
# Of the whole content, whose size nothing tells.
CONTENT_BYTES = 1 << 62


@dataclass(frozen=True)
class Mark:
    """Where a block begins: in bits of the file, in bytes of the content; content before it."""

    bit: int
    at: int
    window: bytes = field(repr=False)

    @property
    def byte(self) -> int:
        """Of the file, in which the block begins."""
        return self.bit // 8


@dataclass(frozen=True)
class Place:
    """Where a part begins. extra: bytes of content up to the first member of the part."""

    mark: Mark
    extra: int = 0


class Stream:
    """The stream of one file. head: the first 64 KiB of its content."""

    def __init__(self, ranges: Ranges) -> None:
        """UnreadableImage if the file does not begin with a member of gzip."""
        start = gzip_header_bytes(ranges.read(0, _HEADER_BYTES))
        self._size_bytes = ranges.size_bytes
        self._marks = [Mark(8 * start, 0, b"")]
        self._every = _READ_BYTES
        self._places: dict[int, Place | None] = {}
        self._lock = Lock()
        self.head = b""
        for blocks in self._steps(ranges, self._marks[0]):
            self.head += blocks.content[: _HEAD_BYTES - len(self.head)]
            if len(self.head) >= _HEAD_BYTES:
                break

    def place(self, ranges: Ranges, position: int) -> Place | None:
        """The first place of a part whose byte is at or behind a position; None if there is none.

        UnreadableImage if the stream is damaged before, or grows too much.
        """
        if position <= 0:
            return Place(self._marks[0])
        with self._lock:
            if position not in self._places:
                found = self._find(ranges, position)
                self._places = {position: found} if len(self._places) > _KEPT else self._places
                self._places[position] = found
                if found is not None:
                    self._places[found.mark.byte] = found
            return self._places[position]

    def content(self, ranges: Ranges, start: Mark, size_bytes: int) -> bytes:
        """So much content from a block on; less where the stream ends."""
        parts: list[bytes] = []
        for blocks in self._steps(ranges, start):
            parts.append(blocks.content)
            size_bytes -= len(blocks.content)
            if size_bytes <= 0:
                break
        data = b"".join(parts)
        return data[: len(data) + size_bytes] if size_bytes < 0 else data

    def end(self, ranges: Ranges, start: Mark) -> int:
        """Where the stream ends, in bits, which goes on with a block there."""
        end = start.bit
        for blocks, base in self._based(ranges, start):
            end = base + int(blocks.bits[-1])
        return end

    def needed(self, ranges: Ranges, start: Mark) -> bytes:
        """Of the content before a block as much as matches behind lead to."""
        reach = seen = 0
        for blocks in self._steps(ranges, start):
            reach = max(reach, blocks.reach - seen)
            seen += len(blocks.content)
            if seen >= WINDOW_BYTES:
                break
        return start.window[max(0, len(start.window) - reach) :] if reach else b""

    def _find(self, ranges: Ranges, position: int) -> Place | None:
        known = bisect_right(self._marks, position, key=lambda mark: mark.byte) - 1
        mark = self._marks[known]
        marks: list[Mark] = []  # from the first block on that begins at the position or behind
        content = b""
        try:
            for blocks, base in self._based(ranges, mark):
                if not marks:
                    self._remember(mark)
                # The end of the stream is no place where a block begins.
                count = len(blocks.bits) - blocks.final
                first = 0 if marks else int(np.searchsorted(blocks.bits, 8 * position - base))
                marks += (_mark(mark, blocks, base, i) for i in range(first, count))
                if marks:
                    content += blocks.content[max(0, marks[0].at - mark.at) :]
                if blocks.final or len(content) >= _AHEAD_BYTES:
                    break
                mark = _mark(mark, blocks, base, count - 1)
        except UnreadableImage:
            if not marks:
                raise
        return self._at_member(marks, content[:_AHEAD_BYTES]) if marks else None

    def _at_member(self, marks: list[Mark], content: bytes) -> Place | None:
        """The place of a part whose first block is one of these. content: from the first one on."""
        first = marks[0]
        if not tars.matches(self.head):
            return Place(first)
        parts = Parts(CONTENT_BYTES, ((first.at, content),))
        member = tars.cut(parts, first.at, wants=lambda _: True)
        if member >= first.at + len(content):
            return Place(first)
        last = marks[bisect_right(marks, member, key=lambda mark: mark.at) - 1]
        return Place(last, member - last.at)

    def _remember(self, mark: Mark) -> None:
        if mark.byte >= self._marks[-1].byte + self._every:
            self._marks.append(mark)
            if len(self._marks) > _MOST_MARKS:
                self._marks = self._marks[::2]
                self._every *= 2

    def _steps(self, ranges: Ranges, mark: Mark) -> Iterator[Blocks]:
        return (blocks for blocks, _ in self._based(ranges, mark))

    def _based(self, ranges: Ranges, mark: Mark) -> Iterator[tuple[Blocks, int]]:
        """Blocks from a mark on up to the end of the stream, and where their bits count from."""
        bit, at, window = mark.bit, mark.at, mark.window
        while True:
            base = bit // 8
            data = ranges.read(base, _READ_BYTES)
            blocks = walk(data, bit - 8 * base, window, _CONTENT_BYTES)
            if not len(blocks.bits):
                raise UnreadableImage("deflate stream that is damaged, or of blocks too large")
            yield blocks, 8 * base
            if blocks.final:
                return
            bit, at = 8 * base + int(blocks.bits[-1]), at + len(blocks.content)
            window = (window + blocks.content)[-WINDOW_BYTES:]
            if at > _CONTENT_BYTES + _MOST_RATIO * (bit // 8):
                raise UnreadableImage("deflate stream that grows too much")


def _mark(before: Mark, blocks: Blocks, base: int, number: int) -> Mark:
    """Where the block behind a block ends or begins. before: where the first of them begins."""
    end = int(blocks.ends[number])
    window = blocks.content[max(0, end - WINDOW_BYTES) : end]
    if end < WINDOW_BYTES:
        window = (before.window + window)[-WINDOW_BYTES:]
    return Mark(base + int(blocks.bits[number]), before.at + end, window)
