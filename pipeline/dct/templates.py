"""Sequences of items that many files have, and how those of one file differ from them."""

from difflib import SequenceMatcher

from seec.pipeline.dct.header_items import (
    BEST,
    CHROMA_AS_LUMA,
    FRAME,
    HUFFMAN,
    JFIF,
    LUMA,
    MARKER,
    MAX_NUMBERS,
    QUANTISATION,
    SCAN,
    STANDARD,
    Item,
    read_item,
)
from seec.pipeline.dct.varints import Reader, put
from seec.schemas.errors import LimitExceeded, SectionCorrupt

# Longer sequences are written item by item: nothing is had from looking for a template.
_MOST_ITEMS = 300

_BEGIN = [(MARKER, 0xD8), (JFIF, 1, 0, 1, 1)]
_LUMA_TABLE = (QUANTISATION, 1, LUMA << 2 | 0, 0)
_BOTH = [_LUMA_TABLE, (QUANTISATION, 1, CHROMA_AS_LUMA << 2 | 1)]
_BOTH_IN_ONE = [(QUANTISATION, 2, LUMA << 2 | 0, 0, CHROMA_AS_LUMA << 2 | 1)]
_END = [(MARKER, 0xD9)]
_ALL = (SCAN, 3, 0, 0x00, 1, 0x11, 2, 0x11, 0, 63, 0)
_ALL_GRAY = (SCAN, 1, 0, 0x00, 0, 63, 0)


def _frame(kind: int) -> Item:
    return (FRAME, kind, 0, 0, 0)


def _tables(kind: int, *numbers: int) -> list[Item]:
    return [(HUFFMAN, 1, kind << 3 | number) for number in numbers]


def _tables_in_one(kind: int, *numbers: int) -> list[Item]:
    return [(HUFFMAN, len(numbers), *(kind << 3 | number for number in numbers))]


def _dc(bits: int, components: int = 3) -> Item:
    """An interleaved DC scan; first with tables of luma and chroma, later without."""
    chosen = [(c, 0x10 if c and bits < 16 else 0) for c in range(components)]
    return (SCAN, components, *(n for pair in chosen for n in pair), 0, 0, bits)


def _ac(component: int, start: int, end: int, bits: int) -> list[Item]:
    """The table and header of an AC scan."""
    table = 1 if component else 0
    return [*_tables(BEST, 4 + table), (SCAN, 1, component, table, start, end, bits)]


_PROGRESSIVE = [
    *(*_tables(BEST, 0, 1), _dc(0x01), *_ac(0, 1, 5, 0x02)),
    *(*_ac(2, 1, 63, 0x01), *_ac(1, 1, 63, 0x01), *_ac(0, 6, 63, 0x02), *_ac(0, 1, 63, 0x21)),
    *(_dc(0x10), *_ac(2, 1, 63, 0x10), *_ac(1, 1, 63, 0x10), *_ac(0, 1, 63, 0x10)),
]
_PROGRESSIVE_GRAY = [
    *(*_tables(BEST, 0), _dc(0x01, 1), *_ac(0, 1, 5, 0x02), *_ac(0, 6, 63, 0x02)),
    *(*_ac(0, 1, 63, 0x21), _dc(0x10, 1), *_ac(0, 1, 63, 0x10)),
]
# A script that mozjpeg finds for most photographs; others differ in a few scans.
_SEARCHED = [
    *(*_tables_in_one(BEST, 0, 1), _dc(0x00), *_ac(0, 1, 12, 0x01), *_ac(0, 13, 63, 0x01)),
    *(*_ac(0, 1, 63, 0x10), *_ac(1, 1, 63, 0x00), *_ac(2, 1, 63, 0x00)),
]
_SEARCHED_GRAY = [
    *(*_tables(BEST, 0), _dc(0x00, 1)),
    *(*_ac(0, 1, 12, 0x01), *_ac(0, 13, 63, 0x01), *_ac(0, 1, 63, 0x10)),
]

