"""A small .seec file, byte by byte, by the table of FORMAT.md.

    python docs/tools/hex_dump.py

The header's fields are read from FORMAT.md: a table that disagrees with the bytes fails here.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seec.pipeline.codec import decode, encode, inspect
from seec.schemas.container import ENTRY_BYTES, read_index, reader

FORMAT = Path(__file__).parents[2] / "schemas" / "FORMAT.md"
_ROW = re.compile(r"^\| (?P<offset>\d+) \| (?P<type>[^|]+) \| (?P<field>[^|]+) \|$", re.MULTILINE)
_PAGE = """# A .seec file, byte by byte

The file holds an RGB image of {width} x {height} pixels, {samples} bytes of samples, in {size}
bytes ({rate:.2f} bits per sub-pixel). A photograph has a header of the same size.

`docs/tools/hex_dump.py` makes this page from the encoder and from the table of
[Formats, Part 1](format.md); the build fails if they disagree. Numbers are little-endian.

```text
{dump}
```

A decoder checks the CRC-32C of header and table first, then looks for the weights with the model
id, then decodes the tile groups. The pixel digest decides whether the result is handed out.
"""
_SIZES = {"u8": 1, "u16": 2, "u32": 4}


@dataclass(frozen=True)
class Part:
    """Bytes of the file that belong together, and what they mean."""

    offset: int
    data: bytes
    meaning: str


def small_image() -> np.ndarray:
    """[12, 16, 3] uint8: a smooth surface with a little noise, which is range coded."""
    y, x = np.mgrid[0:12, 0:16]
    base = 90 + 40 * np.sin(x / 5) + 30 * np.cos(y / 4)
    noise = np.random.default_rng(7).normal(0, 2, (12, 16, 3))
    return np.clip(base[..., None] + [0, 12, -9] + noise, 0, 255).astype(np.uint8)


def header_fields() -> list[tuple[int, int, str]]:
    """(offset, size, meaning) of the fields before the section table, from FORMAT.md."""
    text = FORMAT.read_text(encoding="utf-8")
    part = text[text.index("## Part 1") : text.index("## Part 2")]
    fields = []
    for row in _ROW.finditer(part):
        kind = row["type"].strip()
        if kind in _SIZES:
            fields.append((int(row["offset"]), _SIZES[kind], row["field"].strip()))
        elif kind.endswith(" bytes"):
            fields.append((int(row["offset"]), int(kind.split()[0]), row["field"].strip()))
    return fields


def parts(data: bytes) -> Iterator[Part]:
    """All of the file, in order, without gaps."""
    end = 0
    for offset, size, meaning in header_fields():
        assert offset == end, f"FORMAT.md: the field at {offset} should be at {end}"
        value = data[offset : offset + size]
        number = f" = {int.from_bytes(value, 'little')}" if size in (1, 2, 4) and offset else ""
        yield Part(offset, value, re.split(r"[,;:]", meaning)[0] + number)
        end = offset + size
    index = read_index(reader(data))
    for number, entry in enumerate(index.entries):
        kind = entry.kind.name.lower().replace("_", " ")
        coding = entry.coding.name.lower()
        yield Part(end, data[end : end + 1], f"section {number}: kind {entry.kind:d}, {kind}")
        yield Part(end + 1, data[end + 1 : end + 2], f"coding {entry.coding:d}, {coding} coded")
        yield Part(end + 2, data[end + 2 : end + 6], f"payload bytes = {entry.size_bytes}")
        yield Part(end + 6, data[end + 6 : end + ENTRY_BYTES], "CRC-32C of the payload")
        end += ENTRY_BYTES
    yield Part(end, data[end : end + 4], "CRC-32C of all bytes before")
    end += 4
    for number, entry in enumerate(index.entries):
        assert entry.offset == end, f"section {number} begins at {entry.offset}, not at {end}"
        payload = data[end : end + entry.size_bytes]
        yield Part(end, payload, f"payload of section {number}")
        end += entry.size_bytes
    assert end == len(data), f"{len(data) - end} bytes are left"


def dump(data: bytes) -> str:
    """Offset, bytes in hexadecimal, meaning; eight bytes a line."""
    lines = []
    for part in parts(data):
        size = len(part.data)
        for start in range(0, size, 8):
            if 2 * 8 <= start < size - 8:  # the middle of a long payload shows nothing new
                continue
            if start >= size - 8 > 2 * 8:
                lines.append("      ...")
            meaning = part.meaning.replace("`", "") if start == 0 else ""
            chunk = part.data[start : start + 8].hex(" ")
            lines.append(f"{part.offset + start:04x}  {chunk:<23}  {meaning}".rstrip())
    return "\n".join(lines)


def annotated_page() -> str:
    """The page of the site."""
    image = small_image()
    data = encode(image)
    assert np.array_equal(decode(data), image)
    height, width, _ = image.shape
    return _PAGE.format(
        width=width,
        height=height,
        samples=image.size,
        size=len(data),
        rate=inspect(data).rate_bpsp,
        dump=dump(data),
    )


if __name__ == "__main__":
    sys.stdout.write(annotated_page())
