"""Parity blocks: the code, and objects that come back from damage of every kind."""

import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from seec.pipeline.parity.code import encoded, fits, group_bits, solved
from seec.pipeline.parity.field import BASIS, BITS, ORDER, Words, product, spanned, tables
from seec.pipeline.parity.objects import mended, parity_of
from seec.schemas.errors import SectionCorrupt
from seec.schemas.parity import HEAD_BYTES, Covered, Layout, parse


def times(one: int, other: int) -> int:
    return int(product(np.array([one], np.uint16), np.array([other], np.uint16))[0])


def inverse(value: int) -> int:
    logs, powers = tables()
    return int(powers[-logs[value] % ORDER])


def by_the_formula(data: Words, parity: int) -> Words:
    bits = group_bits(parity)
    found = np.zeros((parity, data.shape[1]), np.uint16)
    for i in range(parity):
        for j, block in enumerate(data, 1 << bits):
            factor = times(j >> bits, inverse(i ^ j))
            found[i] ^= product(np.full(1, factor, np.uint16), block)
    return found


def grouped(data: Words, parity: int) -> Iterator[Words]:
    size = 1 << group_bits(parity)
    for start in range(0, len(data), size):
        group = np.zeros((size, data.shape[1]), np.uint16)
        group[: len(data[start : start + size])] = data[start : start + size]
        yield group


def test_the_basis_is_cantors():
    assert sorted(spanned(np.array(BASIS, np.uint16))) == list(range(1 << BITS))
    for bit in range(1, BITS):
        assert times(1 << bit, 1 << bit) ^ (1 << bit) == 1 << (bit - 1)


@pytest.mark.parametrize(("data", "parity"), [(1, 1), (5, 1), (7, 2), (20, 3), (33, 5), (70, 16)])
@pytest.mark.parametrize("words", [8, 5000])
def test_parity_blocks_are_those_of_the_formula(data: int, parity: int, words: int):
    blocks = np.random.default_rng(data).integers(0, 1 << 16, (data, words), dtype=np.uint16)
    assert np.array_equal(
        encoded(grouped(blocks, parity), parity, words), by_the_formula(blocks, parity)
    )


@pytest.mark.parametrize(("data", "parity"), [(1, 1), (2, 2), (9, 4), (60, 17), (300, 3)])
def test_any_blocks_come_back_from_as_many_parity_blocks(data: int, parity: int):
    rng = np.random.default_rng(parity)
    blocks = rng.integers(0, 1 << 16, (data, 16), dtype=np.uint16)
    whole = encoded(grouped(blocks, parity), parity, 16)
    for _ in range(20):
        count = int(rng.integers(1, min(data, parity) + 1))
        lost = sorted(rng.choice(data, count, replace=False))
        rows = sorted(rng.choice(parity, count, replace=False))
        left = blocks.copy()
        left[lost] = 0
        remainders = (whole ^ encoded(grouped(left, parity), parity, 16))[rows]
        for index, block in zip(lost, solved(remainders, rows, lost, parity), strict=True):
            assert np.array_equal(block, blocks[index])


def test_there_are_numbers_for_as_many_blocks_as_an_object_has():
    assert fits(4096 + 2, 4096 + 1)
    assert not fits(1 << 16, 1)


RNG = random.Random(5)
OBJECTS = [RNG.randbytes(300_000), RNG.randbytes(9_000), b""]
SHARE = 500


@pytest.fixture(scope="module")
def parity() -> bytes:
    return b"".join(
        parity_of([[OBJECTS[0][:7], OBJECTS[0][7:]], *([one] for one in OBJECTS[1:])], SHARE)
    )


def layout() -> Layout:
    import hashlib

    found = Layout.of([Covered(len(o), hashlib.sha256(o).digest()) for o in OBJECTS], SHARE)
    assert found is not None
    return found


def test_the_same_objects_have_the_same_parity(parity: bytes):
    assert b"".join(parity_of([[one] for one in OBJECTS], SHARE)) == parity
    assert len(parity) == layout().size_bytes
    assert parse("p", parity).layout == layout()
    assert parity_of([[b""]], SHARE) == []


def flipped(data: bytes, places: list[int]) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 1 + RNG.randrange(255)
    return bytes(changed)