TEMPLATES: tuple[tuple[Item, ...], ...] = tuple(
    tuple(items)
    for items in (
        [],
        [*_BEGIN, *_BOTH, _frame(0), *_tables(STANDARD, 0, 4, 1, 5), _ALL, *_END],
        [*_BEGIN, *_BOTH, _frame(0), *_tables(BEST, 0, 4, 1, 5), _ALL, *_END],
        [*_BEGIN, _LUMA_TABLE, _frame(0), *_tables(STANDARD, 0, 4), _ALL_GRAY, *_END],
        [*_BEGIN, _LUMA_TABLE, _frame(0), *_tables(BEST, 0, 4), _ALL_GRAY, *_END],
        [*_BEGIN, *_BOTH, _frame(2), *_PROGRESSIVE, *_END],
        [*_BEGIN, _LUMA_TABLE, _frame(2), *_PROGRESSIVE_GRAY, *_END],
        [*_BEGIN, *_BOTH_IN_ONE, _frame(2), *_SEARCHED, *_END],
        [*_BEGIN, _LUMA_TABLE, _frame(2), *_SEARCHED_GRAY, *_END],
        [*_BEGIN, *_BOTH_IN_ONE, _frame(0), *_tables_in_one(STANDARD, 0, 4, 1, 5), _ALL, *_END],
        [*_BEGIN, *_BOTH_IN_ONE, _frame(0), *_tables_in_one(STANDARD, 0, 1, 4, 5), _ALL, *_END],
        [*_BEGIN, *_BOTH_IN_ONE, _frame(0), *_tables_in_one(BEST, 0, 4, 1, 5), _ALL, *_END],
        [*_BEGIN, *_BOTH_IN_ONE, _frame(0), *_tables_in_one(BEST, 0, 1, 4, 5), _ALL, *_END],
    )
)

_NUMBERS = {template: number for number, template in enumerate(TEMPLATES)}


def _open(item: Item) -> tuple[Item, list[int]]:
    """An item without the numbers that a template leaves open, and those numbers."""
    if item[0] == FRAME:
        return (*item[:2], 0, 0, 0), list(item[2:])
    if item[0] == QUANTISATION and len(item) > 3 and item[2] >> 2 == LUMA:
        return (*item[:3], 0, *item[4:]), [item[3]]
    return item, []


def _close(item: Item, reader: Reader) -> Item:
    """The item with its open numbers from the reader."""
    if item[0] == FRAME:
        return (*item[:2], reader.number(), reader.number(), reader.number())
    if item[0] == QUANTISATION and len(item) > 3 and item[2] >> 2 == LUMA:
        return (*item[:3], reader.number(), *item[4:])
    return item


def write(items: list[Item], out: bytearray) -> None:
    """Append items: the number of a template, what differs, what it leaves open."""
    opened = [_open(item) for item in items]
    same = _NUMBERS.get(tuple(item for item, _ in opened))
    if same is not None:
        choices = [_written(items, opened, same)]
    elif len(items) <= _MOST_ITEMS:
        choices = [_written(items, opened, template) for template in range(len(TEMPLATES))]
    else:
        choices = [_written(items, opened, 0)]
    out += min(choices, key=len)


def _written(items: list[Item], opened: list[tuple[Item, list[int]]], template: int) -> bytes:
    """Differences are: items of the template kept before, items of it left out, items put in."""
    keys = [item for item, _ in opened]
    matcher = SequenceMatcher(None, TEMPLATES[template], keys, autojunk=False)
    differences: list[tuple[int, int, list[Item]]] = []
    kept = 0
    values: list[int] = []
    for tag, from_, to, first, last in matcher.get_opcodes() if template else _all_new(items):
        if tag == "equal":
            kept = to - from_
            values += [value for _, numbers in opened[first:last] for value in numbers]
        else:
            differences.append((kept, to - from_, items[first:last]))
            kept = 0
    out = bytearray()
    put(out, template)
    put(out, len(differences))
    for before, left_out, put_in in differences:
        for number in (before, left_out, len(put_in), *(n for item in put_in for n in item)):
            put(out, number)
    for value in values:
        put(out, value)
    return bytes(out)


def _all_new(items: list[Item]) -> list[tuple[str, int, int, int, int]]:
    return [("insert", 0, 0, 0, len(items))]


def read(reader: Reader) -> list[Item]:
    """The items that `write` wrote."""
    template = reader.number()
    if template >= len(TEMPLATES):
        raise SectionCorrupt(f"JPEG recipe: no template {template}")
    old = TEMPLATES[template]
    items: list[Item] = []
    new: list[bool] = []
    position = numbers = 0
    for _ in range(reader.count()):
        before, left_out = reader.number(), reader.number()
        put_in: list[Item] = []
        for _ in range(reader.count()):
            put_in.append(read_item(reader))
            numbers += len(put_in[-1])
            if numbers > MAX_NUMBERS:
                raise LimitExceeded("JPEG recipe: more segments and markers than any file's")
        items += [*old[position : position + before], *put_in]
        new += [False] * len(old[position : position + before]) + [True] * len(put_in)
        position += before + left_out
    items += old[position:]
    new += [False] * len(old[position:])
    return [
        item if is_new else _close(item, reader) for item, is_new in zip(items, new, strict=True)
    ]
