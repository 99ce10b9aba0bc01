"""IDX: the arrays of MNIST, and of the sets that took its place."""

import struct

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.raw_samples import Array, ArrayFormat, Type
from seec.schemas.errors import UnreadableImage

_TYPES: dict[int, Type] = {
    0x08: raw_samples.U8,
    0x09: raw_samples.I8,
    0x0B: raw_samples.I16,
    0x0C: raw_samples.I32,
    0x0D: raw_samples.F32,
    0x0E: raw_samples.W64,
}
_LEAST_AXES, _MOST_AXES = 2, 4
_MOST_ALONG_AXIS = 1 << 28  # four bytes of zeros and a small number begin many files


class Idx(ArrayFormat):
    """One array, whose numbers have the highest byte first."""

    name = "IDX"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return len(data) >= 4 and data[:2] == b"\0\0" and _sizes(data) is not None

    def array(self, head: bytes) -> Array:
        """As `ArrayFormat.array`."""
        sizes = _sizes(head)
        if sizes is None:
            raise UnreadableImage("no IDX file of images")
        return Array(4 + 4 * len(sizes), sizes[::-1], _TYPES[head[2]], little=False)


def _sizes(data: bytes) -> list[int] | None:
    """Of the axes, the one last along which numbers follow each other."""
    count = data[3]
    known = data[2] in _TYPES and _LEAST_AXES <= count <= _MOST_AXES
    if not known or len(data) < 4 + 4 * count:
        return None
    sizes = list(struct.unpack_from(f">{count}I", data, 4))
    return sizes if all(0 < size <= _MOST_ALONG_AXIS for size in sizes) else None
