"""Where an image ends that begins at a given place, by its own structure alone.

A walk through the segments, chunks or blocks of an image marks each place that it comes to. Where a
later walk from another false start comes to a marked place in the same state, it would fail as the
first one did, and stops. So the work for all starts in a piece is linear in its length. PNG files
are walked by length first; what is read for checksums that are wrong has a bound of its own.
"""

import re
import struct
import zlib

JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
GIF_START = b"GIF8"
WEBP_START = b"RIFF"
STARTS = (JPEG_START, PNG_START, GIF_START, WEBP_START)

_EOI, _SOS, _DQT = 0xD9, 0xDA, 0xDB
# Baseline, extended and progressive, in Huffman coding: no route takes any other.
_FRAMES = (0xC0, 0xC1, 0xC2)
# Huffman tables, DNL, DRI, comments, APPn; with those above all that may stand in such a file.
_SEGMENTS = frozenset([0xC4, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0), *_FRAMES, _SOS, _DQT])
# Ends the entropy-coded bytes of a scan: no stuffed byte, no fill byte, no restart.
_BEHIND_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_LIKELY_BYTES = 16
_LIKELY = re.compile(
    rb"\xff\xd8\xff[\xc0-\xc2\xc4\xdb\xdd\xe0-\xef\xfe\xff]"
    rb"|\x89PNG\r\n\x1a\n\0\0\0\rIHDR|GIF8[79]a|RIFF....WEBP",
    re.DOTALL,
)
_CHUNK = struct.Struct(">I4s")
# States of walks, one bit each: what a JPEG file had before, where in a GIF file, in a PNG file.
_EMPTY, _FRAMED, _QUANTISED, _READY, _SCANNED, _IN_GIF, _IN_BLOCKS, _IN_PNG = (
    1 << i for i in range(8)
)
# A scan needs a frame header and quantisation tables before it; there is one frame header.
_BEHIND = {
    (_EMPTY, _FRAMES[0]): _FRAMED,
    (_QUANTISED, _FRAMES[0]): _READY,
    (_EMPTY, _DQT): _QUANTISED,
    (_FRAMED, _DQT): _READY,
    (_READY, _SOS): _SCANNED,
    (_SCANNED, _SOS): _SCANNED,
}
_BEHIND_ONLY = (_FRAMES[0], _SOS)
_GIF_HEAD_BYTES, _GIF_IMAGE_BYTES = 13, 10
_MOST_WEBP_CHUNKS = 16
_WRONG_FACTOR = 4  # how often a piece is read, at most, for checksums that are wrong


class Broken(Exception):
    """No image begins there."""


class Unended(Exception):
    """What begins there goes on behind the end of the bytes."""


