"""The header stream of a JPEG file as items, each a few numbers; from items back to the stream.

An item is a tuple of numbers, its kind first. What has no short form stands among the literals,
in the order of the items. `cut_headers` makes them.
"""

from collections.abc import Callable, Iterator, Sequence

from seec.pipeline.dct import standard_tables
from seec.pipeline.dct.varints import Reader
from seec.schemas.errors import LimitExceeded, SectionCorrupt, Truncated

RAW, SEGMENT, MARKER, JFIF, ADOBE, INTERVAL, FRAME, QUANTISATION, HUFFMAN, SCAN = range(10)
# Numbers behind the kind, of kinds without a counted list.
_NUMBERS = {RAW: 1, SEGMENT: 2, MARKER: 1, JFIF: 4, ADOBE: 1, INTERVAL: 1, FRAME: 4}
# Huffman tables: as a literal, of annex K, the one that libjpeg makes for the next scan.
GIVEN, STANDARD, BEST = range(3)
# Quantisation tables: literals of 64 and 128 bytes, a table of `standard_tables` with a scale,
# and that of annex K for chroma with the scale of the one before.
GIVEN_8, GIVEN_16, LUMA, CHROMA, SMOOTH, CHROMA_AS_LUMA = range(6)
SCALED = {LUMA: 0, CHROMA: 1, SMOOTH: 2}

DHT, SOS, DQT, DRI, APP0, APP14 = 0xC4, 0xDA, 0xDB, 0xDD, 0xE0, 0xEE
FRAME_MARKERS = range(0xC0, 0xC3)
JFIF_HEAD, JFIF_BYTES, ADOBE_HEAD = b"JFIF\0\1", 14, b"Adobe\0\x64\0\0\0\0"
# Components of frames: for each identifier, sampling factors, quantisation table.
FRAMES = tuple(
    bytes.fromhex(components)
    for components in (
        "011100",
        "012200021101031101",
        "012100021101031101",
        "011100021101031101",
        "011200021101031101",
        "014100021101031101",
        "012200021102031102",
        "012100021102031102",
        "521100471100421100",
        "4311004d11005911004b1100",
        "012200021101031101042200",
        "011100021101031101041100",
        "001100011101021101",
        "002200011101021101",
        "002100011101021101",
        "012100",
        "012200",
    )
)

Item = tuple[int, ...]

# The most numbers that all items of a file have together; usual files have 50. Two bytes of a file
# can be an item, which takes about 300 bytes of memory.
MAX_NUMBERS = 1 << 18


def read_item(reader: Reader) -> Item:
    """The next item from its numbers."""
    kind = reader.number()
    if kind in _NUMBERS:
        return (kind, *(reader.number() for _ in range(_NUMBERS[kind])))
    if kind not in (QUANTISATION, HUFFMAN, SCAN):
        raise SectionCorrupt(f"JPEG recipe: no item {kind}")
    count = reader.count()
    if count > MAX_NUMBERS:
        raise LimitExceeded(f"JPEG recipe: an item of {count} parts")
    numbers = [kind, count]
    for _ in range(count):
        numbers.append(reader.number())
        if kind == SCAN or (kind == QUANTISATION and numbers[-1] >> 2 in SCALED):
            numbers.append(reader.number())
    if kind == SCAN:
        numbers += [reader.number() for _ in range(3)]
    return tuple(numbers)


def _marker(marker: int) -> bytes:
    return bytes((0xFF, marker))


def _adobe(transform: int) -> bytes:
    return _segment(APP14, ADOBE_HEAD + bytes((transform,)))


def _interval(mcus: int) -> bytes:
    return _segment(DRI, mcus.to_bytes(2, "big"))


