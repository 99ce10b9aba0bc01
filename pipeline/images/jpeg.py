"""The headers of a JPEG file (ISO/IEC 10918-1, annex B): which scans there are, and how coded.

The same code reads a file and its *header stream*, which is the file without the entropy-coded
bytes that its scans account for.
"""

import re
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from seec.schemas.errors import UnreadableImage

FORMAT = "JPEG"
_START, _END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
_APP2, _PROFILE = 0xE2, b"ICC_PROFILE\0"
_METADATA = [bytes((code,)) for code in (*range(0xE0, 0xF0), 0xFE)]
_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
# Bytes between two segments that are none of these markers are skipped, as most readers do.
_MARKER = re.compile(rb"\xff[\xc0-\xfe]")
_RESTART_OR_START = range(0xD0, 0xD9)
_END, _SCAN, _QUANTISATION, _HUFFMAN, _INTERVAL, _LINES = 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xDC
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_REFUSED = {0xC3: "lossless JPEG", 0xCC: "JPEG in arithmetic coding"} | {
    marker: "JPEG in arithmetic coding" if marker & 8 else "hierarchical JPEG"
    for marker in (0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
}
# Ends the entropy-coded bytes of a scan: no stuffed byte, no fill byte, no restart.
_BEHIND_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# More than any camera writes, and soon read where a file consists of nothing else.
_MAX_SEGMENTS = 1 << 16
TABLES, TABLE_BYTES = 8, 16 + 256
ZIGZAG = np.array(
    [
        *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48),
        *(41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23),
        *(30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63),
    ]
)


@dataclass(frozen=True)
class FrameComponent:
    """horizontal, vertical: sampling factors, 1 to 4. quantiser: number of its table, 0 to 3."""

    identifier: int
    horizontal: int
    vertical: int
    quantiser: int


