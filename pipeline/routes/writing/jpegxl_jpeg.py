"""Route `jpegxl-jpeg`: a JPEG file as JPEG XL that gives it back byte for byte."""

import imagecodecs

from seec.pipeline.images import jpeg
from seec.pipeline.images.jpeg import Frame
from seec.pipeline.routes.reading.jpegxl_jpeg import TAIL, unpack
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.pipeline.routes.writing.writer import Work, Writer
from seec.schemas.errors import FormatError, UnreadableImage
from seec.schemas.routes import JPEGXL_JPEG

# JPEG XL holds a few bytes more behind the end of a picture.
_MOST_BEHIND = 1 << 22


class JpegXlWriter(Writer):
    """libjxl transcodes the file; no pixels are decoded."""

    name = JPEGXL_JPEG
    reason = "smaller than as JPEG XL"

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        frame = candidate.jpeg_frame
        if frame is None:
            raise UnreadableImage("not a JPEG file")
        return Work(passing_bytes=max(24 * frame.pixels, 17 * frame.samples))

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`."""
        frame = candidate.jpeg_frame
        if frame is None:
            return None
        payload = transcode(candidate.data, frame)
        return Coded(candidate.jpeg_row(JPEGXL_JPEG, frame), payload)


def transcode(data: bytes, frame: Frame) -> bytes:
    """The payload for a JPEG file, of which it was tried that it gives the same bytes.

    frame: the file's own. One thread, and up to 48 bytes of memory for each pixel: compare its
    pixels with a limit first. UnreadableImage, with the reason, if JPEG XL cannot hold the file.
    """
    end = jpeg.end_of_picture(data)
    end = end if len(data) - end > _MOST_BEHIND else len(data)
    try:
        code = bytes(imagecodecs.jpegxl_encode_jpeg(data[:end], numthreads=1))
    except RuntimeError:
        # Its message names a call of libjxl and nothing that would help.
        if len(frame.components) == 4:
            raise UnreadableImage("JPEG in CMYK or YCCK, which JPEG XL does not hold") from None
        raise UnreadableImage("JPEG that is damaged or of a kind JPEG XL does not hold") from None
    if end < len(data):
        code += TAIL + data[end:]
    try:
        back = unpack(code, len(data), frame.width, frame.height)
    except FormatError:
        back = None
    if back != data:
        raise UnreadableImage("JPEG that JPEG XL does not give back byte for byte")
    return code
