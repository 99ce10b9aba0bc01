"""The members of groups of HDF5 files: names and addresses of objects."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress

from seec.pipeline.images.formats.hdf5_reader import (
    DAMAGE,
    MOST_DEPTH,
    UNDEFINED,
    Damaged,
    Reader,
    uint,
)
from seec.pipeline.images.formats.hdf5_trees import leaves, records

# Many links may share one name in the file, and each has it in memory: so many bytes are a step.
_MOST_NAME, _NAME_STEP_BYTES = 1024, 16
_LINK_NAMES = 5  # the kind of B-tree that lists the links of a large group by their names
_MOST_BLOCKS = 1 << 16  # of a heap
_KEPT = 8  # blocks of a heap that are in memory

Links = list[tuple[str, int]]


def symbols(reader: Reader, message: bytes) -> Iterator[tuple[str, int]]:
    """Names and objects of a group of the old kind. message: of its symbol table."""
    heap = reader.read(uint(message, 8), 32, b"HEAP")
    names = reader.read(uint(heap, 24), uint(heap, 8))
    for listed in leaves(reader, uint(message, 0), 0, 8):
        for place in range(8, len(listed), 16):
            address = uint(listed, place)
            count = uint(reader.read(address, 8, b"SNOD"), 6, 2)
            entries = reader.read(address + 8, 40 * count)
            reader.step(count)
            for at in range(0, len(entries), 40):
                start = uint(entries, at)
                name = names[start : start + _MOST_NAME].partition(b"\0")[0]
                reader.step(len(name) // _NAME_STEP_BYTES)
                yield name.decode("utf-8", "replace"), uint(entries, at + 8)


def link(data: bytes, at: int = 0) -> Links:
    """Name and object of a hard link; none for others."""
    version, flags = data[at], data[at + 1]
    if version != 1 or flags >> 5:
        raise Damaged
    at += 2
    kind = data[at] if flags & 8 else 0
    at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = uint(data, at, width)
    at += width
    name = data[at : at + length]
    if kind:  # a soft or external link
        return []
    return [(name[:_MOST_NAME].decode("utf-8", "replace"), uint(data, at + length))]


def dense_links(reader: Reader, message: bytes) -> Iterator[tuple[str, int]]:
    """Those of a large group of the new kind, whose links lie in a heap. message: link info."""
    at = 2 + (8 if message[1] & 1 else 0)
    if uint(message, at) == UNDEFINED:
        return
    heap = _Heap(reader, uint(message, at))
    for size, listed in records(reader, uint(message, at + 8), (_LINK_NAMES,)):
        for place in range(0, len(listed), size):
            with suppress(*DAMAGE):
                for name, target in link(*heap.object(listed[place + 4 : place + size])):
                    reader.step(len(name) // _NAME_STEP_BYTES)
                    yield name, target


class _Heap:
    """A fractal heap: objects in blocks, whose sizes double."""

    def __init__(self, reader: Reader, address: int) -> None:
        self._reader = reader
        head = reader.read(address, 146, b"FRHP")
        if uint(head, 7, 2):
            raise Damaged  # blocks that are compressed
        self._width, self._least, self._most_direct = (
            uint(head, 110, 2),
            uint(head, 112),
            uint(head, 120),
        )
        if not self._width or not self._least:
            raise Damaged
        self._offset_bytes = -(-uint(head, 128, 2) // 8)
        root, rows = uint(head, 132), uint(head, 140, 2)
        # Of each block: where it begins in the heap and in the file, and its size.
        self._blocks = [(0, root, self._least)]
        if rows:
            self._blocks = []
            self._list(root, rows, 0, 0)
            self._blocks.sort()
        self._held: dict[int, bytes] = {}

    def object(self, identifier: bytes) -> tuple[bytes, int]:
        """A block and where in it the object is that has an identifier."""
        if identifier[0] >> 4:
            raise Damaged  # one that is not in a block
        at = uint(identifier, 1, self._offset_bytes)
        number = bisect_right(self._blocks, (at, UNDEFINED, UNDEFINED)) - 1
        if number < 0:
            raise Damaged
        begin, address, size = self._blocks[number]
        if number not in self._held:
            if len(self._held) >= _KEPT:
                self._held.clear()
            self._held[number] = self._reader.read(address, size, b"FHDB")
        return self._held[number], at - begin

    def _list(self, address: int, rows: int, begin: int, depth: int) -> None:
        """Blocks below an indirect one, which begins there in the heap."""
        if depth > MOST_DEPTH or rows > 64:
            raise Damaged
        sizes = [self._least << max(0, row - 1) for row in range(rows) for _ in range(self._width)]
        before = 13 + self._offset_bytes
        listed = self._reader.read(address, before + 8 * len(sizes), b"FHIB")[before:]
        for i, size in enumerate(sizes):
            child = uint(listed, 8 * i)
            self._reader.step()
            if child != UNDEFINED and size <= self._most_direct:
                if len(self._blocks) == _MOST_BLOCKS:
                    raise Damaged
                self._blocks.append((begin, child, size))
            elif child != UNDEFINED:
                below = (size // (self._least * self._width)).bit_length()
                self._list(child, below, begin, depth + 1)
            begin += size