@dataclass(frozen=True)
class Frame:
    """A frame header. width, height: pixels, at least 1; height 0 if a DNL segment states it."""

    progressive: bool
    width: int
    height: int
    components: tuple[FrameComponent, ...]

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def samples(self) -> int:
        """Of all components, but for what fills up blocks at the right and at the bottom."""
        most = max(c.horizontal for c in self.components) * max(c.vertical for c in self.components)
        return self.pixels * sum(c.horizontal * c.vertical for c in self.components) // most

    @property
    def mode(self) -> str:
        """L, RGB, or how many components of 8 bits."""
        count = len(self.components)
        return {1: "L", 3: "RGB"}.get(count, f"{count}x8")

    @property
    def mcu_columns(self) -> int:
        """Interleaved MCUs from left to right."""
        return -(-self.width // (8 * max(c.horizontal for c in self.components)))

    @property
    def mcu_rows(self) -> int:
        """Interleaved MCUs from top to bottom."""
        return -(-self.height // (8 * max(c.vertical for c in self.components)))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of blocks of each component, those that fill the last MCUs included."""
        if len(self.components) == 1:
            return [self.visible(0)]
        rows, columns = self.mcu_rows, self.mcu_columns
        return [(c.vertical * rows, c.horizontal * columns) for c in self.components]

    @property
    def blocks(self) -> int:
        """Of all components, those that fill the last MCUs included."""
        return sum(rows * columns for rows, columns in self.shapes)

    def check_presence(self, size_bytes: int) -> None:
        """UnreadableImage if a file of this size has almost nothing of the frame.

        Else a damaged file of some bytes could take memory for all that its header says.
        """
        # A block takes at least a bit, in which all of it is zero.
        if self.blocks > 8 * size_bytes:
            raise UnreadableImage("JPEG of which almost all is missing")

    @property
    def identifiers(self) -> list[int]:
        """Names of the components, in order."""
        return [c.identifier for c in self.components]

    def visible(self, component: int) -> tuple[int, int]:
        """Rows and columns of blocks in which a component has samples."""
        c = self.components[component]
        height = _blocks(self.height, c.vertical, max(c.vertical for c in self.components))
        width = _blocks(self.width, c.horizontal, max(c.horizontal for c in self.components))
        return height, width


def _blocks(pixels: int, sampling: int, densest: int) -> int:
    samples = -(-pixels * sampling // densest)
    return -(-samples // 8)


@dataclass(frozen=True)
class Scan:
    """A scan header, with what the segments before it set.

    components: indices in the frame, with the numbers of DC and AC table, 0 to 3. start, end,
    high, low: coefficients and bits, as if they were those of a whole block for a sequential
    frame. tables: 4 for DC and 4 for AC, each 16 counts and up to 256 symbols. interval: in MCUs,
    0 without.
    """

    components: tuple[tuple[int, int, int], ...]
    start: int
    end: int
    high: int
    low: int
    tables: bytes
    interval: int


def has_jpeg_name(path: str) -> bool:
    """Whether a path ends as those of JPEG files do."""
    return path.lower().endswith(_SUFFIXES)


def matches(data: bytes) -> bool:
    """Whether the bytes begin as a JPEG file does."""
    return data.startswith(_START)


def read_frame(data: bytes) -> Frame:
    """The frame header of a baseline, extended or progressive Huffman coded JPEG file.

    UnreadableImage, with the reason, if there is none before the first scan.
    """
    headers = Headers()
    headers.read_to_scan(data, 0)
    if headers.frame is None:
        raise UnreadableImage("JPEG without a frame header")
    if headers.frame.height < 1:
        raise UnreadableImage("no pixels")
    return headers.frame


def end_of_picture(data: bytes) -> int:
    """Where a JPEG file's picture ends: films and other pictures may stand behind.

    The end of the data where no marker states it. UnreadableImage as `read_frame`.
    """
    headers, behind = Headers(), 0
    while True:
        position, scan = headers.read_to_scan(data, behind)
        if scan is None:
            break
        found = _BEHIND_SCAN.search(data, position)
        behind = len(data) if found is None else found.start()
    end = data.find(_END_OF_IMAGE, behind)
    return len(data) if end < 0 else end + len(_END_OF_IMAGE)


def profile_segments(data: bytes) -> tuple[int, int] | None:
    """Where the segments of a colour profile begin and end; None if there are none.

    Those behind one another, of the first of them; before the frame, and behind no stray bytes.
    """
    begin, at = None, len(_START)
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] in _METADATA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == _APP2 and data[at + 4 : end].startswith(_PROFILE):
            begin = at if begin is None else begin
        elif begin is not None:
            break
        at = end
    return None if begin is None or at > len(data) else (begin, at)


@dataclass
class Headers:
    """What the segments of a file say, as far as they are read.

    height: pixels, where a DNL segment behind the first scan states it, if it is known.
    quantisation: tables by number, [64] uint16 in natural order; latched: those in force at the
    first scan of each component.
    """

    height: int = 0
    frame: Frame | None = None
    interval: int = 0
    quantisation: dict[int, NDArray[np.uint16]] = field(default_factory=dict)
    latched: dict[int, NDArray[np.uint16]] = field(default_factory=dict)
    tables: bytearray = field(default_factory=lambda: bytearray(TABLES * TABLE_BYTES))

    def copy(self) -> "Headers":
        """One that reads on independently."""
        tables = {"quantisation": dict(self.quantisation), "latched": dict(self.latched)}
        return replace(self, tables=self.tables[:], **tables)

    def read_to_scan(self, data: bytes, position: int) -> tuple[int, Scan | None]:
        """Read segments from there; the position behind the next scan header, and that scan.

        No scan: none follows that a frame allows, and the position is of no use. UnreadableImage,
        with the reason, if the frame is of a kind that this does not read.
        """
        for _ in range(_MAX_SEGMENTS):
            found = _MARKER.search(data, position)
            if found is None:
                break
            marker, position = data[found.start() + 1], found.end()
            if marker in _RESTART_OR_START:
                continue
            size = int.from_bytes(data[position : position + 2], "big")
            body = data[position + 2 : position + size]
            if marker == _END or len(body) != size - 2:
                break
            position += size
            if marker == _SCAN:
                return position, self._scan(data, position, body)
            if not self._take(marker, body):
                break
        return position, None

    def _take(self, marker: int, body: bytes) -> bool:
        """Take note of a segment; whether more may follow."""
        if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
            if self.frame is not None:
                return False
            self.frame = _frame(body, marker == _PROGRESSIVE)
        elif marker in _REFUSED and self.frame is None:
            raise UnreadableImage(_REFUSED[marker])
        elif marker == _QUANTISATION:
            return self._take_quantisation(body)
        elif marker == _HUFFMAN:
            return self._take_huffman(body)
        elif marker == _INTERVAL and len(body) == 2:
            self.interval = int.from_bytes(body, "big")
        return True

    def _take_quantisation(self, body: bytes) -> bool:
        while body:
            wide, number = body[0] >> 4, body[0] & 15
            size = 128 if wide else 64
            if wide > 1 or number > 3 or len(body) < 1 + size:
                return False
            steps = np.frombuffer(body[1 : 1 + size], ">u2" if wide else np.uint8)
            table = np.zeros(64, np.uint16)
            table[ZIGZAG] = steps
            self.quantisation[number] = table
            body = body[1 + size :]
        return True

    def _take_huffman(self, body: bytes) -> bool:
        while body:
            kind, number = body[0] >> 4, body[0] & 15
            count = sum(body[1:17])
            if kind > 1 or number > 3 or count > 256 or len(body) < 17 + count:
                return False
            at = TABLE_BYTES * (4 * kind + number)
            self.tables[at : at + TABLE_BYTES] = body[1 : 17 + count].ljust(TABLE_BYTES, b"\0")
            body = body[17 + count :]
        return True

    def _scan(self, data: bytes, position: int, body: bytes) -> Scan | None:
        """body: components, for each its identifier and tables, then start, end, high and low."""
        if self.frame is None or not body or len(body) != 4 + 2 * body[0]:
            return None
        identifiers = self.frame.identifiers
        chosen = [(body[i], body[i + 1]) for i in range(1, len(body) - 3, 2)]
        if not chosen or len({c for c, _ in chosen}) < len(chosen):
            return None
        if any(c not in identifiers or t >> 4 > 3 or t & 15 > 3 for c, t in chosen):
            return None
        components = tuple((identifiers.index(c), t >> 4, t & 15) for c, t in chosen)
        for index, _, _ in components:
            number = self.frame.components[index].quantiser
            if index not in self.latched and number in self.quantisation:
                self.latched[index] = self.quantisation[number]
        self._know_height(data, position)
        start, end, bits = body[-3:]
        coded = (start, end, bits >> 4, bits & 15) if self.frame.progressive else (0, 63, 0, 0)
        return Scan(components, *coded, bytes(self.tables), self.interval)

    def _know_height(self, data: bytes, position: int) -> None:
        """A frame without height: that of the DNL segment behind its first scan."""
        if self.frame is None or self.frame.height:
            return
        if not self.height:
            found = _BEHIND_SCAN.search(data, position)
            if found is not None and data[found.start() + 1] == _LINES:
                self.height = int.from_bytes(data[found.end() + 2 : found.end() + 4], "big")
        if not self.height:
            raise UnreadableImage("damaged JPEG file: no height")
        self.frame = replace(self.frame, height=self.height)


def _frame(body: bytes, progressive: bool) -> Frame:
    """body: bits per sample, height, width, components, for each identifier, sampling, table."""
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise UnreadableImage("damaged JPEG file: frame header cut short")
    if body[0] != 8:
        raise UnreadableImage(f"JPEG of {body[0]} bits per sample")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if width < 1:
        raise UnreadableImage("no pixels")
    if not 1 <= body[5] <= 4:
        raise UnreadableImage(f"JPEG of {body[5]} components")
    parts = [body[i : i + 3] for i in range(6, 6 + 3 * body[5], 3)]
    components = tuple(FrameComponent(c[0], c[1] >> 4, c[1] & 15, c[2]) for c in parts)
    if any(not (1 <= c.horizontal <= 4 and 1 <= c.vertical <= 4) for c in components):
        raise UnreadableImage("damaged JPEG file: impossible sampling")
    if len({c.identifier for c in components}) < len(components):
        raise UnreadableImage("JPEG with two components of one name")
    return Frame(progressive, width, height, components)
