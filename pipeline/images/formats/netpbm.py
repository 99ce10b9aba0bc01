"""Netpbm files in binary: PBM, PGM, PPM, PAM and PFM, of any depth."""

import re

from seec.pipeline.images.formats.spliced import Place, SplicedFormat
from seec.pipeline.images.raster import Meaning, Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_SAMPLES
from seec.schemas.planes import Shape

_MAGIC = (b"P4", b"P5", b"P6", b"P7", b"PF", b"Pf")
_SPACE = rb"(?:\s|#[^\n]*\n)+"
_NUMBER = rb"(\d{1,9})"
_BITMAP = re.compile(rb"P4" + _SPACE + _NUMBER + _SPACE + _NUMBER + rb"\s")
_MAP = re.compile(rb"P([56])" + 3 * (_SPACE + _NUMBER) + rb"\s")
_FLOATS = re.compile(rb"P([Ff])\s+" + _NUMBER + rb"\s+" + _NUMBER + rb"\s+(-?)[\d.eE+]+\s")
_ANY = re.compile(rb"P7\n(?:[^\n]*\n)*?ENDHDR\n")
_FIELD = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})\s*$", re.MULTILINE)
_MAX_HEADER_BYTES = 4096


class Netpbm(SplicedFormat):
    """The binary formats of Netpbm. What follows the first picture is kept as it is."""

    name = "NETPBM"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(_MAGIC) and data[2:3].isspace()

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`."""
        head = data[:_MAX_HEADER_BYTES]
        if found := _BITMAP.match(head):
            return [_place(found, Shape(int(found[1]), int(found[2]), 1, 1))]
        if found := _MAP.match(head):
            samples, maximum = 3 if found[1] == b"6" else 1, int(found[4])
            shape = Shape(int(found[2]), int(found[3]), samples, _depth(maximum))
            full = maximum + 1 == 1 << shape.depth
            return [_place(found, shape, Meaning.COLOUR if full else Meaning.OTHER)]
        if found := _FLOATS.match(head):
            shape = Shape(int(found[2]), int(found[3]), 3 if found[1] == b"F" else 1, 32)
            return [_place(found, shape, little=found[4] == b"-")]
        if found := _ANY.match(head):
            fields = {name: int(value) for name, value in _FIELD.findall(found[0])}
            if len(fields) == 4 and 1 <= fields[b"DEPTH"] <= MAX_SAMPLES:
                size = fields[b"WIDTH"], fields[b"HEIGHT"]
                shape = Shape(*size, fields[b"DEPTH"], _depth(fields[b"MAXVAL"]))
                return [_place(found, shape)]
        raise UnreadableImage("NETPBM file with a header that we do not know")


def _place(
    header: re.Match[bytes], shape: Shape, meaning: Meaning = Meaning.OTHER, *, little: bool = False
) -> Place:
    packing = Packing(little=little)
    return Place(shape, packing, ((header.end(), packing.size_bytes(shape)),), meaning)


def _depth(maximum: int) -> int:
    if not 1 <= maximum <= 65535:
        raise UnreadableImage(f"NETPBM file with samples up to {maximum}")
    return 8 if maximum < 256 else 16
