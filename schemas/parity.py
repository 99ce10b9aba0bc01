"""A parity object: blocks that bring lost blocks of other objects back; FORMAT.md, "Parity"."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seec.schemas.container import crc32c
from seec.schemas.errors import SectionCorrupt
from seec.schemas.limits import PARITY_WHOLE

MAGIC = b"\x8aSER"
VERSION = 1
MAX_OBJECTS = 3
MAX_DATA_BLOCKS = 1 << 12  # that a writer makes
MIN_BLOCK_BYTES = 1 << 10
_MOST_BLOCKS = 1 << 16
_LAYOUT = struct.Struct(f"<4sBBBBII{'Q32s' * MAX_OBJECTS}")
_CRC = struct.Struct("<I")
HEAD_BYTES = _LAYOUT.size + _CRC.size
_PAGE_ENTRIES = 256


@dataclass(frozen=True)
class Covered:
    """An object that parity blocks are for: its size, and its SHA-256, 32 bytes."""

    size_bytes: int
    sha256: bytes


@dataclass(frozen=True)
class Layout:
    """Which objects, cut in blocks of which size, and how many parity blocks."""

    block_bytes: int
    parity: int
    objects: tuple[Covered, ...]

    @classmethod
    def of(cls, objects: Sequence[Covered], share: int) -> "Layout | None":
        """The one that writers choose; None for objects without bytes.

        share: parity blocks for PARITY_WHOLE data blocks; 1 to PARITY_WHOLE.
        """
        block_bytes = MIN_BLOCK_BYTES
        while _blocks(objects, block_bytes) > MAX_DATA_BLOCKS:
            block_bytes *= 2
        data = _blocks(objects, block_bytes)
        parity = -(-data * share // PARITY_WHOLE)
        # A lost range that begins within a block touches one more than it has bytes for.
        parity += data > 1
        return cls(block_bytes, parity, tuple(objects)) if data else None

    @property
    def data(self) -> int:
        """How many data blocks there are."""
        return _blocks(self.objects, self.block_bytes)

    @property
    def size_bytes(self) -> int:
        """Of the whole parity object."""
        return 2 * (HEAD_BYTES + self.table_bytes) + self.parity * self.block_bytes

    @property
    def table_bytes(self) -> int:
        """Of the checksums, and those of their pages."""
        entries = self.data + self.parity
        return _CRC.size * (entries + -(-entries // _PAGE_ENTRIES))

    def blocks_of(self, index: int) -> range:
        """Which of the data blocks are of an object."""
        first = _blocks(self.objects[:index], self.block_bytes)
        return range(first, first + _blocks(self.objects[index : index + 1], self.block_bytes))

    def serialise(self) -> bytes:
        """The head, with its checksum."""
        slots = [*self.objects, *[Covered(0, bytes(32))] * (MAX_OBJECTS - len(self.objects))]
        head = _LAYOUT.pack(
            MAGIC,
            VERSION,
            self.block_bytes.bit_length() - 1,
            len(self.objects),
            0,
            self.data,
            self.parity,
            *(value for one in slots for value in (one.size_bytes, one.sha256)),
        )
        return head + _CRC.pack(crc32c(head))

    @classmethod
    def parse(cls, head: bytes) -> "Layout | None":
        """None if it is damaged, or says what cannot be."""
        if len(head) != HEAD_BYTES or _CRC.unpack(head[-4:])[0] != crc32c(head[:-4]):
            return None
        magic, version, shift, count, zero, data, parity, *slots = _LAYOUT.unpack(head[:-4])
        if (magic, version, zero) != (MAGIC, VERSION, 0) or not 1 <= count <= MAX_OBJECTS:
            return None
        pairs = list(zip(slots[::2], slots[1::2], strict=True))
        layout = cls(1 << min(shift, 40), parity, tuple(Covered(*pair) for pair in pairs[:count]))
        bounded = 1 <= shift <= 40 and 0 < parity <= _MOST_BLOCKS and data <= _MOST_BLOCKS
        return layout if bounded and layout.data == data else None


@dataclass(frozen=True)
class Checksums:
    """CRC-32C of data blocks, then of parity blocks; None where they are not known."""

    data: tuple[int | None, ...]
    parity: tuple[int | None, ...]

    def serialise(self) -> bytes:
        """In pages, each with its checksum."""
        entries = b"".join(_CRC.pack(value or 0) for value in (*self.data, *self.parity))
        size = _CRC.size * _PAGE_ENTRIES
        pages = (entries[i : i + size] for i in range(0, len(entries), size))
        return b"".join(page + _CRC.pack(crc32c(page)) for page in pages)


def serialise(layout: Layout, checksums: Checksums, blocks: Sequence[bytes]) -> list[bytes]:
    """The bytes of a parity object, in pieces. blocks: the parity blocks."""
    head, table = layout.serialise(), checksums.serialise()
    return [head, table, *blocks, table, head]


@dataclass(frozen=True)
class Parity:
    """What can be had of a parity object. blocks: None in place of those that are damaged."""

    layout: Layout
    checksums: Checksums
    blocks: tuple[bytes | None, ...]

    def is_whole(self, data: bytes) -> bool:
        """Whether the bytes that this was parsed from have no damage at all."""
        blocks = [block for block in self.blocks if block is not None]
        if None in (*self.checksums.data, *self.checksums.parity) or None in self.blocks:
            return False
        return b"".join(serialise(self.layout, self.checksums, blocks)) == data


def parse(name: str, data: bytes) -> Parity:
    """What is sound of a parity object. SectionCorrupt if neither of its heads is."""
    layouts = (Layout.parse(data[:HEAD_BYTES]), Layout.parse(data[-HEAD_BYTES:]))
    layout = next((found for found in layouts if found is not None), None)
    if layout is None:
        raise SectionCorrupt(f"{name}: both heads of this parity object are damaged")
    from_end = len(data) - layout.size_bytes  # where it begins, by its end
    tables = [
        _table(data, HEAD_BYTES, layout),
        _table(data, from_end + layout.size_bytes - HEAD_BYTES - layout.table_bytes, layout),
    ]
    values = tuple(one if one is not None else two for one, two in zip(*tables, strict=True))
    checksums = Checksums(values[: layout.data], values[layout.data :])
    blocks: list[bytes | None] = []
    for index, wanted in enumerate(checksums.parity):
        at = HEAD_BYTES + layout.table_bytes + index * layout.block_bytes
        places = (data[start : start + layout.block_bytes] for start in (at, from_end + at))
        blocks.append(next((block for block in places if is_block(block, layout, wanted)), None))
    return Parity(layout, checksums, tuple(blocks))


def is_block(block: bytes, layout: Layout, wanted: int | None) -> bool:
    """Whether these are the bytes of a block, by its checksum."""
    return wanted is not None and len(block) == layout.block_bytes and crc32c(block) == wanted


def _table(data: bytes, start: int, layout: Layout) -> Iterator[int | None]:
    """The checksums of one copy; None for those of damaged pages."""
    left, at = layout.data + layout.parity, max(0, start)
    while left:
        count = min(left, _PAGE_ENTRIES)
        page, check = data[at : at + 4 * count], data[at + 4 * count : at + 4 * count + 4]
        sound = len(check) == 4 and _CRC.unpack(check)[0] == crc32c(page)
        for index in range(count):
            yield _CRC.unpack_from(page, 4 * index)[0] if sound else None
        left, at = left - count, at + 4 * count + 4


def _blocks(objects: Sequence[Covered], block_bytes: int) -> int:
    return sum(-(-one.size_bytes // block_bytes) for one in objects)
