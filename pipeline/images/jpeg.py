"""JPEG files, as far as their frame header: the rest is for whoever takes them whole."""

import re
from dataclasses import dataclass

from seec.schemas.errors import UnreadableImage

FORMAT = "JPEG"
_START = b"\xff\xd8"
# Markers that libjxl knows; it skips all else between two segments, and so do we.
_MARKER = re.compile(rb"\xff[\xc0-\xc2\xc4\xd0-\xdb\xdd\xe0-\xef\xfe]")
_FRAMES = (0xC0, 0xC1, 0xC2)
_WITHOUT_LENGTH = range(0xD0, 0xD9)
_END, _SCAN = 0xD9, 0xDA
# More than any camera writes, and soon read where a file consists of nothing else.
_MAX_SEGMENTS = 1 << 16


@dataclass(frozen=True)
class Frame:
    """A frame header. width, height: pixels, at least 1. components: 1 gray, 3 colour."""

    width: int
    height: int
    components: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def matches(data: bytes) -> bool:
    """Whether the bytes begin as a JPEG file does."""
    return data.startswith(_START)


def read_frame(data: bytes) -> Frame:
    """The frame header of a baseline, extended or progressive Huffman coded JPEG file.

    UnreadableImage, with the reason, if there is none before the first scan.
    """
    position = len(_START)
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None:
            break
        marker, position = data[found.start() + 1], found.end()
        if marker in (_END, _SCAN):
            break
        if marker in _WITHOUT_LENGTH:
            continue
        segment = data[position : position + int.from_bytes(data[position : position + 2], "big")]
        if len(segment) < 2:
            break
        if marker in _FRAMES:
            return _parse(segment)
        position += len(segment)
    raise UnreadableImage("JPEG without a frame header of a kind JPEG XL holds")


def _parse(segment: bytes) -> Frame:
    """segment: length, bits per sample, height, width, number of components, components."""
    if len(segment) < 8:
        raise UnreadableImage("damaged JPEG file: frame header cut short")
    height, width = int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[5:7], "big")
    if width < 1 or height < 1:
        raise UnreadableImage("no pixels")
    return Frame(width, height, segment[7])
