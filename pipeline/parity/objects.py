"""Parity objects of objects in memory, and these objects again from what is left of them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seec.pipeline.parity.code import encoded, fits, group_bits, solved
from seec.pipeline.parity.field import Words
from seec.schemas.container import crc32c
from seec.schemas.errors import LimitExceeded
from seec.schemas.parity import Checksums, Covered, Layout, Parity, is_block, serialise

Pieces = Sequence[bytes | memoryview]
_WORD = np.dtype("<u2")


@dataclass(frozen=True)
class Mended:
    """What came of mending. objects: None if more is damaged than parity blocks are left.

    damaged: how many data blocks are; spare: how many parity blocks there are for them.
    """

    objects: list[bytes] | None
    damaged: int
    spare: int


def parity_of(objects: Sequence[Pieces], share: int) -> list[bytes]:
    """The bytes of the parity object of up to three objects, in pieces; none without any bytes.

    share: as in `Layout.of`.
    """
    layout = Layout.of([_covered(pieces) for pieces in objects], share)
    if layout is None:
        return []
    data: list[int] = []
    cut = (block for pieces in objects for block in _blocks(pieces, layout))
    blocks = _parity_blocks(layout, cut, data)
    checksums = Checksums(tuple(data), tuple(map(crc32c, blocks)))
    return serialise(layout, checksums, blocks)


def mended(parity: Parity, found: Sequence[bytes]) -> Mended:
    """The objects of a parity object, whole again, each compared with its SHA-256.

    found: what is there of each, empty if nothing is. Blocks are taken where they should be, or as
    far from the end as they should be, should bytes have come or gone in between.
    """
    layout = parity.layout
    data: list[bytes | None] = []
    for index, covered in enumerate(layout.objects):
        wanted = [parity.checksums.data[i] for i in layout.blocks_of(index)]
        data += _sound_blocks(found[index], covered.size_bytes, layout, wanted)
    lost = [index for index, block in enumerate(data) if block is None]
    rows = [index for index, block in enumerate(parity.blocks) if block is not None]
    if len(lost) > len(rows):
        return Mended(None, len(lost), len(rows))
    rows = rows[: len(lost)]
    zeros = bytes(layout.block_bytes)
    if lost:
        computed = _parity_blocks(layout, iter([block or zeros for block in data]), [])
        remainders = np.stack([_words(parity.blocks[i] or b"") ^ _words(computed[i]) for i in rows])
        for index, block in zip(lost, solved(remainders, rows, lost, layout.parity), strict=True):
            data[index] = block.astype(_WORD, copy=False).tobytes()
    objects: list[bytes] = []
    for index, covered in enumerate(layout.objects):
        joined = b"".join(data[i] or b"" for i in layout.blocks_of(index))[: covered.size_bytes]
        if hashlib.sha256(joined).digest() != covered.sha256:
            return Mended(None, len(lost), len(rows))  # a checksum agreed by chance
        objects.append(joined)
    return Mended(objects, len(lost), len(rows))


def _covered(pieces: Pieces) -> Covered:
    hashed = hashlib.sha256()
    for piece in pieces:
        hashed.update(piece)
    return Covered(sum(map(len, pieces)), hashed.digest())


def _parity_blocks(layout: Layout, data: Iterator[bytes], checksums: list[int]) -> list[bytes]:
    """The parity blocks of data blocks. checksums: gets those of the data blocks."""
    if not fits(layout.data, layout.parity):
        raise LimitExceeded(f"{layout.data} and {layout.parity} blocks are more than there can be")
    size = 1 << group_bits(layout.parity)

    def groups() -> Iterator[Words]:
        group = np.zeros((size, layout.block_bytes // 2), np.uint16)
        filled = 0
        for block in data:
            checksums.append(crc32c(block))
            group[filled] = _words(block)
            filled += 1
            if filled == size:
                yield group
                group[:], filled = 0, 0
        if filled:
            yield group

    rows = encoded(groups(), layout.parity, layout.block_bytes // 2)
    return [row.astype(_WORD, copy=False).tobytes() for row in rows]


def _blocks(pieces: Pieces, layout: Layout) -> Iterator[bytes]:
    """The blocks of an object in pieces; the last is filled up with zeros."""
    waiting = bytearray()
    for piece in pieces:
        left = memoryview(piece)
        while len(left):
            take = min(len(left), layout.block_bytes - len(waiting))
            waiting += left[:take]
            left = left[take:]
            if len(waiting) == layout.block_bytes:
                yield bytes(waiting)
                waiting.clear()
    if waiting:
        yield bytes(waiting.ljust(layout.block_bytes, b"\0"))


def _sound_blocks(
    found: bytes, size_bytes: int, layout: Layout, wanted: Sequence[int | None]
) -> Iterator[bytes | None]:
    shift = len(found) - size_bytes
    for index, checksum in enumerate(wanted):
        start = index * layout.block_bytes
        length = min(layout.block_bytes, size_bytes - start)
        places = (found[at : at + length] for at in (start, start + shift) if at >= 0)
        filled = (place.ljust(layout.block_bytes, b"\0") for place in places)
        yield next((block for block in filled if is_block(block, layout, checksum)), None)


def _words(block: bytes) -> Words:
    return np.frombuffer(block, _WORD).astype(np.uint16, copy=False)
