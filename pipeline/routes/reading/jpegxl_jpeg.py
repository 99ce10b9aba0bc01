"""Route `jpegxl-jpeg`: a JPEG XL file that holds a JPEG file.

The payload is a JPEG XL file with JPEG bitstream reconstruction data (ISO/IEC 18181-2, box
`jbrd`). Where that data cannot hold all that stands behind the picture, a last box `tail` does.
Segments that libjxl refuses, of a colour profile that is none, are in a box `cuts` before that.
"""

from collections.abc import Iterator

import imagecodecs

from seec.pipeline.routes.reading.reader import Models, WholeFileReader, image_of
from seec.schemas.errors import LimitExceeded, SectionCorrupt, Truncated
from seec.schemas.limits import MAX_PIXELS
from seec.schemas.routes import JPEGXL_JPEG
from seec.schemas.rows import Row

_SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
_CODESTREAM = b"\xff\x0a"
TAIL = b"\0\0\0\0tail"  # a box up to the end of the file
_CUTS = b"cuts"
_BOX_BYTES, _POSITION_BYTES = 8, 4
# The codestream's signature, and a size header at its longest: 1 + 2 * (2 + 30) + 3 bits.
_HEADER_SIZE_BYTES = 2 + 9
_RATIOS = {1: (1, 1), 2: (6, 5), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


class JpegXlReader(WholeFileReader):
    """libjxl writes the JPEG file again."""

    name = JPEGXL_JPEG

    def unpack(self, row: Row, payload: bytes, models: Models) -> bytes:
        """As `WholeFileReader.unpack`."""
        del models
        image = image_of(row)
        return unpack(payload, row.source_size_bytes, image.width, image.height)


def unpack(payload: bytes, size_bytes: int, width: int, height: int) -> bytes:
    """The JPEG file of `size_bytes` bytes, with a frame of `width` x `height` pixels.

    Raises SectionCorrupt or Truncated if the payload does not hold it, LimitExceeded if it has
    too many pixels. Whether it is the right file is for a digest to say.
    """
    # The payload's own claims decide how much is allocated: compare before decoding.
    if read_size(payload) != (width, height):
        raise SectionCorrupt("JPEG XL: it announces another width or height")
    if width * height > MAX_PIXELS:
        raise LimitExceeded(f"JPEG XL: {width * height} pixels, over the limit of {MAX_PIXELS}")
    if size_bytes < 1:
        raise SectionCorrupt("JPEG XL: no JPEG file is empty")
    payload, position, segments, tail = _split(payload)
    if size_bytes <= len(tail) + len(segments):
        raise SectionCorrupt("JPEG XL: its last box is as large as the file")
    size_bytes -= len(tail) + len(segments)
    if position > size_bytes:
        raise SectionCorrupt("JPEG XL: segments from behind the end of the file")
    try:
        data = bytes(imagecodecs.jpegxl_decode_jpeg(payload, numthreads=1, out=size_bytes))
    except (RuntimeError, ValueError, MemoryError) as error:
        raise SectionCorrupt(f"JPEG XL: no JPEG file in it ({error})") from None
    if len(data) != size_bytes:
        raise SectionCorrupt("JPEG XL: the JPEG file in it has another size")
    return data[:position] + segments + data[position:] + tail


def cut_box(position: int, segments: bytes) -> bytes:
    """The box for segments that stand at a position of the file."""
    size_bytes = _BOX_BYTES + _POSITION_BYTES + len(segments)
    return size_bytes.to_bytes(4) + _CUTS + position.to_bytes(_POSITION_BYTES) + segments


def read_size(payload: bytes) -> tuple[int, int]:
    """Width and height that a JPEG XL file announces. SectionCorrupt or Truncated if it is none."""
    head = b""
    for part in _codestream(payload):
        head += part[:_HEADER_SIZE_BYTES]
        if len(head) >= _HEADER_SIZE_BYTES:
            break
    if not head.startswith(_CODESTREAM):
        raise SectionCorrupt("JPEG XL: no codestream")
    bits = _Bits(head[len(_CODESTREAM) :])
    small = bits.read(1)
    height = _dimension(bits, small)
    ratio = bits.read(3)
    if ratio == 0:
        return _dimension(bits, small), height
    numerator, denominator = _RATIOS[ratio]
    return height * numerator // denominator, height


def _codestream(payload: bytes) -> Iterator[bytes]:
    """The parts of the codestream (ISO/IEC 18181-2): boxes `jxlc`, or `jxlp` behind a counter."""
    for kind, _, start, end in _boxes(payload):
        if kind == b"jxlc":
            yield payload[start:end]
        if kind == b"jxlp":
            yield payload[start + 4 : end]


def _split(payload: bytes) -> tuple[bytes, int, bytes, bytes]:
    """The JPEG XL file without our boxes; where segments were cut out, these, and the tail."""
    end, cut, segments, tail = len(payload), 0, b"", b""
    for kind, position, start, behind in _boxes(payload):
        if kind == _CUTS:
            if segments or behind - start <= _POSITION_BYTES:
                raise SectionCorrupt("JPEG XL: more than one box of segments, or an empty one")
            cut = int.from_bytes(payload[start : start + _POSITION_BYTES])
            end, segments = min(end, position), payload[start + _POSITION_BYTES : behind]
        if payload[position:start] == TAIL:
            end, tail = min(end, position), payload[start:]
            break
    return payload[:end], cut, segments, tail


def _boxes(payload: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Kind of each box, and where it, its content, and what follows begin."""
    if not payload.startswith(_SIGNATURE):
        raise SectionCorrupt("JPEG XL: no container")
    position = len(_SIGNATURE)
    while position + 8 <= len(payload):
        size, kind = payload[position : position + 4], payload[position + 4 : position + 8]
        size_bytes = int.from_bytes(size, "big")
        start, end = position + 8, position + size_bytes
        if size_bytes == 0:
            end = len(payload)
        elif size_bytes == 1:
            start, end = position + 16, position + int.from_bytes(payload[start : start + 8], "big")
        if not start <= end <= len(payload):
            raise Truncated("JPEG XL: a box ends before its own length says")
        yield kind, position, start, end
        position = end


def _dimension(bits: "_Bits", small: int) -> int:
    if small:
        return 8 * (bits.read(5) + 1)
    return bits.read((9, 13, 18, 30)[bits.read(2)]) + 1


class _Bits:
    """Bits of a codestream, the least significant of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def read(self, count: int) -> int:
        """The next bits as a number; Truncated if there are fewer."""
        if count > self._left:
            raise Truncated("JPEG XL: ends within its size header")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value
