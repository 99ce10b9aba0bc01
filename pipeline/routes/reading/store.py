"""Route `store`: a file byte for byte, as one zstd frame where that is smaller."""

import zstandard

from seec.pipeline.routes.reading.reader import Models, WholeFileReader
from seec.schemas.errors import SectionCorrupt
from seec.schemas.limits import MAX_ZSTD_RATIO
from seec.schemas.routes import STORE
from seec.schemas.rows import Row


class StoreReader(WholeFileReader):
    """A payload as long as the file is the file; any other is one zstd frame of it."""

    name = STORE

    def unpack(self, row: Row, payload: bytes, models: Models) -> bytes:
        """As `WholeFileReader.unpack`."""
        del models
        return unpack(payload, row.source_size_bytes)


def unpack(payload: bytes, size_bytes: int) -> bytes:
    """The file of `size_bytes` bytes; SectionCorrupt if the payload does not hold it."""
    return payload if len(payload) == size_bytes else decompressed(payload, size_bytes, size_bytes)


def decompressed(frame: bytes | memoryview, least_bytes: int, most_bytes: int) -> bytes:
    """What is in one zstd frame; SectionCorrupt if that is damaged, or of another size."""
    try:
        # The frame's own claim decides how much is allocated: compare before decompressing.
        size_bytes = zstandard.frame_content_size(frame)
        if not least_bytes <= size_bytes <= most_bytes:
            raise SectionCorrupt("zstd frame: it announces another size than its row allows")
        if size_bytes > len(frame) * MAX_ZSTD_RATIO:
            raise SectionCorrupt("zstd frame: it announces more than it can hold")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=size_bytes)
    except zstandard.ZstdError as error:
        raise SectionCorrupt(f"zstd frame: {error}") from None
