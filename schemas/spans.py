"""What lies between the members of a file: the payload of route `spans`.

One zstd frame: uint32 little-endian, how many bytes of a recipe follow; the recipe, from which the
packing of the row makes its bytes again, empty where there is no packing; all bytes of the content
that are in no member, in their order.
"""

import struct

from seec.schemas.errors import SectionCorrupt

# What `pipeline.containers` can pack: see FORMAT.md.
PACKINGS = ("chunks", "deflate", "gzip", "gzip-part", "headed", "snappy", "zlib", "zstd")
_HEAD = struct.Struct("<I")
HEAD_BYTES = _HEAD.size


def serialise_gaps(recipe: bytes, *gaps: bytes | memoryview) -> bytes:
    """What is compressed into a payload. gaps: the bytes between members, in their order."""
    return b"".join((_HEAD.pack(len(recipe)), recipe, *gaps))


def parse_gaps(where: str, data: bytes) -> tuple[bytes, memoryview]:
    """The recipe, and the bytes between members, which are not copied.

    where: for messages. SectionCorrupt if neither.
    """
    if len(data) < HEAD_BYTES:
        raise SectionCorrupt(f"{where}: no bytes between members")
    (length,) = _HEAD.unpack_from(data)
    if length > len(data) - HEAD_BYTES:
        raise SectionCorrupt(f"{where}: a recipe that ends too early")
    end = HEAD_BYTES + length
    return data[HEAD_BYTES:end], memoryview(data)[end:]
