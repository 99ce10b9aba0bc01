"""HDF5: where the numbers of its datasets lie, by the HDF5 File Format Specification, version 3.

A dataset is contiguous, or in chunks that are as they are or compressed by deflate. Groups may be
of the old or the new kind, chunks listed by B-trees of version 1, in fixed arrays, one behind the
other, or alone. Whatever else there may be is passed over: nothing depends on finding all.

Bounds: so many bytes are read and so many steps are taken at most, whatever the file says.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.raw_samples import Type
from seec.pipeline.images.ranges import Blocks, Ranges

MAGIC = b"\x89HDF\r\n\x1a\n"
# Where a file may begin, behind what its user put before.
STARTS = (0, 512, 1024, 2048)
# Read of the file, and steps: an object, a message, a link, a node, a chunk, 1 KiB of any of these.
_MOST_BYTES, _BLOCK_BYTES, _MOST_STEPS, _STEP_BYTES = 64 << 20, 1 << 13, 1 << 21, 1 << 10
_MOST_BLOCK_BYTES = 1 << 22  # of headers, nodes and heaps, each of which is read as a whole
MAX_PIECES = 1 << 20  # chunks of a dataset
_MOST_RANK, _MOST_DEPTH, _MOST_NAME = 32, 16, 1024
_UNDEFINED = (1 << 64) - 1
# Types of messages in the header of an object.
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _LAYOUT, _FILTERS = 1, 2, 3, 6, 8, 11
_CONTINUATION, _SYMBOLS = 16, 17
_SHARED = 2  # flag of a message whose content is elsewhere
_FIXED_POINT, _FLOATING_POINT, _ENUMERATION = 0, 1, 8  # classes of numbers
_LAYOUTS, _CONTIGUOUS, _CHUNKED = (3, 4, 5), 1, 2  # versions and kinds of layouts
_SINGLE, _IMPLICIT, _FIXED_ARRAY = 1, 2, 3  # indexes of chunks
DEFLATE, SHUFFLE, CHECKSUM = 1, 2, 3  # filters
CHECKSUM_BYTES = 4
_TYPES: dict[tuple[str, int], Type] = {
    ("u", 1): raw_samples.U8,
    ("i", 1): raw_samples.I8,
    ("u", 2): raw_samples.U16,
    ("i", 2): raw_samples.I16,
    ("u", 4): raw_samples.U32,
    ("i", 4): raw_samples.I32,
    ("f", 2): raw_samples.F16,
    ("f", 4): raw_samples.F32,
    ("u", 8): raw_samples.W64,
    ("i", 8): raw_samples.W64,
    ("f", 8): raw_samples.W64,
}


class _Damaged(Exception):
    """What was to be read is not there, or not what it should be."""


_DAMAGE = (_Damaged, struct.error, IndexError)


@dataclass(frozen=True)
class Chunk:
    """Some of the numbers of a dataset. at, size_bytes: in the file. skipped: filters, by bits."""

    at: int
    size_bytes: int
    skipped: int = 0


@dataclass(frozen=True)
class Dataset:
    """Numbers of one type. name: with those of its groups.

    sizes: of the axes of each chunk, the one first along which numbers follow each other. filters:
    in the order in which they were applied.
    """

    name: str
    type: Type
    little: bool
    sizes: tuple[int, ...]
    chunks: Sequence[Chunk]
    filters: tuple[int, ...] = ()


def datasets(file: Ranges) -> Iterator[Dataset]:
    """The datasets of numbers of a file, as far as they are found within bounds."""
    with suppress(*_DAMAGE):
        reader = _Reader(file)
        yield from _below(reader, reader.root(), "", 0)


class _Reader:
    """A file, of which so much is read at most. base: where addresses count from."""

    def __init__(self, file: Ranges) -> None:
        self._file = Blocks(_Counted(file, _MOST_BYTES), _BLOCK_BYTES)
        self._steps = _MOST_STEPS
        self._seen: set[int] = set()
        self.base = 0

    def step(self, count: int = 1) -> None:
        """_Damaged if too many steps were taken."""
        self._steps -= count
        if self._steps < 0:
            raise _Damaged

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
            raise _Damaged
        head = self._file.read(start, 128)
        if head[8] <= 1:
            at = 24 if head[8] == 0 else 28
            sizes, self.base = head[13:15], _uint(head, at)
            root = _uint(head, at + 40)
        else:
            sizes, self.base = head[9:11], _uint(head, 12)
            root = _uint(head, 36)
        if sizes != b"\x08\x08":
            raise _Damaged
        return root

    def read(self, address: int, size: int, mark: bytes = b"") -> bytes:
        """Bytes at an address; _Damaged if they are not all there, or begin in another way."""
        data = b""
        if address != _UNDEFINED and 0 <= size <= _MOST_BLOCK_BYTES:
            self.step(1 + size // _STEP_BYTES)
            data = self._file.read(self.base + address, size)
        if len(data) < size or not size or not data.startswith(mark):
            raise _Damaged
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


def _uint(data: bytes, at: int, size: int = 8) -> int:
    if at + size > len(data):
        raise _Damaged
    return int.from_bytes(data[at : at + size], "little")


def _below(reader: _Reader, address: int, name: str, depth: int) -> Iterator[Dataset]:
    """The datasets of an object: itself, or those of a group."""
    if depth > _MOST_DEPTH or not reader.is_new(address):
        return
    messages: dict[int, bytes] = {}
    links: list[tuple[str, int]] = []
    with suppress(*_DAMAGE):
        for kind, data in _messages(reader, address):
            messages.setdefault(kind, data)
            if kind == _LINK:
                links += _link(data, 0)[0]
    with suppress(*_DAMAGE):
        if _LAYOUT in messages:
            yield from _dataset(reader, name, messages)
    with suppress(*_DAMAGE):
        if _SYMBOLS in messages:
            links += _symbols(reader, messages[_SYMBOLS])
        if _LINK_INFO in messages:
            links += _dense_links(reader, messages[_LINK_INFO])
    for one, target in links:
        yield from _below(reader, target, f"{name}/{one}" if name else one, depth + 1)


def _messages(reader: _Reader, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of each message in the header of an object."""
    head = reader.read(address, 16)
    if head[:4] == b"OHDR":
        flags = head[5]
        at = address + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
        width = 1 << (flags & 3)
        blocks = [(at + width, _uint(reader.read(at, width), 0, width))]
        layout, extra = struct.Struct("<BHB"), 2 if flags & 4 else 0
    else:
        if head[0] != 1:
            raise _Damaged
        blocks = [(address + 16, _uint(head, 8, 4))]
        layout, extra = struct.Struct("<HHB3x"), 0
    for at, size in blocks:
        block = reader.read(at, size)
        place = 0
        while place + layout.size + extra <= len(block):
            reader.step()
            kind, length, flags = layout.unpack_from(block, place)
            place += layout.size + extra
            data = block[place : place + length]
            place += length
            if kind == _CONTINUATION and len(blocks) < _MOST_DEPTH:
                begin, taken = _uint(data, 0), _uint(data, 8)
                # Of the new kind, between a mark and a checksum.
                blocks.append((begin + 4, taken - 8) if head[:4] == b"OHDR" else (begin, taken))
            elif not flags & _SHARED:
                yield kind, data


