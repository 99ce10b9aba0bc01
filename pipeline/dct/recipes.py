"""Recipes as bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seec.pipeline.dct.scans import ScanRecord
from seec.schemas.errors import SectionCorrupt, Truncated

_PARTIAL, _NO_RESTARTS, _RULE_SHIFT, _RUNS, _ZERO_RUNS = 1, 2, 2, 16, 32
_ONES, _ZEROS, _LISTED = range(3)


@dataclass(frozen=True)
class Recipe:
    """stream: the file without what its scans account for. height: pixels. records: of scans."""

    stream: bytes
    height: int
    records: tuple[ScanRecord, ...]


def paddings(recipe: Recipe) -> Iterator[tuple[int, bytes | None]]:
    """For each scan with MCUs the value of its padding bits, or those of each byte."""
    for record in recipe.records:
        if record.mcus == 0:
            continue
        if all((p + 1) & p == 0 for p in record.padding):
            yield 1, None
        else:
            yield 0, bytes(p & ~(1 << (p.bit_length() - 1)) for p in record.padding)


def serialise(recipe: Recipe) -> bytes:
    """A recipe before compression."""
    out = bytearray()
    _put(out, len(recipe.stream))
    out += recipe.stream
    _put(out, recipe.height)
    _put(out, len(recipe.records))
    for record in recipe.records:
        flags = record.rule << _RULE_SHIFT
        flags |= _PARTIAL if record.mcus is not None else 0
        flags |= _NO_RESTARTS if not record.restarts else 0
        flags |= (_RUNS if record.runs else 0) | (_ZERO_RUNS if record.zero_runs else 0)
        out.append(flags)
        if record.mcus is not None:
            _put(out, record.mcus)
        if record.runs:
            _put_numbers(out, record.runs)
        if record.zero_runs:
            _put_numbers(out, record.zero_runs)
        _put(out, len(record.padding))
        out += record.padding
    return bytes(out)


def parse(data: bytes) -> Recipe:
    """A recipe from its bytes; Truncated or SectionCorrupt if they are none."""
    reader = _Reader(data)
    stream = reader.take(reader.number())
    height = reader.number()
    records = tuple(_record(reader) for _ in range(reader.number()))
    if reader.position != len(data):
        raise SectionCorrupt("JPEG recipe: bytes behind its end")
    return Recipe(stream, height, records)


def _record(reader: "_Reader") -> ScanRecord:
    flags = reader.take(1)[0]
    return ScanRecord(
        mcus=reader.number() if flags & _PARTIAL else None,
        restarts=not flags & _NO_RESTARTS,
        rule=flags >> _RULE_SHIFT & 3,
        runs=reader.numbers() if flags & _RUNS else b"",
        zero_runs=reader.numbers() if flags & _ZERO_RUNS else b"",
        padding=reader.take(reader.number()),
    )


def _put(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _put_numbers(out: bytearray, packed: bytes) -> None:
    numbers = np.frombuffer(packed, np.int32).tolist()
    _put(out, len(numbers) // 2)
    for number in numbers:
        _put(out, number)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.position = data, 0

    def take(self, count: int) -> bytes:
        part = self._data[self.position : self.position + count]
        if len(part) < count:
            raise Truncated("JPEG recipe: ends before its own lengths say")
        self.position += count
        return part

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 28:
                raise SectionCorrupt("JPEG recipe: a number over its limit")

    def numbers(self) -> bytes:
        count = 2 * self.number()
        if count > len(self._data):
            raise Truncated("JPEG recipe: ends before its own lengths say")
        return np.array([self.number() for _ in range(count)], np.int64).astype(np.int32).tobytes()
