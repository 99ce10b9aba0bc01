"""Attacks on the search for images in containers: each ends soon, within bounds of memory."""

import io
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable

import h5py
import numpy as np
import pytest
import zstandard

from seec.pipeline.containers import PACKINGS, Held, cut, find
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.containers import assembled, found, parquet, pictures, tar, zipped
from tests.jpegs import jpeg
from tests.pictures import textured

MIB = 1 << 20


def empty_members(count: int) -> bytes:
    header = tarfile.TarInfo("empty.jpg").tobuf(tarfile.USTAR_FORMAT)
    return header * count


def headers_that_lie() -> bytes:
    """Each claims all that follows, and more."""
    one = tarfile.TarInfo("long.jpg")
    one.size = 1 << 33
    return one.tobuf(tarfile.GNU_FORMAT) * 10_000


def headers_before_headers() -> bytes:
    """Long names of long names, and no member that they belong to."""
    one = tarfile.TarInfo("././@LongLink")
    one.type, one.size = tarfile.GNUTYPE_LONGNAME, 1 << 15
    return one.tobuf(tarfile.GNU_FORMAT) * 10_000


def records_of_one_letter() -> bytes:
    one = tarfile.TarInfo("records")
    one.type, one.size = tarfile.XHDTYPE, 1 << 15
    return (one.tobuf(tarfile.USTAR_FORMAT) + b"6 a=b\n" * 5461 + b"\0\0") * 200


def sparse_headers() -> bytes:
    """Each goes on in all that follow."""
    one = tarfile.TarInfo("sparse")
    one.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(one.tobuf(tarfile.GNU_FORMAT))
    header[482] = header[504] = 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) * 10_000


def magic_everywhere() -> bytes:
    return b"ustar" * (MIB // 5)


def local_headers(flags: int = 0, length: int = 0) -> bytes:
    header = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, flags, 0, 0, 0, 0, length, length, 5, 0)
    return zipped({"a": b"b"}) + (header + b"a.jpg") * 30_000


def streams_without_end() -> bytes:
    """Deflate streams, each of which the next header is part of."""
    header = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 8, 8, 0, 0, 0, 0, 0, 5, 0) + b"a.jpg"
    stored = b"\0" + struct.pack("<HH", len(header) + 5, 0xFFFF ^ (len(header) + 5))
    return (header + stored) * 20_000


def bomb_of_zeros() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(8):
            archive.writestr(f"{i}.jpg", jpeg() + bytes(2 * MIB))
            archive.writestr(f"{i}.tar", empty_members(1) + bytes(2 * MIB))
    return target.getvalue()


def archives_in_archives() -> bytes:
    data = b"".join(pictures().values())
    for i in range(40):
        data = tar([("a.jpg", jpeg()), ("inner", data)]) if i % 2 else zipped({"inner": data})
    return data


def pages_of_one_byte() -> bytes:
    """A column whose pages, as their headers say, are empty: as many as there is room for."""
    data = parquet({"image": [bytes(100_000)]}, compression="none", use_dictionary=False)
    page = bytes([0x15, 0, 0x15, 0, 0x15, 0, 0x2C, 0x15, 0, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0])
    return data[:4] + (page * 100_000)[:99_000] + data[99_004:]


def footer_of_lists() -> bytes:
    """Structures in structures, and lists that promise what is not there."""
    footer = b"\x15\2\x19\xfc\xff\xff\3" + b"\x15\0\0" * 300_000
    return b"PAR1" + bytes(100) + footer + struct.pack("<I4s", len(footer), b"PAR1")


def deep_footer() -> bytes:
    footer = b"\x1c" * 1_000_000
    return b"PAR1" + bytes(100) + footer + struct.pack("<I4s", len(footer), b"PAR1")


def directory_that_goes_on() -> bytes:
    """TIFF files in a tar, whose directories have more entries than bytes."""
    image = b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 256, 4, 1, 1) * 50
    return tar((f"{i}.tif", image) for i in range(500))


