"""NIfTI-1 and NIfTI-2 in one file (.nii): volumes and series of them, slice by slice."""

import struct

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.raw_samples import Array, ArrayFormat, Type
from seec.schemas.errors import UnreadableImage

_SIZES = {348: (344, b"n+1\0"), 540: (4, b"n+2\0")}  # of the header: where the magic stands
_HEAD_BYTES = 540
_MAX_AXES = 7
# By number: type, colours.
_TYPES: dict[int, tuple[Type, int]] = {
    2: (raw_samples.U8, 1),
    4: (raw_samples.I16, 1),
    8: (raw_samples.I32, 1),
    16: (raw_samples.F32, 1),
    32: (raw_samples.COMPLEX_F32, 1),
    64: (raw_samples.W64, 1),
    128: (raw_samples.U8, 3),
    256: (raw_samples.I8, 1),
    512: (raw_samples.U16, 1),
    768: (raw_samples.U32, 1),
    1024: (raw_samples.W64, 1),
    1280: (raw_samples.W64, 1),
    1536: (raw_samples.W128, 1),
    1792: (raw_samples.W128, 1),
    2304: (raw_samples.U8, 4),
}


class Nifti(ArrayFormat):
    """NIfTI whose numbers follow its header."""

    name = "NIFTI"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return _order(data) is not None

    def array(self, head: bytes) -> Array:
        """As `ArrayFormat.array`."""
        return _array(head)


def _order(data: bytes) -> str | None:
    """The order of bytes of the header, "<" or ">"; None if there is none."""
    for order in "<>":
        size = struct.unpack_from(order + "i", data)[0] if len(data) >= _HEAD_BYTES else 0
        if size in _SIZES:
            at, magic = _SIZES[size]
            if data[at : at + 4] == magic:
                return order
    return None


def _array(data: bytes) -> Array:
    order = _order(data) or "<"
    if struct.unpack_from(order + "i", data)[0] == 348:
        axes, *sizes = struct.unpack_from(order + "8h", data, 40)
        kind, _, _ = struct.unpack_from(order + "3h", data, 70)
        (at,) = struct.unpack_from(order + "f", data, 108)
    else:
        kind, _ = struct.unpack_from(order + "2h", data, 12)
        axes, *sizes = struct.unpack_from(order + "8q", data, 16)
        (at,) = struct.unpack_from(order + "q", data, 168)
    if kind not in _TYPES or not 1 <= axes <= _MAX_AXES or not 0 <= at <= 1 << 40:
        raise UnreadableImage(f"NIFTI file of type {kind} with {axes} axes")
    type_, colours = _TYPES[kind]
    sizes = ([colours] if colours > 1 else []) + sizes[:axes]
    return Array(max(int(at), 352), sizes, type_, little=order == "<")
