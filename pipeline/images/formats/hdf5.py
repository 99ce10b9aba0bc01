"""HDF5: where the numbers of its datasets lie, by the HDF5 File Format Specification, version 3.

A dataset is contiguous, or in chunks that are as they are or compressed by deflate. Whatever else
there may be is passed over: nothing depends on finding all.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.hdf5_chunks import Chunks, Space, chunks_of
from seec.pipeline.images.formats.hdf5_groups import Links, dense_links, link, symbols
from seec.pipeline.images.formats.hdf5_reader import (
    DAMAGE,
    MAGIC,
    MOST_DEPTH,
    STARTS,
    UNDEFINED,
    Damaged,
    Reader,
    uint,
)
from seec.pipeline.images.formats.raw_samples import Type
from seec.pipeline.images.ranges import Ranges

__all__ = [
    "CHECKSUM",
    "CHECKSUM_BYTES",
    "DEFLATE",
    "MAGIC",
    "SHUFFLE",
    "STARTS",
    "Dataset",
    "datasets",
]

_MOST_RANK = 32
# Types of messages in the header of an object.
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _LAYOUT, _FILTERS = 1, 2, 3, 6, 8, 11
_CONTINUATION, _SYMBOLS = 16, 17
_SHARED = 2  # flag of a message whose content is elsewhere
_FIXED_POINT, _FLOATING_POINT, _ENUMERATION = 0, 1, 8  # classes of numbers
_LAYOUTS, _CONTIGUOUS, _CHUNKED = (3, 4, 5), 1, 2  # versions and kinds of layouts
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


@dataclass(frozen=True)
class Dataset:
    """Numbers of one type. name: with those of its groups.

    sizes: of the axes, the last one first along which numbers follow each other. at: where they are
    if they are contiguous, else None. edges: of the axes of a chunk. filters: in the order in which
    they were applied.
    """

    name: str
    type: Type
    little: bool
    sizes: tuple[int, ...]
    at: int | None
    edges: tuple[int, ...] = ()
    chunks: Chunks | None = None
    filters: tuple[int, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Of all numbers."""
        return prod(self.sizes) * self.type.size_bytes


def datasets(file: Ranges) -> Iterator[Dataset]:
    """The datasets of numbers of a file, as far as they are found within bounds."""
    with suppress(*DAMAGE):
        reader = Reader(file)
        yield from _below(reader, reader.root(), "", 0)


def _below(reader: Reader, address: int, name: str, depth: int) -> Iterator[Dataset]:
    """The datasets of an object: itself, or those of a group."""
    if depth > MOST_DEPTH or not reader.is_new(address):
        return
    messages: dict[int, bytes] = {}
    links: Links = []
    with suppress(*DAMAGE):
        for kind, data in _messages(reader, address):
            messages.setdefault(kind, data)
            if kind == _LINK:
                links += link(data)
    with suppress(*DAMAGE):
        if _LAYOUT in messages:
            yield from _dataset(reader, name, messages)
    for kind, listed in ((_SYMBOLS, symbols), (_LINK_INFO, dense_links)):
        with suppress(*DAMAGE):
            if kind in messages:
                links.extend(listed(reader, messages[kind]))
    for one, target in links:
        yield from _below(reader, target, f"{name}/{one}" if name else one, depth + 1)


def _messages(reader: Reader, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of each message in the header of an object."""
    head = reader.read(address, 16)
    if head[:4] == b"OHDR":
        flags = head[5]
        at = address + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
        width = 1 << (flags & 3)
        blocks = [(at + width, uint(reader.read(at, width), 0, width))]
        layout, extra = struct.Struct("<BHB"), 2 if flags & 4 else 0
    else:
        if head[0] != 1:
            raise Damaged
        blocks = [(address + 16, uint(head, 8, 4))]
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
            if kind == _CONTINUATION and len(blocks) < MOST_DEPTH:
                begin, taken = uint(data, 0), uint(data, 8)
                # Of the new kind, between a mark and a checksum.
                blocks.append((begin + 4, taken - 8) if head[:4] == b"OHDR" else (begin, taken))
            elif not flags & _SHARED:
                yield kind, data


def _dataset(reader: Reader, name: str, messages: dict[int, bytes]) -> Iterator[Dataset]:
    """A dataset of numbers; none for others."""
    found = _type(messages.get(_DATATYPE, b""))
    layout = messages[_LAYOUT]
    space = _space(messages.get(_DATASPACE, b""))
    filters = _filters(messages.get(_FILTERS))
    if found is None or space is None or filters is None or layout[0] not in _LAYOUTS:
        return
    type_, little = found
    if layout[1] == _CONTIGUOUS:
        at, size = uint(layout, 2), uint(layout, 10)
        one = Dataset(name, type_, little, space.sizes, reader.base + at)
        if at != UNDEFINED and size == one.size_bytes:
            yield one
    elif layout[1] == _CHUNKED:
        filtered = _FILTERS in messages and bool(filters)
        edges, chunks = chunks_of(reader, layout, space, type_.size_bytes, filtered=filtered)
        if len(chunks.at):
            yield Dataset(name, type_, little, space.sizes, None, edges, chunks, filters)


def _space(message: bytes) -> Space | None:
    """The sizes of a dataset; None if it has no axes."""
    if len(message) < 4 or not 1 <= message[1] <= _MOST_RANK:
        return None
    rank, at = message[1], 8 if message[0] == 1 else 4
    sizes = struct.unpack_from(f"<{rank}Q", message, at)
    most = struct.unpack_from(f"<{rank}Q", message, at + 8 * rank) if message[2] & 1 else sizes
    return Space(sizes, most)


def _type(message: bytes) -> tuple[Type, bool] | None:
    """The type of numbers, and whether their lowest byte comes first; None for others."""
    if len(message) < 8:
        return None
    class_, bits, size = message[0] & 15, message[1], uint(message, 4, 4)
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
        number = uint(message, at, 2)
        named = version == 1 or number >= 256
        length = uint(message, at + 2, 2) if named else 0
        at += 4 if named else 2
        values = uint(message, at + 2, 2)
        at += 4 + length + 4 * values + (4 if version == 1 and values % 2 else 0)
        if number not in (DEFLATE, SHUFFLE, CHECKSUM):
            return None
        found.append(number)
    return tuple(found)
