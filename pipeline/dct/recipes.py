"""Recipes as bytes: header stream and scan records, before and after compression."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import zstandard

from seec.pipeline.dct import templates
from seec.pipeline.dct.dictionary import recipe_dictionary
from seec.pipeline.dct.header_items import SCAN, Item
from seec.pipeline.dct.scans import MAX_PAIRS, RULES, ScanRecord
from seec.pipeline.dct.varints import Reader, put
from seec.schemas.errors import LimitExceeded, SectionCorrupt

# Of the whole recipe, from bit 0: whether records follow, how bytes are filled up, whether a
# height follows.
_RECORDS, _FILL_SHIFT, _HEIGHT = 1, 1, 8
_FILLS = (1, 0, None)
# Of a record; its rule stands from bit 4.
_PARTIAL, _NO_RESTARTS, _RUNS, _ZERO_RUNS, _RULE_SHIFT = 1, 2, 4, 8, 4
_STORED, _ZSTD = 0, 1
_LEVEL = 19
_MAGIC = b"\x28\xb5\x2f\xfd"
# Bytes that Zstandard makes no shorter.
_SHORT = 12
# A recipe is no larger than a file may be.
MAX_BYTES = 1 << 31


@dataclass(frozen=True)
class Recipe:
    """What gives back a file beside coefficients.

    items, literals: of the header stream. records: of its scans. fill: the value of all padding
    bits, None where records list them. height: pixels, where the frame header has 0, else 0.
    """

    items: list[Item]
    literals: bytes
    records: tuple[ScanRecord, ...]
    fill: int | None = 1
    height: int = 0


def without_padding(records: Sequence[ScanRecord]) -> tuple[int | None, tuple[ScanRecord, ...]]:
    """The value of all padding bits, None if they differ, and records with what that leaves.

    padding of these records: for each byte that ends an interval, a 1 and then its bits.
    """
    padding = set(b"".join(record.padding for record in records))
    if all(p & (p + 1) == 0 for p in padding):
        return 1, tuple(replace(record, padding=b"") for record in records)
    if all(p & (p - 1) == 0 for p in padding):
        return 0, tuple(replace(record, padding=b"") for record in records)
    bits = bytes(p - (1 << max(p.bit_length() - 1, 0)) if p else 0 for p in range(256))
    return None, tuple(replace(r, padding=r.padding.translate(bits)) for r in records)


def serialise(recipe: Recipe) -> bytes:
    """A recipe before compression."""
    out = bytearray()
    templates.write(recipe.items, out)
    filled = _FILLS.index(recipe.fill)
    records = [_record(record, recipe.fill is None) for record in recipe.records]
    plain = all(record == b"\0" for record in records)
    put(out, (not plain) * _RECORDS | filled << _FILL_SHIFT | (recipe.height > 0) * _HEIGHT)
    if recipe.height:
        put(out, recipe.height)
    if not plain:
        out += b"".join(records)
    return bytes(out) + recipe.literals


def parse(data: bytes) -> Recipe:
    """A recipe from its bytes; Truncated or SectionCorrupt if they are none."""
    reader = Reader(data)
    items = templates.read(reader)
    flags = reader.number()
    filled = flags >> _FILL_SHIFT & 3
    if flags >= 2 * _HEIGHT or filled >= len(_FILLS):
        raise SectionCorrupt("JPEG recipe: unknown flags")
    fill = _FILLS[filled]
    height = reader.number() if flags & _HEIGHT else 0
    records = [ScanRecord(mcus=None) for item in items if item[0] == SCAN]
    if flags & _RECORDS:
        most_pairs = MAX_PAIRS
        for number in range(len(records)):
            records[number] = _parse_record(reader, fill is None, most_pairs)
            most_pairs -= records[number].pairs
    return Recipe(items, reader.take(reader.left), tuple(records), fill, height)


def compress(recipe: bytes) -> bytes:
    """Shorter bytes of a serialised recipe: u8 0 and the recipe, or u8 1 and it in Zstandard."""
    if len(recipe) <= _SHORT:
        return bytes((_STORED,)) + recipe
    compressor = zstandard.ZstdCompressor(
        level=_LEVEL, write_checksum=False, dict_data=_dictionary()
    )
    # Behind its magic, which is the same in all.
    code = compressor.compress(recipe)[len(_MAGIC) :]
    stored = len(code) >= len(recipe)
    return bytes((_STORED,)) + recipe if stored else bytes((_ZSTD,)) + code


def decompress(code: bytes, max_bytes: int = MAX_BYTES) -> bytes:
    """What `compress` was given; LimitExceeded if that is larger than max_bytes."""
    if not code or code[0] not in (_STORED, _ZSTD):
        raise SectionCorrupt("JPEG recipe: unknown compression")
    if code[0] == _STORED:
        return code[1:]
    frame = _MAGIC + code[1:]
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= max_bytes:
            raise LimitExceeded(f"JPEG recipe: {size} bytes, over the limit of {max_bytes}")
        return zstandard.ZstdDecompressor(dict_data=_dictionary()).decompress(frame)
    except zstandard.ZstdError as error:
        raise SectionCorrupt(f"JPEG recipe: {error}") from None


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(
        recipe_dictionary(), dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )


def _record(record: ScanRecord, lists_padding: bool) -> bytes:
    out = bytearray()
    flags = record.rule << _RULE_SHIFT
    flags |= _PARTIAL if record.mcus is not None else 0
    flags |= _NO_RESTARTS if not record.restarts else 0
    flags |= (_RUNS if record.runs else 0) | (_ZERO_RUNS if record.zero_runs else 0)
    put(out, flags)
    if record.mcus is not None:
        put(out, record.mcus)
    for pairs in (record.runs, record.zero_runs):
        if pairs:
            _put_pairs(out, pairs)
    if lists_padding:
        put(out, len(record.padding))
        out += record.padding
    return bytes(out)


def _parse_record(reader: Reader, lists_padding: bool, most_pairs: int) -> ScanRecord:
    flags = reader.number()
    rule = flags >> _RULE_SHIFT
    if rule >= RULES:
        raise SectionCorrupt("JPEG recipe: unknown flags")
    return ScanRecord(
        mcus=reader.number() if flags & _PARTIAL else None,
        restarts=not flags & _NO_RESTARTS,
        rule=rule,
        runs=_pairs(reader, most_pairs) if flags & _RUNS else b"",
        zero_runs=_pairs(reader, most_pairs) if flags & _ZERO_RUNS else b"",
        padding=reader.take(reader.number()) if lists_padding else b"",
    )


def _put_pairs(out: bytearray, pairs: bytes) -> None:
    numbers = memoryview(pairs).cast("i")
    put(out, len(numbers) // 2)
    for number in numbers:
        put(out, number)


def _pairs(reader: Reader, most: int) -> bytes:
    count = reader.count()
    if count > most:
        raise LimitExceeded(f"JPEG recipe: more than {MAX_PAIRS} odd runs")
    try:
        # As a list each number would take 36 bytes.
        return array("i", (reader.number() for _ in range(2 * count))).tobytes()
    except OverflowError:
        raise SectionCorrupt("JPEG recipe: a number over its limit") from None
