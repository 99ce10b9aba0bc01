"""A JPEG file and the JPEG files within it: thumbnails, and pictures behind the first.

The file is taken apart with zeros in the place of those, so that its recipe shrinks to nearly
nothing of them.
"""

from dataclasses import dataclass
from itertools import pairwise

from seec.pipeline.dct.jpeg import Jpeg, put_together, take_apart, take_apart_within
from seec.schemas.errors import FormatError, SectionCorrupt, UnreadableImage

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

    Those within stand for zeros in the file, and may be within one another. UnreadableImage, with
    the reason, if the file itself is not taken apart.
    """
    within: list[Picture] = []
    position = len(data)
    # From the end, so that what is within another is found before that.
    for _ in range(MOST_WITHIN):
        position = data.rfind(_START, 1, position)
        if position < 0:
            break
        try:
            jpeg, end = take_apart_within(data, position)
            if end - position < _LEAST_BYTES or put_together(jpeg) != data[position:end]:
                continue
        except (UnreadableImage, FormatError):
            continue
        within.append(Picture(position, jpeg))
        data = data[:position] + bytes(end - position) + data[end:]
    return (Picture(0, take_apart(data)), *reversed(within))


def put_file_together(pictures: tuple[Picture, ...]) -> bytes:
    """The file. SectionCorrupt or Truncated if recipe and coefficients do not belong together."""
    positions = [picture.position for picture in pictures]
    if positions[:1] != [0] or any(a >= b for a, b in pairwise(positions)):
        raise SectionCorrupt("JPEG: pictures out of order")
    data = put_together(pictures[0].jpeg)
    if len(pictures) == 1:
        return data
    file = bytearray(data)
    for picture in pictures[1:]:
        part = put_together(picture.jpeg)
        end = picture.position + len(part)
        if any(file[picture.position : end]) or end > len(file):
            raise SectionCorrupt("JPEG: a picture where the file has other bytes")
        file[picture.position : end] = part
    return bytes(file)
