"""Small files that ask for a lot of work: refused soon, with a reason."""

import struct
import time

import pytest

from seec.pipeline.images.files import read_header, read_image
from seec.pipeline.images.formats.png_file import SIGNATURE, chunk
from seec.schemas.errors import UnreadableImage

SOON_S = 20.0  # on a machine with other things to do; what is mended here took minutes, or for ever


def tiff_of_many_directories() -> bytes:
    """A thousand directories that overlap, each of thousands of tags."""
    entries = 5000
    count = struct.pack("<H", entries)
    data = bytearray(b"II*\0" + struct.pack("<I", 8))
    for tag in range(entries + 1000):
        data += count + struct.pack("<HHI", tag & 0xFFFF, 1, 1)[:6] + bytes(4)
    return bytes(data)


def tiff_of_shared_lists() -> bytes:
    """Thousands of tags that all point to one long list."""
    entries, length = 8000, 1 << 20
    data = b"II*\0" + struct.pack("<IH", 8, entries)
    start = 8 + 2 + 12 * entries + 4
    data += b"".join(struct.pack("<HHII", tag, 1, length, start) for tag in range(entries))
    return data + bytes(4) + bytes(length)


def tiff_of_many_strips() -> bytes:
    count = (1 << 20) + 1
    tags = {256: 1, 257: count, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    entries = [(tag, 1, value) for tag, value in tags.items()]
    entries += [(273, count, start), (279, count, start)]
    data = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, n, value in sorted(entries):
        data += struct.pack("<HHII", tag, 4, n, value)
    return data + bytes(4) + bytes(4 * count)


BOMBS = {
    "netpbm with spaces": b"P5" + b" " * 4000 + b"x",
    "netpbm with comments": b"P6" + b"#\n" * 2000 + b"x",
    "PAM with lines": b"P7\n" + b"\n" * 4000,
    "PNG with chunks": SIGNATURE
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 6, 0, 0, 0))
    + chunk(b"IDAT", b"") * 300_000
    + chunk(b"IEND", b""),
    "WebP with chunks": b"RIFF\xff\xff\xff\0WEBPVP8L" + b"\0\0\0\0ICCP" * 200_000,
    "QOI of one colour": b"qoif" + struct.pack(">IIBB", 9000, 9000, 4, 0) + bytes(7) + b"\1",
    "TIFF of directories": tiff_of_many_directories(),
    "TIFF of shared lists": tiff_of_shared_lists(),
    "TIFF of strips": tiff_of_many_strips(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_asks_for_much_is_refused_soon(name: str):
    start = time.process_time()
    with pytest.raises(UnreadableImage, match=r"\w"):
        read_all(BOMBS[name])
    assert time.process_time() - start < SOON_S


def read_all(data: bytes) -> None:
    read_header(data)
    read_image(data)
