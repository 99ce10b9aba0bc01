"""MRC 2014: micrographs and volumes of electron microscopes."""

import struct

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.raw_samples import Array, ArrayFormat, Type
from seec.schemas.errors import UnreadableImage

_MAGIC, _MAGIC_AT, _STAMP_AT = b"MAP ", 208, 212
_EXTENDED_AT, _HEADER_BYTES = 92, 1024
_STAMPS = {b"DD": "<", b"DA": "<", b"\x11\x11": ">"}
_TYPES: dict[int, Type] = {
    0: raw_samples.I8,
    1: raw_samples.I16,
    2: raw_samples.F32,
    3: raw_samples.COMPLEX_I16,
    4: raw_samples.COMPLEX_F32,
    6: raw_samples.U16,
    12: raw_samples.F16,
}


class Mrc(ArrayFormat):
    """One volume, or a stack."""

    name = "MRC"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC and data[_STAMP_AT:][:2] in _STAMPS

    def array(self, head: bytes) -> Array:
        """As `ArrayFormat.array`."""
        if len(head) < _HEADER_BYTES:
            raise UnreadableImage("damaged MRC file: cut short")
        order = _STAMPS[head[_STAMP_AT : _STAMP_AT + 2]]
        *sizes, mode = struct.unpack_from(order + "4i", head)
        (extended,) = struct.unpack_from(order + "i", head, _EXTENDED_AT)
        if mode not in _TYPES or extended < 0:
            raise UnreadableImage(f"MRC file of mode {mode}")
        return Array(_HEADER_BYTES + extended, sizes, _TYPES[mode], order == "<")
