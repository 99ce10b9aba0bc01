"""Ways in which bytes of a container come from a member's content, and back.

Each is exact on every machine: it does not call a library that compresses.
"""

from typing import Protocol

from seec.pipeline.containers.chunks import Chunks
from seec.pipeline.containers.headed import Headed
from seec.pipeline.containers.snappy import Snappy
from seec.pipeline.containers.zstd_frames import Zstd
from seec.pipeline.deflate import Gzip, GzipPart, Raw, Zlib
from seec.schemas.errors import SectionCorrupt


class Packing(Protocol):
    """One way."""

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Content and recipe of packed bytes. limit: of the content, in bytes.

        UnreadableImage where the bytes are not packed in this way, or come to more than the limit.
        """
        ...

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """The packed bytes; SectionCorrupt where the recipe is damaged or not of this content."""
        ...


# By name, as spans and rows have them.
PACKINGS: dict[str, Packing] = {
    "chunks": Chunks(),
    "deflate": Raw(),
    "gzip": Gzip(),
    "gzip-part": GzipPart(),
    "headed": Headed(),
    "snappy": Snappy(),
    "zlib": Zlib(),
    "zstd": Zstd(),
}


def comes_back(packing: str, data: bytes, content: bytes, recipe: bytes) -> bool:
    """Whether content and recipe give these bytes: what is kept so has no other copy."""
    try:
        return PACKINGS[packing].pack(content, recipe) == data
    except SectionCorrupt:
        return False


def packed_size(packing: str, size_bytes: int, recipe: bytes) -> int | None:
    """How long content of so many bytes is once it is packed; None where only packing tells."""
    one = PACKINGS[packing]
    return one.packed_size(size_bytes, recipe) if isinstance(one, Chunks | Headed) else None
