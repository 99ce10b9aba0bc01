"""NRRD with its numbers, uncompressed, in the same file."""

import re

from seec.pipeline.images.formats import raw_samples
from seec.pipeline.images.formats.raw_samples import Array, ArrayFormat, Type
from seec.schemas.errors import UnreadableImage

_MAGIC = re.compile(rb"NRRD000\d\r?\n")
_FIELD = re.compile(
    rb"^(type|dimension|sizes|encoding|endian|data ?file|(?:line|byte) ?skip): (.*?)\r?$", re.M
)
_MAX_HEADER_BYTES, _MAX_AXES = 1 << 16, 16
_NAMES: dict[Type, str] = {
    raw_samples.I8: "signed char|int8|int8_t",
    raw_samples.U8: "uchar|unsigned char|uint8|uint8_t",
    raw_samples.I16: "short|short int|signed short|signed short int|int16|int16_t",
    raw_samples.U16: "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    raw_samples.I32: "int|signed int|int32|int32_t",
    raw_samples.U32: "uint|unsigned int|uint32|uint32_t",
    raw_samples.F32: "float",
    raw_samples.W64: "double|long long|longlong|int64|int64_t|ulonglong|uint64|uint64_t",
}
_TYPES = {name: type_ for type_, names in _NAMES.items() for name in names.split("|")}


class Nrrd(ArrayFormat):
    """Nearly Raw Raster Data."""

    name = "NRRD"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return _MAGIC.match(data) is not None

    def array(self, head: bytes) -> Array:
        """As `ArrayFormat.array`."""
        head = head[:_MAX_HEADER_BYTES]
        end = min(
            (head.find(gap) + len(gap) for gap in (b"\n\n", b"\r\n\r\n") if gap in head), default=0
        )
        fields = {name: value.strip() for name, value in _FIELD.findall(head[:end])}
        type_ = _TYPES.get(fields.get(b"type", b"").decode("latin-1"))
        sizes = fields.get(b"sizes", b"").split()
        plain = len(fields) == len(
            fields.keys() & {b"type", b"dimension", b"sizes", b"encoding", b"endian"}
        )
        if not end or type_ is None or not plain or fields.get(b"encoding") != b"raw":
            raise UnreadableImage("NRRD file that is compressed, or whose numbers are elsewhere")
        if not 1 <= len(sizes) <= _MAX_AXES or not all(re.fullmatch(rb"\d{1,9}", n) for n in sizes):
            raise UnreadableImage("NRRD file with sizes that we do not know")
        little = fields.get(b"endian", b"little") == b"little"
        return Array(end, [int(size) for size in sizes], type_, little)
