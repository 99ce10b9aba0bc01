"""The `jpegxl-jpeg` route, the way there: from a JPEG file to JPEG XL that gives it back."""

import imagecodecs

from seec.pipeline.images.jpeg import Frame
from seec.pipeline.routes import jpegxl
from seec.schemas.errors import FormatError, UnreadableImage


def transcode(data: bytes, frame: Frame) -> bytes:
    """The payload for a JPEG file, of which it was tried that it gives the same bytes.

    frame: the file's own. One thread, and up to 36 bytes of memory for each pixel: compare its
    pixels with a limit first. UnreadableImage, with the reason, if JPEG XL cannot hold the file.
    """
    try:
        code = bytes(imagecodecs.jpegxl_encode_jpeg(data, numthreads=1))
    except RuntimeError:
        # Its message names a call of libjxl and nothing that would help.
        if frame.components == 4:
            raise UnreadableImage("JPEG in CMYK or YCCK, which JPEG XL does not hold") from None
        raise UnreadableImage("JPEG that is damaged or of a kind JPEG XL does not hold") from None
    try:
        back = jpegxl.unpack(code, len(data), frame.width, frame.height)
    except FormatError:
        back = None
    if back != data:
        raise UnreadableImage("JPEG that JPEG XL does not give back byte for byte")
    return code