class Expander:
    """Items to a header stream, one scan header after the other."""

    def __init__(self, items: list[Item], literals: bytes) -> None:
        self._items, self._literals = items, literals
        self._item = self._literal = 0
        self._scale: int = 0
        self._identifiers: Sequence[int] = b""
        self._expanders: dict[int, Callable[..., bytes]] = {
            RAW: self._take,
            SEGMENT: self._whole_segment,
            MARKER: _marker,
            JFIF: _jfif,
            ADOBE: _adobe,
            INTERVAL: _interval,
            FRAME: self._frame,
            QUANTISATION: self._quantisations,
            SCAN: self._scan,
        }

    def to_scan(self, best: Callable[[int], bytes]) -> bytes:
        """The stream to the end of the next scan header, or of all.

        best: the Huffman table, as in a DHT segment, that libjpeg would make for that scan;
        called with 0 to 3 for DC and 4 to 7 for AC.
        """
        parts: list[bytes] = []
        while self._item < len(self._items):
            item = self._items[self._item]
            self._item += 1
            parts.append(self._expand(item, best))
            if item[0] == SCAN:
                break
        return b"".join(parts)

    def to_scan_without_tables(self) -> bytes:
        """The same with empty tables in the place of the best; the next call repeats this part."""
        place = self._item, self._literal, self._scale, self._identifiers
        part = self.to_scan(lambda _: bytes(16))
        self._item, self._literal, self._scale, self._identifiers = place
        return part

    def is_used_up(self) -> bool:
        """Whether no item and no literal is left."""
        return self._item == len(self._items) and self._literal == len(self._literals)

    def _take(self, count: int) -> bytes:
        part = self._literals[self._literal : self._literal + count]
        if len(part) < count:
            raise Truncated("JPEG recipe: ends before its own lengths say")
        self._literal += count
        return part

    def _expand(self, item: Item, best: Callable[[int], bytes]) -> bytes:
        kind, *numbers = item
        try:
            if kind == HUFFMAN:
                return _segment(DHT, b"".join(self._huffman(n, best) for n in numbers[1:]))
            return self._expanders[kind](*numbers)
        except (ValueError, OverflowError, IndexError, KeyError):
            raise SectionCorrupt(f"JPEG recipe: impossible item {item}") from None

    def _remember(self, marker: int, body: bytes) -> bytes:
        if marker in FRAME_MARKERS and not self._identifiers:
            self._identifiers = body[6::3]
        return _segment(marker, body)

    def _frame(self, kind: int, components: int, width: int, height: int) -> bytes:
        code = FRAMES[components]
        size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        marker = FRAME_MARKERS[kind]
        return self._remember(marker, b"\x08" + size + bytes((len(code) // 3,)) + code)

    def _quantisation(self, numbers: Iterator[int]) -> bytes:
        body = b""
        for number in numbers:
            table, identifier = number >> 2, number & 3
            if table == GIVEN_16:
                body += bytes((16 | identifier,)) + self._take(128)
                continue
            if table in SCALED:
                self._scale = next(numbers)
            steps = (
                self._take(64)
                if table == GIVEN_8
                else standard_tables.quantisation(
                    SCALED[CHROMA if table == CHROMA_AS_LUMA else table], self._scale
                )
            )
            if steps is None:
                raise ValueError
            body += bytes((identifier,)) + steps
        return body

    def _huffman(self, number: int, best: Callable[[int], bytes]) -> bytes:
        kind, (table_class, identifier) = number >> 3, divmod(number & 7, 4)
        head = bytes((table_class << 4 | identifier,))
        if kind == STANDARD:
            return head + standard_tables.HUFFMAN[table_class, identifier]
        if kind == BEST:
            return head + best(number & 7)
        if kind != GIVEN:
            raise ValueError
        counts = self._take(16)
        return head + counts + self._take(sum(counts))

    def _whole_segment(self, marker: int, size: int) -> bytes:
        return self._remember(marker, self._take(size))

    def _quantisations(self, _: int, *numbers: int) -> bytes:
        return _segment(DQT, self._quantisation(iter(numbers)))

    def _scan(self, count: int, *numbers: int) -> bytes:
        chosen = [(self._identifiers[numbers[i]], numbers[i + 1]) for i in range(0, 2 * count, 2)]
        content = bytes((count, *(n for pair in chosen for n in pair), *numbers[2 * count :]))
        return _segment(SOS, content)


def _jfif(minor: int, unit: int, *density: int) -> bytes:
    sizes = b"".join(d.to_bytes(2, "big") for d in density)
    return _segment(APP0, JFIF_HEAD + bytes((minor, unit)) + sizes + b"\0\0")


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (2 + len(body)).to_bytes(2, "big") + body
