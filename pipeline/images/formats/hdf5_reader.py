"""An HDF5 file as its structures are read: within bounds, whatever the file says.

So many bytes are read and so many steps are taken at most.
"""

import struct
from dataclasses import dataclass

from seec.pipeline.images.ranges import Blocks, Ranges

MAGIC = b"\x89HDF\r\n\x1a\n"
# Where a file may begin, behind what its user put before.
STARTS = (0, 512, 1024, 2048)
UNDEFINED = (1 << 64) - 1  # the address of what is nowhere
MOST_DEPTH = 16  # of groups, trees and the like
# Read of the file, and steps: an object, a message, a link, a node, a chunk, 1 KiB of any of these.
_MOST_BYTES, _BLOCK_BYTES, _MOST_STEPS, _STEP_BYTES = 128 << 20, 1 << 13, 1 << 21, 1 << 10
_MOST_BLOCK_BYTES = 1 << 22  # of headers, nodes and heaps, each of which is read as a whole


class Damaged(Exception):
    """What was to be read is not there, or not what it should be."""


DAMAGE = (Damaged, struct.error, IndexError)


class Reader:
    """A file, of which so much is read at most. base: where addresses count from."""

    def __init__(self, file: Ranges) -> None:
        self._file = Blocks(_Counted(file, _MOST_BYTES), _BLOCK_BYTES)
        self._steps = _MOST_STEPS
        self._seen: set[int] = set()
        self.base = 0

    def step(self, count: int = 1) -> None:
        """Damaged if too many steps were taken."""
        self._steps -= count
        if self._steps < 0:
            raise Damaged

    def is_new(self, address: int) -> bool:
        """Whether an object was not asked for before."""
        self.step()
        new = address not in self._seen
        self._seen.add(address)
        return new

    def root(self) -> int:
        """Address of the header of the first group."""
        for start in STARTS:
            if self._file.read(start, len(MAGIC)) == MAGIC:
                break
        else:
            raise Damaged
        head = self._file.read(start, 128)
        if head[8] <= 1:
            at = 24 if head[8] == 0 else 28
            sizes, self.base = head[13:15], uint(head, at)
            root = uint(head, at + 40)
        else:
            sizes, self.base = head[9:11], uint(head, 12)
            root = uint(head, 36)
        if sizes != b"\x08\x08":
            raise Damaged
        return root

    def read(self, address: int, size: int, mark: bytes = b"") -> bytes:
        """Bytes at an address; Damaged if they are not all there, or begin in another way."""
        data = b""
        if address != UNDEFINED and 0 <= size <= _MOST_BLOCK_BYTES:
            self.step(1 + size // _STEP_BYTES)
            data = self._file.read(self.base + address, size)
        if len(data) < size or not size or not data.startswith(mark):
            raise Damaged
        return data


@dataclass
class _Counted:
    """`Ranges` of which only so many bytes are read."""

    ranges: Ranges
    left: int

    @property
    def size_bytes(self) -> int:
        """As `Ranges.size_bytes`."""
        return self.ranges.size_bytes

    def read(self, start: int, length: int) -> bytes:
        """As `Ranges.read`; nothing once too much was read."""
        self.left -= length
        return (
            self.ranges.read(start, length) if self.left >= 0 and start < self.size_bytes else b""
        )


def uint(data: bytes, at: int, size: int = 8) -> int:
    """The number of so many bytes there; Damaged if they are not there."""
    if at + size > len(data):
        raise Damaged
    return int.from_bytes(data[at : at + size], "little")
