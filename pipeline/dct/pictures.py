"""A JPEG file and the JPEG files within it: thumbnails, and pictures behind the first.

The file is taken apart with zeros in the place of those, so that its recipe shrinks to nearly
nothing of them.
"""

import io
from dataclasses import dataclass
from itertools import pairwise

from seec.pipeline.dct.jpeg import (
    Jpeg,
    parts_of,
    take_apart,
    take_apart_within,
)
from seec.pipeline.images.jpeg import Headers
from seec.schemas.errors import FormatError, LimitExceeded, SectionCorrupt, UnreadableImage
from seec.schemas.limits import MAX_PIXELS

_START = b"\xff\xd8\xff"
# Smaller ones cost as much as they save.
_LEAST_BYTES = 512
# More are in no file of a camera, and each may take as long as the file is large.
MOST_WITHIN = 16


@dataclass(frozen=True)
class Picture:
    """A JPEG file that begins at a byte of the whole file."""

    position: int
    jpeg: Jpeg


def take_file_apart(data: bytes) -> tuple[Picture, ...]:
    """The file itself, at position 0, and the JPEG files within it by position.

    Those within stand for zeros in the file, and may be within one another. All have MAX_PIXELS
    together at most, as in a coded file: what would be more is left where it is. UnreadableImage,
    with the reason, if the file itself is not taken apart.
    """
    within: list[Picture] = []
    position, pixels_left = len(data), MAX_PIXELS - _pixels(data)
    # From the end, so that what is within another is found before that.
    for _ in range(MOST_WITHIN):
        position = data.rfind(_START, 1, position)
        if position < 0:
            break
        try:
            if _pixels(data, position) > pixels_left:
                continue
            jpeg, end = take_apart_within(data, position)
            if end - position < _LEAST_BYTES or _end_of(jpeg, data, position) != end:
                continue
        except (UnreadableImage, FormatError):
            continue
        within.append(Picture(position, jpeg))
        pixels_left -= jpeg.width * jpeg.height
        whole = memoryview(data)
        data = b"".join((whole[:position], bytes(end - position), whole[end:]))
    return (Picture(0, take_apart(data)), *reversed(within))


def put_file_together(pictures: tuple[Picture, ...], most_bytes: int | None = None) -> bytes:
    """The file. SectionCorrupt or Truncated if recipe and coefficients do not belong together.

    most_bytes: that the file may have; LimitExceeded, before much more is made, if it has more.
    """
    positions = [picture.position for picture in pictures]
    if positions[:1] != [0] or any(a >= b for a, b in pairwise(positions)):
        raise SectionCorrupt("JPEG: pictures out of order")
    # Gives its bytes away without a copy.
    file = io.BytesIO()
    for part in parts_of(pictures[0].jpeg):
        file.write(part)
        if most_bytes is not None and file.tell() > most_bytes:
            raise LimitExceeded(f"JPEG: more than the {most_bytes} bytes that its file has")
    for picture in pictures[1:]:
        file.seek(picture.position)
        for part in parts_of(picture.jpeg):
            with file.getbuffer() as room:
                under = room[file.tell() : file.tell() + len(part)]
                if any(under) or len(under) < len(part):
                    raise SectionCorrupt("JPEG: a picture where the file has other bytes")
                under[:] = part
                under.release()
            file.seek(len(part), io.SEEK_CUR)
    return file.getvalue()


def gives_file(pictures: tuple[Picture, ...], data: bytes) -> bool:
    """Whether `put_file_together` gives these bytes, which are not made as a whole."""
    rest = data if len(pictures) == 1 else bytearray(data)
    for picture in reversed(pictures[1:]):
        assert isinstance(rest, bytearray)
        end = _end_of(picture.jpeg, rest, picture.position)
        if end is None:
            return False
        rest[picture.position : end] = bytes(end - picture.position)
    return _end_of(pictures[0].jpeg, rest, 0) == len(rest)


def _pixels(data: bytes, start: int = 0) -> int:
    """Of the picture that begins there, as its headers state; 0 if they do not."""
    headers = Headers()
    headers.read_to_scan(data, start)
    return 0 if headers.frame is None else headers.frame.pixels


def _end_of(jpeg: Jpeg, data: bytes | bytearray, start: int) -> int | None:
    """Where a picture ends that begins there; None if it is another."""
    for part in parts_of(jpeg):
        if not data.startswith(part, start):
            return None
        start += len(part)
    return start