class Walks:
    """Walks through one piece of a file, each from another start, in rising order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._marks: bytearray | None = None
        self._wrong_bytes = _WRONG_FACTOR * len(data)

    def end_of(self, start: int) -> int:
        """Behind the last byte of the image that begins there with one of `STARTS`.

        Raises Broken or Unended where no whole image begins.
        """
        if not _LIKELY.match(self._data, start):
            if len(self._data) - start < _LIKELY_BYTES:
                raise Unended
            raise Broken
        try:
            match self._data[start]:
                case 0xFF:
                    return self._end_of_jpeg(start)
                case 0x89:
                    return self._end_of_png(start)
                case 0x47:
                    return self._end_of_gif(start)
                case _:
                    return self._end_of_webp(start)
        except (IndexError, struct.error):
            raise Unended from None

    def _mark(self, at: int, state: int) -> None:
        if self._marks is None:
            self._marks = bytearray(len(self._data))
        if self._marks[at] & state:
            raise Broken
        self._marks[at] |= state

    def _end_of_jpeg(self, start: int) -> int:
        data, at, state = self._data, start + 2, _EMPTY
        while True:
            self._mark(at, state)
            marker = data[at + 1]
            if data[at] != 0xFF:
                raise Broken
            if marker == 0xFF:  # a fill byte
                at += 1
                continue
            if marker == _EOI and state == _SCANNED:
                return at + 2
            after = at + 2 + (data[at + 2] << 8 | data[at + 3])
            if marker not in _SEGMENTS or after < at + 4:
                raise Broken
            if after > len(data):
                raise Unended
            state = _behind_segment(state, marker, data[at + 4 : after])
            at = after
            if marker == _SOS:
                found = _BEHIND_SCAN.search(data, after)
                if found is None:
                    raise Unended
                at = found.start()

    def _end_of_png(self, start: int) -> int:
        data, at = self._data, start + len(PNG_START)
        while True:
            self._mark(at, _IN_PNG)
            length, kind = _CHUNK.unpack_from(data, at)
            if length >> 31 or not kind.isalpha():
                raise Broken
            at += 12 + length
            if at > len(data):
                raise Unended
            if kind == b"IEND":
                break
        if self._wrong_bytes < at - start:
            raise Broken
        if not _has_right_checksums(memoryview(data)[start + len(PNG_START) : at]):
            self._wrong_bytes -= at - start
            raise Broken
        return at

    def _end_of_gif(self, start: int) -> int:
        data, at = self._data, start + _GIF_HEAD_BYTES
        at += _palette(data[start + 10])
        while True:
            self._mark(at, _IN_GIF)
            kind = data[at]
            if kind == 0x3B:
                return at + 1
            if kind == 0x21:
                at += 2
            elif kind == 0x2C and 2 <= data[at + (size := _image(data[at + 9])) - 1] <= 8:
                at += size
            else:
                raise Broken
            while data[at]:
                self._mark(at, _IN_BLOCKS)
                at += 1 + data[at]
            at += 1

    def _end_of_webp(self, start: int) -> int:
        data = self._data
        (size,) = struct.unpack_from("<I", data, start + 4)
        end, at = start + 8 + size, start + 12
        if size % 2:
            raise Broken
        lossless = False
        for _ in range(_MOST_WEBP_CHUNKS):
            kind, length = struct.unpack_from("<4sI", data, at)
            lossless |= kind == b"VP8L"
            at += 8 + length + length % 2
            if at > end:
                raise Broken
            if at == end and lossless and end <= len(data):
                return end
        raise Broken


def _behind_segment(state: int, marker: int, body: bytes) -> int:
    """What a JPEG file had before its next segment; Broken where this one may not stand there."""
    if marker in _FRAMES:
        if not _is_frame(body):
            raise Broken
        marker = _FRAMES[0]
    elif marker == _SOS and not _is_scan(body):
        raise Broken
    behind = _BEHIND.get((state, marker), 0 if marker in _BEHIND_ONLY else state)
    if not behind:
        raise Broken
    return behind


def _is_frame(body: bytes) -> bool:
    """Whether it is a frame header with 8 bits a sample and 1 to 4 components."""
    if len(body) < 6 or body[0] != 8 or not 1 <= body[5] <= 4 or len(body) != 6 + 3 * body[5]:
        return False
    sampling = [(one >> 4, one & 15) for one in body[7::3]]
    return body[3:5] != b"\0\0" and all(1 <= h <= 4 and 1 <= v <= 4 for h, v in sampling)


def _is_scan(body: bytes) -> bool:
    return len(body) >= 6 and 1 <= body[0] <= 4 and len(body) == 4 + 2 * body[0]


def _has_right_checksums(chunks: memoryview) -> bool:
    at = 0
    while at < len(chunks):
        length, _ = _CHUNK.unpack_from(chunks, at)
        end = at + 8 + length
        if zlib.crc32(chunks[at + 4 : end]) != int.from_bytes(chunks[end : end + 4], "big"):
            return False
        at = end + 4
    return True


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _image(flags: int) -> int:
    """Bytes of an image descriptor, its palette and the byte that states the bits of a code."""
    return _GIF_IMAGE_BYTES + _palette(flags) + 1
