"""Route `jpegxl-jpeg`: a JPEG file as JPEG XL that gives it back byte for byte."""

import imagecodecs

from seec.pipeline.images import jpeg
from seec.pipeline.images.jpeg import Frame
from seec.pipeline.routes.reading.jpegxl_jpeg import TAIL, cut_box, unpack
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.pipeline.routes.writing.writer import Work, Writer
from seec.schemas.errors import FormatError, UnreadableImage
from seec.schemas.routes import JPEGXL_JPEG

# JPEG XL holds a few bytes more behind the end of a picture.
_MOST_BEHIND = 1 << 22
# Of memory, where another route was to take the file and refused it: what this one takes was not
# asked for.
_MOST_UNASKED_BYTES = 3 << 29


class JpegXlWriter(Writer):
    """libjxl transcodes the file; no pixels are decoded."""

    name = JPEGXL_JPEG
    reason = "smaller than as JPEG XL"

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        frame = candidate.jpeg_frame
        if frame is None:
            raise UnreadableImage("not a JPEG file")
        return Work(passing_bytes=_passing_bytes(frame))

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`."""
        frame = candidate.jpeg_frame
        if frame is None:
            return None
        frame.check_presence(len(candidate.data))
        if candidate.code_jpeg and _passing_bytes(frame) > _MOST_UNASKED_BYTES:
            raise UnreadableImage(f"JPEG of {frame.pixels} pixels, too many for JPEG XL")
        payload = transcode(candidate.data, frame)
        return Coded(candidate.jpeg_row(JPEGXL_JPEG, frame), payload)


def _passing_bytes(frame: Frame) -> int:
    return max(24 * frame.pixels, 17 * frame.samples)


def transcode(data: bytes, frame: Frame) -> bytes:
    """The payload for a JPEG file, of which it was tried that it gives the same bytes.

    frame: the file's own. One thread, and up to 48 bytes of memory for each pixel: compare its
    pixels with a limit first. UnreadableImage, with the reason, if JPEG XL cannot hold the file.
    """
    end = jpeg.end_of_picture(data)
    end = end if len(data) - end > _MOST_BEHIND else len(data)
    code = _encoded(data[:end])
    if code is None and (profile := jpeg.profile_segments(data)) is not None:
        # libjxl refuses a picture for a profile that is none.
        start, behind = profile
        code = _encoded(data[:start] + data[behind:end])
        if code is not None:
            code += cut_box(start, data[start:behind])
    if code is None:
        if len(frame.components) == 4:
            raise UnreadableImage("JPEG in CMYK or YCCK, which JPEG XL does not hold")
        raise UnreadableImage("JPEG that is damaged or of a kind JPEG XL does not hold")
    if end < len(data):
        code += TAIL + data[end:]
    try:
        back = unpack(code, len(data), frame.width, frame.height)
    except FormatError:
        back = None
    if back != data:
        raise UnreadableImage("JPEG that JPEG XL does not give back byte for byte")
    return code


def _encoded(data: bytes) -> bytes | None:
    """A JPEG XL file that holds a JPEG file; None if libjxl refuses it, for whatever reason."""
    try:
        return bytes(imagecodecs.jpegxl_encode_jpeg(data, numthreads=1))
    except RuntimeError:  # its message names a call of libjxl and nothing that would help
        return None