def bits_here_and_there(data: bytes, blocks: int, size: int) -> bytes:
    chosen = RNG.sample(range(-(-len(data) // size)), blocks)
    return flipped(data, [min(b * size + RNG.randrange(size), len(data) - 1) for b in chosen])


def zeros_in_a_row(data: bytes, blocks: int, size: int) -> bytes:
    length = (blocks - 1) * size  # which may begin anywhere
    start = RNG.randrange(len(data) - length + 1)
    return data[:start] + bytes(length) + data[start + length :]


def cut_off(data: bytes, blocks: int, size: int) -> bytes:
    return data[: len(data) - (blocks - 1) * size - len(data) % size]


def cut_out(data: bytes, blocks: int, size: int) -> bytes:
    length = RNG.randrange(1, (blocks - 1) * size)
    start = RNG.randrange(len(data) - length)
    return data[:start] + data[start + length :]


def put_in(data: bytes, blocks: int, size: int) -> bytes:
    start = RNG.randrange(len(data))
    return data[:start] + RNG.randbytes(RNG.randrange(1, 5 * size)) + data[start:]


def put_behind(data: bytes, blocks: int, size: int) -> bytes:
    return data + RNG.randbytes(3 * size)


KINDS = [bits_here_and_there, zeros_in_a_row, cut_off, cut_out, put_in, put_behind]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_damage_up_to_the_promise_mends(parity: bytes, kind: Callable[[bytes, int, int], bytes]):
    size, most = layout().block_bytes, layout().parity
    assert most > 0.05 * len(OBJECTS[0]) / size
    for _ in range(60):
        broken = kind(OBJECTS[0], most, size)
        assert broken != OBJECTS[0]
        result = mended(parse("p", parity), [broken, *OBJECTS[1:]])
        assert result.objects == OBJECTS
        assert result.damaged <= most


def test_a_small_object_that_is_gone_comes_back(parity: bytes):
    result = mended(parse("p", parity), [OBJECTS[0], b"", b""])
    assert result.objects == OBJECTS
    assert result.damaged == 9


def test_damage_of_the_parity_itself_counts_as_much(parity: bytes):
    size, most = layout().block_bytes, layout().parity
    body = HEAD_BYTES + layout().table_bytes
    for lost in range(most + 1):
        broken = flipped(parity, [body + i * size + RNG.randrange(size) for i in range(lost)])
        result = mended(parse("p", broken), [zeros_at_start(most - lost), *OBJECTS[1:]])
        assert result.objects == OBJECTS
    for broken in (parity[body:], parity[:-body], flipped(parity, [3, len(parity) - body + 9])):
        result = mended(parse("p", broken), [zeros_at_start(1), *OBJECTS[1:]])
        assert result.objects == OBJECTS


def zeros_at_start(blocks: int) -> bytes:
    length = blocks * layout().block_bytes
    return bytes(length) + OBJECTS[0][length:]


def test_a_bit_of_each_kind_of_record_is_no_matter(parity: bytes):
    """Heads and tables are there twice, and their pages have checksums of their own."""
    body = HEAD_BYTES + layout().table_bytes
    for place in (*range(0, body, 37), *range(len(parity) - body, len(parity), 37)):
        result = mended(parse("p", flipped(parity, [place])), [zeros_at_start(1), *OBJECTS[1:]])
        assert result.objects == OBJECTS


def test_more_damage_than_promised_is_told(parity: bytes):
    most = layout().parity
    result = mended(parse("p", parity), [zeros_at_start(most + 1), *OBJECTS[1:]])
    assert (result.objects, result.damaged, result.spare) == (None, most + 1, most)
    with pytest.raises(SectionCorrupt, match="both heads"):
        parse("p", flipped(parity, [1, len(parity) - 2]))
    with pytest.raises(SectionCorrupt, match="both heads"):
        parse("p", b"")


def test_a_checksum_that_agrees_by_chance_gives_nothing_wrong(parity: bytes):
    """Of an object that has other bytes with the same checksums, nothing is said to be whole."""
    first = parse("p", parity)
    second = parse("p", b"".join(parity_of([[OBJECTS[1]], [OBJECTS[0]]], SHARE)))
    mixed = type(first)(first.layout, second.checksums, first.blocks)
    assert mended(mixed, OBJECTS).objects is None


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 33_000, 5_000_000])
@pytest.mark.parametrize("share", [1, 500, 10_000])
def test_objects_of_all_sizes(size: int, share: int):
    data = random.Random(size).randbytes(size)
    made = b"".join(parity_of([[data]], share))
    found = parse("p", made)
    assert len(made) == found.layout.size_bytes
    promised = found.layout.data * share / 10_000
    assert promised <= found.layout.parity <= promised + 2
    broken = bytes(found.layout.block_bytes) + data[found.layout.block_bytes :]
    assert mended(found, [broken]).objects == [data]
