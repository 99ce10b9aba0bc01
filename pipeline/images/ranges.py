"""Files as they are read: in memory, or by ranges of their bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class Ranges(Protocol):
    """A file that is read by ranges. size_bytes: of the whole file."""

    @property
    def size_bytes(self) -> int:
        """Of the whole file."""
        ...

    def read(self, start: int, length: int) -> bytes:
        """That many bytes from there; fewer only where the file ends."""
        ...


@runtime_checkable
class Recognised(Protocol):
    """`Ranges` of a file that may be read again, of which something is worth remembering."""

    @property
    def identity(self) -> Hashable:
        """Equal for the same file at the same state."""
        ...


def identity_of(ranges: Ranges) -> Hashable:
    """Equal for the same file at the same state; None for one that is not known again."""
    return ranges.identity if isinstance(ranges, Recognised) else None


@dataclass(frozen=True)
class Held:
    """`Ranges` of bytes in memory."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """As `Ranges.size_bytes`."""
        return len(self.data)

    def read(self, start: int, length: int) -> bytes:
        """As `Ranges.read`."""
        return self.data[start : start + length]


@dataclass(frozen=True)
class Parts:
    """`Ranges` of a file of which some parts are in memory: where they begin, and their bytes.

    size_bytes: of the whole file. A read ends with the part that it begins in; of what lies in no
    part nothing is read.
    """

    size_bytes: int
    parts: tuple[tuple[int, bytes], ...]

    def read(self, start: int, length: int) -> bytes:
        """As `Ranges.read`, but for what is not there."""
        for begin, data in self.parts:
            if begin <= start < begin + len(data):
                return data[start - begin : start - begin + length]
        return b""


class Sliced:
    """Bytes of a file for readers that take slices of bytes in memory."""

    def __init__(self, ranges: Ranges) -> None:
        """ranges: best `Blocks`, if slices are small."""
        self._ranges = ranges

    def __len__(self) -> int:
        """Of the whole file."""
        return self._ranges.size_bytes

    def __getitem__(self, part: slice) -> bytes:
        """Bytes from `part.start` up to `part.stop`; fewer only where the file ends."""
        return self._ranges.read(part.start, part.stop - part.start)


class Blocks:
    """`Ranges` for many small reads that are near each other: blocks are read, and some kept."""

    _KEPT = 64

    def __init__(self, ranges: Ranges, block_bytes: int = 1 << 16) -> None:
        self._ranges, self._block_bytes = ranges, block_bytes
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    @property
    def identity(self) -> Hashable:
        """That of the file; None if that has none."""
        return identity_of(self._ranges)

    @property
    def size_bytes(self) -> int:
        """As `Ranges.size_bytes`."""
        return self._ranges.size_bytes

    def read(self, start: int, length: int) -> bytes:
        """As `Ranges.read`."""
        first, behind = start // self._block_bytes, -(-(start + length) // self._block_bytes)
        if behind - first > self._KEPT // 4:
            return self._ranges.read(start, length)
        data = b"".join(self._block(number) for number in range(first, behind))
        at = start - first * self._block_bytes
        return data[at : at + length]

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:
            block = self._ranges.read(number * self._block_bytes, self._block_bytes)
            self._blocks[number] = block
            if len(self._blocks) > self._KEPT:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block