def _symbols(reader: _Reader, message: bytes) -> list[tuple[str, int]]:
    """Names and objects of a group of the old kind."""
    heap = reader.read(_uint(message, 8), 32, b"HEAP")
    names = reader.read(_uint(heap, 24), _uint(heap, 8))
    found: list[tuple[str, int]] = []
    for _, address in _entries(reader, _uint(message, 0), 0, 8):
        count = _uint(reader.read(address, 8, b"SNOD"), 6, 2)
        entries = reader.read(address + 8, 40 * count)
        reader.step(count)
        for at in range(0, len(entries), 40):
            start = _uint(entries, at)
            name = names[start : start + _MOST_NAME].partition(b"\0")[0]
            found.append((name.decode("utf-8", "replace"), _uint(entries, at + 8)))
    return found


def _entries(
    reader: _Reader, address: int, kind: int, key_bytes: int, depth: int = 0
) -> Iterator[tuple[bytes, int]]:
    """Keys and addresses in the leaves of a B-tree of version 1."""
    head = reader.read(address, 24, b"TREE")
    level, count = head[5], _uint(head, 6, 2)
    if head[4] != kind or depth > _MOST_DEPTH:
        raise _Damaged
    each = key_bytes + 8
    listed = reader.read(address + 24, each * count) if count else b""
    reader.step(count)
    for at in range(0, len(listed), each):
        key, child = listed[at : at + key_bytes], _uint(listed, at + key_bytes)
        if level:
            yield from _entries(reader, child, kind, key_bytes, depth + 1)
        else:
            yield key, child


