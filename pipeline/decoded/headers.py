"""The headers of the JPEG file that pixels are decoded from: as libjpeg writes them."""

from collections.abc import Sequence

from seec.pipeline.dct import recipes, standard_tables
from seec.pipeline.dct.cut_headers import Cutter
from seec.pipeline.dct.jpeg import Component
from seec.pipeline.dct.recipes import Recipe
from seec.pipeline.dct.scans import ScanRecord
from seec.pipeline.images.jpeg import ZIGZAG, Headers

_JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"


def recipe_of(width: int, height: int, components: Sequence[Component]) -> bytes:
    """The recipe of a baseline file, in one scan with the standard's Huffman tables.

    components: one, or three of which the last two have the same steps; all below 256.
    """
    stream = b"\xff\xd8" + _segment(0xE0, _JFIF)
    kinds = range(min(len(components), 2))
    for kind in kinds:
        steps = components[kind].quantisation[ZIGZAG]
        stream += _segment(0xDB, bytes([kind]) + steps.astype("u1").tobytes())
    frame = bytes([8, *height.to_bytes(2, "big"), *width.to_bytes(2, "big"), len(components)])
    for number, c in enumerate(components):
        frame += bytes([number + 1, c.horizontal << 4 | c.vertical, min(number, 1)])
    stream += _segment(0xC0, frame)
    for kind in kinds:
        for one in (0, 1):
            stream += _segment(0xC4, bytes([one << 4 | kind]) + standard_tables.HUFFMAN[one, kind])
    scan = bytes([len(components)])
    for number in range(len(components)):
        scan += bytes([number + 1, 0x11 * min(number, 1)])
    stream += _segment(0xDA, scan + bytes([0, 63, 0]))
    headers, cutter = Headers(), Cutter()
    _, read = headers.read_to_scan(stream, 0)
    assert read is not None
    assert headers.frame is not None
    cutter.add(stream, read, headers.frame.identifiers, lambda _: None)
    cutter.finish(b"\xff\xd9")
    records = (ScanRecord(mcus=None),)
    return recipes.serialise(Recipe(cutter.items, bytes(cutter.literals), records))


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
