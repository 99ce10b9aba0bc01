"""Formats that hold plain samples: binary PGM and PPM, BMP with 24 bits, uncompressed TIFF.

Envelope: uint32 little-endian length of the first part, the first part (all bytes before the
samples), the second part (all bytes after them). The file comes back byte for byte.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.schemas.errors import UnreadableImage

_NETPBM_HEADER = re.compile(rb"P([56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s+255\s")
_TIFF_REFUSED = {322, 323, 324, 330, 338}  # tiles, sub-directories, extra samples
_TIFF_TAGS = {256, 257, 258, 259, 262, 266, 273, 277, 279, 284, 339} | _TIFF_REFUSED
_BMP_HEADER = struct.Struct("<2sIHHIIiiHHI")


@dataclass(frozen=True)
class Layout:
    """Where the samples of one file lie.

    start: offset of the first sample. stride: bytes from one row to the next. bottom_up, bgr: the
    order of rows and of samples in a pixel.
    """

    width: int
    height: int
    channels: int
    start: int
    stride: int
    bottom_up: bool = False
    bgr: bool = False

    @property
    def end(self) -> int:
        """Offset of the first byte after the samples."""
        return self.start + self.stride * self.height


@dataclass(frozen=True)
class RawFormat:
    """A format whose files are described by a Layout, found by `parse` in the bytes before them."""

    FORMAT: str
    magic: tuple[bytes, ...]
    parse: Callable[[bytes], Layout]

    def matches(self, data: bytes) -> bool:
        """Whether the bytes begin as such a file does."""
        return data.startswith(self.magic)

    def size(self, data: bytes) -> tuple[int, int]:
        """Width and height; UnreadableImage if not 8-bit RGB or gray in plain samples."""
        layout = self._layout(data)
        if layout.end > len(data):
            raise UnreadableImage(f"damaged {self.FORMAT} file: cut short")
        return layout.width, layout.height

    def take_apart(self, data: bytes) -> tuple[NDArray[np.uint8], bytes]:
        """Pixels and envelope."""
        layout = self._layout(data)
        samples = np.frombuffer(data, np.uint8, layout.stride * layout.height, layout.start)
        used = layout.width * layout.channels
        rows = samples.reshape(layout.height, layout.stride)[:, :used]
        pixels = _reorder(rows.reshape(layout.height, layout.width, layout.channels), layout)
        pixels = pixels[:, :, 0] if layout.channels == 1 else pixels
        first = data[: layout.start]
        envelope = struct.pack("<I", layout.start) + first + data[layout.end :]
        if self.put_together(pixels, envelope) != data:
            raise UnreadableImage(f"{self.FORMAT} file with padding that is not zero")
        return pixels, envelope

    def put_together(self, pixels: NDArray[np.uint8], envelope: bytes) -> bytes:
        """The file that was taken apart."""
        if len(envelope) < 4:
            raise UnreadableImage(f"envelope of a {self.FORMAT} file is cut short")
        (start,) = struct.unpack_from("<I", envelope)
        first, second = envelope[4 : 4 + start], envelope[4 + start :]
        # TIFF may describe its samples behind them: put something in their place to find out.
        layout = self._layout(first + bytes(pixels.size) + second)
        shape = (layout.height, layout.width, layout.channels)
        expected = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
        if start != layout.start or shape != expected:
            raise UnreadableImage(f"envelope of a {self.FORMAT} file does not fit its pixels")
        rows = np.zeros((layout.height, layout.stride), np.uint8)
        ordered = _reorder(pixels.reshape(shape), layout)
        rows[:, : layout.width * layout.channels] = ordered.reshape(layout.height, -1)
        return first + rows.tobytes() + second

    def _layout(self, data: bytes) -> Layout:
        try:
            return self.parse(data)
        except (struct.error, IndexError, ValueError, KeyError):
            raise UnreadableImage(f"{self.FORMAT} file that is damaged or not plain") from None


def _reorder(pixels: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    pixels = pixels[::-1] if layout.bottom_up else pixels
    return pixels[:, :, ::-1] if layout.bgr else pixels


def _parse_netpbm(data: bytes) -> Layout:
    header = _NETPBM_HEADER.match(data[:4096])
    if header is None:
        raise ValueError("no header")
    channels = 3 if header.group(1) == b"6" else 1
    width, height = int(header.group(2)), int(header.group(3))
    return Layout(width, height, channels, header.end(), width * channels)


def _parse_bmp(data: bytes) -> Layout:
    fields = _BMP_HEADER.unpack_from(data)
    _, _, _, _, start, header_size, width, height, planes, depth, compression = fields
    if (header_size, planes, depth, compression) != (40, 1, 24, 0) or width < 1 or start < 54:
        raise ValueError("not plain 24-bit samples")
    stride = (3 * width + 3) // 4 * 4
    return Layout(width, abs(height), 3, start, stride, bottom_up=height > 0, bgr=True)


def _parse_tiff(data: bytes) -> Layout:
    order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    tags: dict[int, list[int]] = {}
    for i in range(count):
        tag, kind, n, _ = struct.unpack_from(order + "HHII", data, directory + 2 + 12 * i)
        # Many tags may point to the same many values: those that nobody asks for stay unread.
        if tag not in _TIFF_TAGS:
            continue
        tags[tag] = _tiff_values(data, order, directory + 10 + 12 * i, kind, n)
    (following,) = struct.unpack_from(order + "I", data, directory + 2 + 12 * count)
    width, height = tags[256][0], tags[257][0]
    channels = tags.get(277, [1])[0]
    expected = {1: 1, 3: 2}  # samples per pixel -> photometric interpretation
    plain = (
        following == 0
        and tags.get(259, [1]) == [1]  # compression: none
        and tags.get(258, [1]) == [8] * channels
        and tags[262] == [expected[channels]]
        and tags.get(284, [1]) == [1]  # planar configuration: samples together
        and tags.get(266, [1]) == [1]  # fill order
        and tags.get(339, [1]) in ([1], [1] * channels)  # sample format: unsigned
        and not tags.keys() & _TIFF_REFUSED
    )
    starts, sizes = tags[273], tags[279]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    stride = width * channels
    together = starts[1:] == ends[:-1] and ends[-1] - starts[0] == stride * height
    if not (plain and together):
        raise ValueError("not plain samples in one piece")
    return Layout(width, height, channels, starts[0], stride)


def _tiff_values(data: bytes, order: str, at: int, kind: int, count: int) -> list[int]:
    """Values of a tag of type BYTE, SHORT or LONG; others are carried along unread."""
    code = {1: "B", 3: "H", 4: "I"}.get(kind)
    if code is None or count > 1 << 20:
        return []
    length = struct.calcsize(code) * count
    if length > 4:
        (at,) = struct.unpack_from(order + "I", data, at)
    return list(struct.unpack_from(f"{order}{count}{code}", data, at))


NETPBM = RawFormat("NETPBM", (b"P5", b"P6"), _parse_netpbm)
BMP = RawFormat("BMP", (b"BM",), _parse_bmp)
TIFF = RawFormat("TIFF", (b"II*\0", b"MM\0*"), _parse_tiff)
