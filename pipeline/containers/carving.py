"""Images in any bytes: JPEG, PNG, GIF and lossless WebP by how they begin and where they end.

A JPEG file is walked from SOI to EOI, so that the thumbnails in its segments belong to it. A PNG
file goes from its signature to IEND and has right checksums. TIFF, BMP, QOI and Netpbm files do not
say where they end: only an index delimits them.

Bounds: bytes without images are searched four times; the walks of all starts together are linear
(see `pictures`).
"""

from collections.abc import Iterator

from seec.pipeline.containers.pictures import (
    JPEG_START,
    PNG_END,
    STARTS,
    Broken,
    Unended,
    Walks,
)
from seec.pipeline.containers.span import LEAST_CARVED_BYTES, Span
from seec.pipeline.images import jpeg
from seec.pipeline.images.files import read_extent
from seec.pipeline.images.formats import FORMATS
from seec.pipeline.images.ranges import Ranges
from seec.schemas.errors import UnreadableImage

# What `cut` reads before and behind a position. An image that begins further before is noticed by
# its end or by the next one, if these are not further away.
BEFORE_BYTES, BEHIND_BYTES = 1 << 20, 8 << 20
_FIRST_BYTES = 1 << 18
# By format, where it is not the format's name.
_EXTENSIONS = {"TIFF": ".tif", "NETPBM": ".pnm", "NIFTI": ".nii", "DICOM": ".dcm"}


def carve(piece: bytes) -> tuple[Span, ...]:
    """Images of at least 256 bytes: sorted, not overlapping, none within another one."""
    return tuple(
        Span(start, end - start)
        for start, end in _images(piece)
        if end is not None and end - start >= LEAST_CARVED_BYTES
    )


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`, for files without an index.

    An image that covers the position is left at its end, else the cut is before the next image.
    Where 8 MiB show neither, it is the position.
    """
    if position <= 0:
        return 0
    start, ahead = max(0, position - BEFORE_BYTES), _FIRST_BYTES
    while position < ranges.size_bytes:
        data = ranges.read(start, position - start + ahead)
        whole = start + len(data) >= ranges.size_bytes or ahead >= BEHIND_BYTES
        place = _place(data, position - start, whole=whole)
        if place is not None:
            return start + place
        if whole:
            return position if ahead >= BEHIND_BYTES else ranges.size_bytes
        ahead *= 2
    return ranges.size_bytes


def end_of_jpeg(data: bytes) -> int | None:
    """Where the JPEG file that the bytes begin with ends; None where it does not."""
    try:
        return Walks(data).end_of(0) if data.startswith(JPEG_START) else None
    except (Broken, Unended):
        return None


def is_image(data: bytes) -> bool:
    """Whether the bytes of a member begin as an image file that the project reads."""
    if data.startswith(JPEG_START):
        try:
            return jpeg.read_frame(data).pixels > 0
        except UnreadableImage:
            return False
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return True
    return read_extent(lambda start, length: data[start : start + length]) is not None


def extension(data: bytes) -> str:
    """What the name of an image file ends with, by its content; nothing for others."""
    if data.startswith(JPEG_START):
        return ".jpg"
    name = next((form.name for form in FORMATS.values() if form.matches(data)), None)
    return "" if name is None else _EXTENSIONS.get(name, f".{name.lower()}")


def _place(data: bytes, position: int, *, whole: bool) -> int | None:
    """Where to cut; None where more bytes have to be read. whole: whether there are no more."""
    behind = data.find(PNG_END, max(0, position + 1 - len(PNG_END)))
    ends = [] if behind < 0 else [behind + len(PNG_END)]
    for start, end in _images(data):
        if end is None:
            if not whole:
                return min((e for e in ends if e <= start), default=None)
        elif start >= position or end > position:
            return min([*ends, start if start >= position else end])
    return min(ends, default=None) if whole else None


def _images(data: bytes) -> Iterator[tuple[int, int | None]]:
    """Start and end of each image; no end for one that goes on behind the bytes."""
    walks = Walks(data)
    # Where each way to begin is there next: behind the end where it is not.
    following = [_next(data, begin, 0) for begin in STARTS]
    while (start := min(following)) < len(data):
        end = None
        try:
            end = walks.end_of(start)
        except Unended:
            yield start, None
        except Broken:
            pass
        else:
            yield start, end
        behind = start + 1 if end is None else end
        for i, at in enumerate(following):
            if at < behind:
                following[i] = _next(data, STARTS[i], behind)


def _next(data: bytes, begin: bytes, start: int) -> int:
    at = data.find(begin, start)
    return len(data) if at < 0 else at
