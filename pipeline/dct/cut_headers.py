"""From the header stream of a JPEG file to items."""

from collections.abc import Callable, Sequence

from seec.pipeline.dct import header_items as code
from seec.pipeline.dct import standard_tables
from seec.pipeline.dct.header_items import Item
from seec.pipeline.images.jpeg import Scan
from seec.schemas.errors import UnreadableImage

_END = 0xD9
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xDA))
_RESTARTS = range(0xD0, 0xD8)

BestTable = Callable[[int], bytes | None]


class Cutter:
    """Items of a header stream that comes in parts; literals: the bytes that they refer to.

    UnreadableImage where the items have more than MAX_NUMBERS.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.literals = bytearray()
        self._scale = self._numbers = 0

    def add(self, part: bytes, scan: Scan, identifiers: Sequence[int], best: BestTable) -> None:
        """Add a part that ends with the header of a scan.

        identifiers: of the frame's components. best: gives tables 0 to 7, as in a DHT segment,
        that libjpeg would make for that scan, as far as they are known.
        """
        header_bytes = 8 + 2 * len(scan.components)
        self._cut(part[:-header_bytes], best)
        self._add(_scan(part[4 - header_bytes :], identifiers))

    def finish(self, rest: bytes) -> None:
        """Add what stands behind the last scan."""
        self._cut(rest, lambda _: None)

    def _cut(self, part: bytes, best: BestTable) -> None:
        position = 0
        while position < len(part):
            size = _segment_size(part, position)
            if size == 0:
                size = _raw_size(part, position)
                self._literal((code.RAW, size), part[position : position + size])
            elif size == 2:
                self._add((code.MARKER, part[position + 1]))
                if part[position + 1] == _END and position + 2 < len(part):
                    self._literal((code.RAW, len(part) - position - 2), part[position + 2 :])
                    break
            else:
                body = part[position + 4 : position + size]
                self._segment(part[position + 1], body, best)
            position += size

    def _literal(self, item: Item, content: bytes) -> None:
        self._add(item)
        self.literals += content

    def _add(self, item: Item) -> None:
        self._numbers += len(item)
        if self._numbers > code.MAX_NUMBERS:
            raise UnreadableImage("JPEG of more segments and markers than are kept")
        self.items.append(item)

    def _segment(self, marker: int, body: bytes, best: BestTable) -> None:
        item = _short(marker, body)
        if marker == code.DQT and body and (found := self._quantisation(body)):
            item, literals, self._scale = found
            self.literals += literals
        elif marker == code.DHT and body and (found := _huffman(body, best)):
            item, literals = found
            self.literals += literals
        if item is None:
            self._literal((code.SEGMENT, marker, len(body)), body)
        else:
            self._add(item)

    def _quantisation(self, body: bytes) -> tuple[Item, bytes, int] | None:
        """The item of a DQT segment, its literals and the last scale; None if it is damaged."""
        numbers: list[int] = []
        literals, scale, tables = b"", self._scale, 0
        while body:
            wide, identifier = divmod(body[0], 16)
            size = 128 if wide else 64
            steps, body = body[1 : 1 + size], body[1 + size :]
            if wide > 1 or identifier > 3 or len(steps) < size:
                return None
            tables += 1
            if wide:
                numbers.append(code.GIVEN_16 << 2 | identifier)
                literals += steps
                continue
            kind, found = _scaled(steps, scale)
            numbers.append(kind << 2 | identifier)
            if kind in code.SCALED:
                numbers.append(found)
            if kind == code.GIVEN_8:
                literals += steps
            scale = found
        return (code.QUANTISATION, tables, *numbers), literals, scale


def _scaled(steps: bytes, scale: int) -> tuple[int, int]:
    """Which kind of table this is, and its scale; a literal leaves the scale as it was."""
    if standard_tables.quantisation(code.SCALED[code.CHROMA], scale) == steps:
        return code.CHROMA_AS_LUMA, scale
    for kind, table in code.SCALED.items():
        found = standard_tables.scale_of(table, steps)
        if found is not None:
            return kind, found
    return code.GIVEN_8, scale


def _huffman(body: bytes, best: BestTable) -> tuple[Item, bytes] | None:
    """The item of a DHT segment and its literals; None if it is damaged."""
    numbers: list[int] = []
    literals = b""
    while body:
        table_class, identifier = divmod(body[0], 16)
        size = 17 + sum(body[1:17])
        table, rest = body[1:size], body[size:]
        if table_class > 1 or identifier > 3 or len(body) < size:
            return None
        number = 4 * table_class + identifier
        if standard_tables.HUFFMAN.get((table_class, identifier)) == table:
            numbers.append(code.STANDARD << 3 | number)
        elif best(number) == table:
            numbers.append(code.BEST << 3 | number)
        else:
            numbers.append(code.GIVEN << 3 | number)
            literals += table
        body = rest
    return (code.HUFFMAN, len(numbers), *numbers), literals


def _short(marker: int, body: bytes) -> Item | None:
    """The item of a segment that has a short form."""
    if marker == code.APP0 and len(body) == code.JFIF_BYTES and body.startswith(code.JFIF_HEAD):
        minor, unit = body[6:8]
        density = [int.from_bytes(body[i : i + 2], "big") for i in (8, 10)]
        return (code.JFIF, minor, unit, *density) if body[12:] == b"\0\0" else None
    if marker == code.APP14 and len(body) == 12 and body.startswith(code.ADOBE_HEAD):
        return (code.ADOBE, body[11])
    if marker == code.DRI and len(body) == 2:
        return (code.INTERVAL, int.from_bytes(body, "big"))
    if marker in code.FRAME_MARKERS and body[6:] in code.FRAMES:
        size = [int.from_bytes(body[i : i + 2], "big") for i in (3, 1)]
        if body[0] == 8 and 3 * body[5] == len(body) - 6:
            kind = code.FRAME_MARKERS.index(marker)
            return (code.FRAME, kind, code.FRAMES.index(body[6:]), *size)
    return None


def _scan(body: bytes, identifiers: Sequence[int]) -> Item:
    """The item of a scan header, of which `Headers` has seen that it is sound."""
    pairs = [(identifiers.index(body[i]), body[i + 1]) for i in range(1, 2 * body[0], 2)]
    return (code.SCAN, body[0], *(n for pair in pairs for n in pair), *body[-3:])


def _segment_size(data: bytes, position: int) -> int:
    """Bytes of the segment there: 2 for a marker alone, 0 if there is none."""
    if data[position] != 0xFF or position + 1 == len(data):
        return 0
    marker = data[position + 1]
    if marker in _WITHOUT_LENGTH:
        return 2
    size = int.from_bytes(data[position + 2 : position + 4], "big")
    if marker < 0xC0 or marker == 0xFF or size < 2 or position + 2 + size > len(data):
        return 0
    return 2 + size


def _raw_size(data: bytes, position: int) -> int:
    """Bytes to the next segment that begins behind this position."""
    found = position
    while (found := data.find(b"\xff", found + 1)) >= 0:
        if data[found + 1 : found + 2] not in _NO_SEGMENT and _segment_size(data, found):
            return found - position
    return len(data) - position


# A restart in what is left of a damaged scan begins nothing.
_NO_SEGMENT = (b"", *(bytes((m,)) for m in _RESTARTS))