def _link(data: bytes, at: int) -> tuple[list[tuple[str, int]], int]:
    """Name and object of a hard link, none for others, and where the message ends."""
    version, flags = data[at], data[at + 1]
    if version != 1 or flags >> 5:
        raise _Damaged
    at += 2
    kind = data[at] if flags & 8 else 0
    at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = _uint(data, at, width)
    at += width
    name = data[at : at + length]
    at += length
    if kind == 0:
        return [(name[:_MOST_NAME].decode("utf-8", "replace"), _uint(data, at))], at + 8
    return [], at + 2 + _uint(data, at, 2)  # a soft or external link


def _dense_links(reader: _Reader, message: bytes) -> Iterator[tuple[str, int]]:
    """Those of a large group of the new kind, whose links lie in a heap one behind the other."""
    at = 2 + (8 if message[1] & 1 else 0)
    if _uint(message, at) == _UNDEFINED:
        return
    heap = reader.read(_uint(message, at), 146, b"FRHP")
    width, block_bytes, most_bytes = _uint(heap, 110, 2), _uint(heap, 112), _uint(heap, 120)
    offset_bytes, root, rows = -(-_uint(heap, 128, 2) // 8), _uint(heap, 132), _uint(heap, 140, 2)
    before = 13 + offset_bytes
    blocks = [(root, block_bytes)]
    if rows:
        direct = min(rows, 2 + max(0, (most_bytes // max(1, block_bytes)).bit_length() - 1))
        listed = reader.read(root, before + 8 * width * direct, b"FHIB")[before:]
        # The first two rows have blocks of the first size, each following one of twice that.
        sizes = [block_bytes << max(0, row - 1) for row in range(direct) for _ in range(width)]
        blocks = [(_uint(listed, 8 * i), size) for i, size in enumerate(sizes)]
    for address, size in blocks:
        if address != _UNDEFINED:
            block = reader.read(address, size, b"FHDB")
            place = before + (4 if heap[9] & 2 else 0)
            with suppress(*_DAMAGE):
                while True:
                    reader.step()
                    links, place = _link(block, place)
                    yield from links


def _dataset(reader: _Reader, name: str, messages: dict[int, bytes]) -> Iterator[Dataset]:
    """A dataset of numbers; none for others."""
    found = _type(messages.get(_DATATYPE, b""))
    space, layout = messages.get(_DATASPACE, b""), messages[_LAYOUT]
    if found is None or len(space) < 4 or layout[0] not in _LAYOUTS or space[1] > _MOST_RANK:
        return
    type_, little = found
    sizes = struct.unpack_from(f"<{space[1]}Q", space, 8 if space[0] == 1 else 4)
    filters = _filters(messages.get(_FILTERS))
    if filters is None or not sizes:
        return
    if layout[1] == _CONTIGUOUS:
        at, size = _uint(layout, 2), _uint(layout, 10)
        if at != _UNDEFINED and size == prod(sizes) * type_.size_bytes:
            chunk = Chunk(reader.base + at, size)
            yield Dataset(name, type_, little, sizes[::-1], [chunk])
    elif layout[1] == _CHUNKED:
        edges, listed = _chunks(reader, layout, sizes, type_, filtered=bool(filters))
        chunks = [chunk for chunk in listed if chunk.at != _UNDEFINED]
        if chunks:
            yield Dataset(name, type_, little, edges[::-1], chunks, filters)


def _type(message: bytes) -> tuple[Type, bool] | None:
    """The type of numbers, and whether their lowest byte comes first; None for others."""
    if len(message) < 8:
        return None
    class_, bits, size = message[0] & 15, message[1], _uint(message, 4, 4)
    if class_ == _ENUMERATION and size == 1:
        return raw_samples.U8, True
    if class_ == _FIXED_POINT:
        type_ = _TYPES.get(("i" if bits & 8 else "u", size))
    else:
        type_ = _TYPES.get(("f", size)) if class_ == _FLOATING_POINT else None
    return type_ and (type_, not bits & 1)


def _filters(message: bytes | None) -> tuple[int, ...] | None:
    """The filters of chunks in the order in which they are applied; None if one is not known."""
    if message is None:
        return ()
    version, count = message[0], message[1]
    at, found = (8 if version == 1 else 2), []
    for _ in range(count):
        number = _uint(message, at, 2)
        named = version == 1 or number >= 256
        length = _uint(message, at + 2, 2) if named else 0
        at += 4 if named else 2
        values = _uint(message, at + 2, 2)
        at += 4 + length + 4 * values + (4 if version == 1 and values % 2 else 0)
        if number not in (DEFLATE, SHUFFLE, CHECKSUM):
            return None
        found.append(number)
    return tuple(found)


def _chunks(
    reader: _Reader, layout: bytes, sizes: Sequence[int], type_: Type, *, filtered: bool
) -> tuple[tuple[int, ...], Iterator[Chunk]]:
    """The sizes of the axes of a chunk, and all chunks."""
    if layout[0] == 3:
        rank, address = layout[2], _uint(layout, 3)
        edges: tuple[int, ...] = struct.unpack_from(f"<{rank}I", layout, 11)
        index, at = 0, 0
    else:
        flags, rank, width = layout[2:5]
        edges = tuple(_uint(layout, 5 + width * i, width) for i in range(rank))
        at = 5 + width * rank
        index = layout[at]
        single = index == _SINGLE and flags & 2
        size = _uint(layout, at + 1) if single else 0
        skipped = _uint(layout, at + 9, 4) if single else 0
        at += 1 + {_SINGLE: 12 if single else 0, _IMPLICIT: 0, _FIXED_ARRAY: 1}.get(index, 0)
        address = _uint(layout, at)
        if single:
            return edges[:-1], iter([Chunk(reader.base + address, size, skipped)])
    edges = edges[:-1]  # the last one is the size of a number
    if len(edges) != len(sizes) or min(edges, default=0) < 1:
        raise _Damaged
    each = prod(edges) * type_.size_bytes
    count = prod(-(-size // edge) for size, edge in zip(sizes, edges, strict=True))
    if address == _UNDEFINED:
        return edges, iter(())
    match index:
        case 0:
            return edges, _in_tree(reader, address, rank)
        case 1:
            return edges, iter([Chunk(reader.base + address, each)])
        case 2:
            starts = range(min(count, MAX_PIECES))
            return edges, (Chunk(reader.base + address + each * i, each) for i in starts)
        case 3:
            listed = _in_array(reader, address, min(count, MAX_PIECES), filtered=filtered)
            return edges, (Chunk(at, size or each, skipped) for at, size, skipped in listed)
        case _:
            raise _Damaged


def _in_tree(reader: _Reader, address: int, rank: int) -> Iterator[Chunk]:
    """Chunks that a B-tree lists. rank: of them, with the axis of the bytes of a number."""
    for key, child in _entries(reader, address, 1, 8 + 8 * rank):
        reader.step()
        yield Chunk(reader.base + child, _uint(key, 0, 4), _uint(key, 4, 4))


def _in_array(
    reader: _Reader, address: int, count: int, *, filtered: bool
) -> Iterator[tuple[int, int, int]]:
    """Place, size (0 if it is that of all) and skipped filters of the chunks in a fixed array."""
    head = reader.read(address, 28, b"FAHD")
    each, page_bits, listed = head[6], head[7], _uint(head, 8)
    block = _uint(head, 16)
    count = min(count, listed)
    per_page = 1 << min(page_bits, 63)
    reader.read(block, 14, b"FADB")
    at = block + 14
    paged = listed > per_page
    if paged:
        pages = -(-listed // per_page)
        at += -(-pages // 8) + 4
    size_bytes = each - 12 if filtered else 0
    if each != (12 + size_bytes if filtered else 8) or size_bytes < 0:
        raise _Damaged
    for first in range(0, count, per_page if paged else max(1, count)):
        here = min(per_page, count - first) if paged else count
        entries = reader.read(at, each * here)
        at += each * here + 4
        for place in range(0, len(entries), each):
            where = _uint(entries, place)
            if where != _UNDEFINED:
                size = _uint(entries, place + 8, size_bytes) if filtered else 0
                skipped = _uint(entries, place + 8 + size_bytes, 4) if filtered else 0
                yield reader.base + where, size, skipped
