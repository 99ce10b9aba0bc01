"""The `store` route: a file byte for byte, as one zstd frame where that is smaller."""

import zstandard

from seec.schemas.errors import SectionCorrupt

# Level 9: several times faster than the codec that runs beside it, and near what zstd can do.
LEVEL = 9


def pack(data: bytes) -> bytes:
    """The payload of a file: a zstd frame with its content size, or `data` if that is no larger."""
    frame = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(data)
    return frame if len(frame) < len(data) else data


def unpack(payload: bytes, size_bytes: int) -> bytes:
    """The file of `size_bytes` bytes; SectionCorrupt if the payload does not hold it.

    A payload as long as the file is the file.
    """
    if len(payload) == size_bytes:
        return payload
    try:
        # The frame's own claim decides how much is allocated: compare before decompressing.
        if zstandard.frame_content_size(payload) != size_bytes:
            raise SectionCorrupt("stored file: its frame announces another size")
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=size_bytes)
    except zstandard.ZstdError as error:
        raise SectionCorrupt(f"stored file: {error}") from None
