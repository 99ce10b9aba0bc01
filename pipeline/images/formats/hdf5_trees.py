"""B-trees of HDF5 files, of both versions."""

from collections.abc import Iterator

from seec.pipeline.images.formats.hdf5_reader import MOST_DEPTH, Damaged, Reader, uint

_NODE_BYTES = 10  # of a node of version 2 beside what it lists: mark, version, type, checksum


def leaves(
    reader: Reader, address: int, kind: int, key_bytes: int, depth: int = 0
) -> Iterator[bytes]:
    """What the leaves of a B-tree of version 1 list: a key and an address, again and again."""
    head = reader.read(address, 24, b"TREE")
    level, count = head[5], uint(head, 6, 2)
    if head[4] != kind or depth > MOST_DEPTH:
        raise Damaged
    each = key_bytes + 8
    listed = reader.read(address + 24, each * count) if count else b""
    reader.step(count)
    if not level:
        yield listed
        return
    for at in range(key_bytes, len(listed), each):
        yield from leaves(reader, uint(listed, at), kind, key_bytes, depth + 1)


def records(reader: Reader, address: int, kinds: tuple[int, ...]) -> Iterator[tuple[int, bytes]]:
    """What the nodes of a B-tree of version 2 list: the size of a record, and some of them."""
    head = reader.read(address, 38, b"BTHD")
    node_bytes, size, depth = uint(head, 6, 4), uint(head, 10, 2), uint(head, 12, 2)
    if head[5] not in kinds or size < 1 or depth > MOST_DEPTH:
        raise Damaged
    # By depth, from the leaves on: how many records a node may have, and one with all below it.
    most, below = [(node_bytes - _NODE_BYTES) // size], [0]
    if most[0] < 1:
        raise Damaged
    whole, count_bytes = most[0], _bytes_of(most[0])
    pointers = [0]
    for _ in range(depth):
        pointers.append(8 + count_bytes + below[-1])
        most.append((node_bytes - _NODE_BYTES - pointers[-1]) // (size + pointers[-1]))
        if most[-1] < 1:
            raise Damaged
        whole = (most[-1] + 1) * whole + most[-1]
        below.append(_bytes_of(whole))
    nodes = [(uint(head, 16), uint(head, 24, 2), depth)]
    while nodes:
        place, count, level = nodes.pop()
        if not 1 <= count <= most[level]:
            raise Damaged
        pointer = pointers[level]
        node = reader.read(
            place,
            6 + count * size + (count + 1) * pointer if level else 6 + count * size,
            b"BTIN" if level else b"BTLF",
        )
        reader.step(count)
        yield size, node[6 : 6 + count * size]
        nodes += (
            (uint(node, at), uint(node, at + 8, count_bytes), level - 1)
            for at in range(6 + count * size, len(node), pointer or 1)
        )


def _bytes_of(count: int) -> int:
    """How many bytes a number has that is at most so large."""
    return (count.bit_length() + 7) // 8
