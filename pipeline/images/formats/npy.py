"""Arrays of numpy (.npy), of two dimensions or more."""

import re
import struct

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.raw_samples import Array, ArrayFormat, Type
from seec.schemas.errors import UnreadableImage

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}  # by version
_MAX_HEADER_BYTES, _MAX_AXES = 1 << 12, 32
_DESCRIPTION = re.compile(
    rb"\{'descr': '([<>|=])(\w{2,3})', 'fortran_order': (True|False), "
    rb"'shape': \(([\d, ]+)\), \} *\n"
)
_TYPES: dict[bytes, Type] = {
    b"b1": raw_samples.U8,
    b"u1": raw_samples.U8,
    b"i1": raw_samples.I8,
    b"u2": raw_samples.U16,
    b"i2": raw_samples.I16,
    b"f2": raw_samples.F16,
    b"u4": raw_samples.U32,
    b"i4": raw_samples.I32,
    b"f4": raw_samples.F32,
    b"u8": raw_samples.W64,
    b"i8": raw_samples.W64,
    b"f8": raw_samples.W64,
    b"c8": raw_samples.COMPLEX_F32,
    b"c16": raw_samples.W128,
}


class Npy(ArrayFormat):
    """One array."""

    name = "NPY"
    picture = False

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(_MAGIC)

    def array(self, head: bytes) -> Array:
        """As `ArrayFormat.array`."""
        code = _LENGTHS.get(head[6]) if len(head) > 12 else None
        if code is None:
            raise UnreadableImage("NPY file that is cut short, or of an unknown version")
        (length,) = struct.unpack_from(code, head, 8)
        start = 8 + struct.calcsize(code)
        found = _DESCRIPTION.fullmatch(head[start : start + min(length, _MAX_HEADER_BYTES)])
        if found is None:
            raise UnreadableImage("NPY file of records, or with a header that we do not know")
        order, kind, fortran, shape = found.groups()
        sizes = [int(size) for size in re.findall(rb"\d{1,9}(?!\d)", shape)]
        if (
            kind not in _TYPES
            or len(sizes) > _MAX_AXES
            or len(sizes) != len(re.findall(rb"\d+", shape))
        ):
            raise UnreadableImage(f"NPY file of type {kind.decode()}, or of an unknown shape")
        sizes = sizes if fortran == b"True" else sizes[::-1]
        return Array(start + length, sizes, _TYPES[kind], little=order != b">")