def bomb_of_chunks() -> bytes:
    """Chunks of 4 MiB that take 4 KiB each, of images that have several."""
    target = io.BytesIO()
    with h5py.File(target, "w", libver="latest") as file:
        shape, chunks = (400, 2048, 1024), (4, 1024, 1024)
        array = file.create_dataset("a", shape, "u1", chunks=chunks, compression=9)
        packed = zlib.compress(bytes(4 * MIB), 9)
        for i in range(120):
            array.id.write_direct_chunk((i // 2 * 4, i % 2 * 1024, 0), packed)
    return target.getvalue()


def chunks_of_many_axes() -> bytes:
    """262,144 chunks of a byte, one behind the other, in an array of 32 axes."""
    target = io.BytesIO()
    with h5py.File(target, "w", libver="latest") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((1,) * 32)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple((1 << 18, *(1,) * 31))
        h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_UINT8, space, plan)
    return target.getvalue()


def one_chunk_many_times() -> bytes:
    """A B-tree of 3,000 chunks, all at one place."""
    target = io.BytesIO()
    with h5py.File(target, "w") as file:
        array = np.arange(3000 * 256, dtype=np.uint32).reshape(3000, 16, 16)
        file.create_dataset("a", data=array, chunks=(1, 8, 16))
    data = bytearray(target.getvalue())
    key = 8 + 8 * 4
    at = data.find(b"TREE")
    while at >= 0:
        if data[at + 4] == 1 and data[at + 5] == 0:
            for i in range(int.from_bytes(data[at + 6 : at + 8], "little")):
                place = at + 24 + key + i * (key + 8)
                data[place : place + 8] = (4096).to_bytes(8, "little")
        at = data.find(b"TREE", at + 1)
    return bytes(data)


def group_without_end() -> bytes:
    """A large group, whose heap has blocks that are itself."""
    target = io.BytesIO()
    with h5py.File(target, "w", libver="latest") as file:
        for i in range(3000):
            file.create_group(f"a rather long name of a group {i:06}")
    data = bytearray(target.getvalue())
    at = data.find(b"FHIB")
    assert at > 0
    for i in range(100):
        place = at + 17 + 8 * i
        data[place : place + 8] = at.to_bytes(8, "little")
    return bytes(data)


ATTACKS: dict[str, Callable[[], bytes]] = {
    "many empty members": lambda: empty_members(20_000),
    "a tar whose headers lie": headers_that_lie,
    "long names of long names": headers_before_headers,
    "records of one letter": records_of_one_letter,
    "sparse headers that go on": sparse_headers,
    "the magic of tar everywhere": lambda: empty_members(1) + magic_everywhere(),
    "many empty members of a zip": local_headers,
    "members of a zip that lie": lambda: local_headers(length=1 << 31),
    "descriptors that are missing": lambda: local_headers(flags=8),
    "streams without an end": streams_without_end,
    "a bomb of zeros": bomb_of_zeros,
    "archives in archives": archives_in_archives,
    "pages of no bytes": pages_of_one_byte,
    "a footer of lists": footer_of_lists,
    "a deep footer": deep_footer,
    "directories that go on": directory_that_goes_on,
    "a bomb of chunks": bomb_of_chunks,
    "chunks of many axes": chunks_of_many_axes,
    "one chunk, many times": one_chunk_many_times,
    "a group without an end": group_without_end,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_soon_and_the_file_comes_back(name: str):
    data = ATTACKS[name]()
    ranges = Held(data)
    start = time.process_time()
    spans = find(data, 0, ranges)
    for i in range(5):
        assert 0 <= cut(ranges, i * len(data) // 5) <= len(data)
    assert time.process_time() - start < 6 + 6 * len(data) / (10 * MIB)
    assert assembled(data, spans) == data


@pytest.mark.parametrize(
    "name",
    [
        *("a bomb of zeros", "a bomb of chunks", "streams without an end", "a footer of lists"),
        "chunks of many axes",
    ],
)
def test_an_attack_takes_bounded_memory(name: str):
    data = ATTACKS[name]()
    tracemalloc.start()
    try:
        find(data, 0, Held(data))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * len(data) + 160 * MIB


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..", "a/../b", "-rf", "\\..\\a"]
)
def test_a_name_that_leads_elsewhere_is_only_a_name(name: str):
    for data in (tar([(name, jpeg())]), zipped({name: jpeg()})):
        assert [image for _, image in found(data)] == [jpeg()]
        assert [given for given, _ in found(data)] == [name.replace("\\", "\\\\")]


def number(value: int) -> bytes:
    """As Thrift's compact protocol writes one."""
    value, made = (value << 1 ^ value >> 63) & ((1 << 64) - 1), bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


@pytest.mark.parametrize("rows", [-1, 1 << 49, (1 << 63) - 1])
def test_rows_of_groups_that_cannot_be_give_no_names(rows: int):
    images = [jpeg(textured(40 + i % 9, 50)) for i in range(154)]
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    data = parquet({"image": images}, row_group_size=77, **options)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    stated = b"\x16" + number(77)
    assert data.count(stated, footer) >= 2
    lying = data[footer:-8].replace(stated, b"\x16" + number(rows))
    data = data[:footer] + lying + struct.pack("<I4s", len(lying), b"PAR1")
    assert [image for _, image in found(data)] == images
    assert {name for name, _ in found(data)[77:]} == {None}


def test_a_snappy_block_that_grows_is_refused_by_its_length():
    block = b"\xff\xff\xff\xff\x0f" + b"\0a" + b"\xfe\1\0" * 1000
    with pytest.raises(UnreadableImage):
        PACKINGS["snappy"].unpack(block, 1 << 20)


@pytest.mark.parametrize("block", [b"", b"\5", b"\5\x10hell", b"\5\1\0", b"\5\xf0", b"\x80" * 9])
def test_a_damaged_snappy_block_is_an_error_of_ours(block: bytes):
    with pytest.raises(UnreadableImage):
        PACKINGS["snappy"].unpack(block, 1 << 20)


@pytest.mark.parametrize("length", range(0, 40, 3))
def test_a_zstd_frame_that_is_cut_short_is_an_error_of_ours(length: int):
    frame = zstandard.ZstdCompressor().compress(jpeg()[:20])
    with pytest.raises(UnreadableImage):
        PACKINGS["zstd"].unpack(frame[: min(length, len(frame) - 1)], 1 << 20)


@pytest.mark.parametrize(
    "recipe",
    [b"", b"no zlib", zlib.compress(b""), zlib.compress(b"\5\x10")[:-3], zlib.compress(b"\5\xff")],
)
@pytest.mark.parametrize("packing", ["snappy", "zstd"])
def test_a_damaged_recipe_is_an_error_of_ours(recipe: bytes, packing: str):
    with pytest.raises(SectionCorrupt):
        PACKINGS[packing].pack(b"hello", recipe)
