"""Containers made by the libraries that people make them with, and what is found in them."""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seec.pipeline.containers import PACKINGS, Held, Span, cut, find
from tests.jpegs import jpeg
from tests.pictures import textured
from tests.plain_packings import PLAIN
from tests.sources import image_bytes

FORMATS = {
    "ustar": tarfile.USTAR_FORMAT,
    "gnu": tarfile.GNU_FORMAT,
    "pax": tarfile.PAX_FORMAT,
}


def pictures() -> dict[str, bytes]:
    """Files of each format that carving finds, by name."""
    pixels = textured(48, 64)
    return {
        "a.jpg": jpeg(),
        "b.png": image_bytes(pixels, "PNG"),
        "progressive.jpg": jpeg(progressive=True),
        "c.webp": image_bytes(pixels, "WEBP", lossless=True),
        "d.gif": image_bytes(pixels, "GIF"),
        "small.png": image_bytes(textured(16, 16), "PNG"),
    }


def named_pictures() -> dict[str, bytes]:
    """The same, and formats of which only an index says where they end."""
    pixels = textured(48, 64)
    forms = {"e.bmp": "BMP", "f.tif": "TIFF", "g.ppm": "PPM"}
    return pictures() | {name: image_bytes(pixels, form) for name, form in forms.items()}


def tar(files: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, data in files:
            one = tarfile.TarInfo(name)
            one.size = len(data)
            archive.addfile(one, io.BytesIO(data))
    return target.getvalue()


class OneWay(io.RawIOBase):
    """A file that cannot be sought in: lengths go behind the members."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += bytes(data)  # pyright: ignore[reportArgumentType]
        return len(bytes(data))  # pyright: ignore[reportArgumentType]


def zipped(
    files: dict[str, bytes],
    method: int = zipfile.ZIP_STORED,
    *,
    one_way: bool = False,
    level: int | None = None,
) -> bytes:
    """A zip archive of files. one_way: written as into a pipe."""
    target = OneWay() if one_way else io.BytesIO()
    with zipfile.ZipFile(target, "w", method, compresslevel=level) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.data if isinstance(target, OneWay) else target.getvalue()


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """A Parquet file of columns. options: of pyarrow."""
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, **options)
    return target.getvalue()


def found(data: bytes) -> list[tuple[str | None, bytes]]:
    """Name and bytes of each image in a file; checks that the file comes back from its spans."""
    spans = find(data, 0, Held(data))
    assert assembled(data, spans) == data
    return list(leaves(data, spans))


def leaves(content: bytes, spans: Sequence[Span]) -> Iterator[tuple[str | None, bytes]]:
    """Name and bytes of each image; the name of what has none is its parent's."""
    for span in spans:
        inner = content[span.start : span.end] if span.content is None else span.content
        if not span.members:
            yield span.name, inner
        for name, image in leaves(inner, span.members):
            yield span.name if name is None else name, image


def assembled(content: bytes, spans: Sequence[Span]) -> bytes:
    """The content put together of what lies between spans and of what is in them."""
    parts: list[bytes] = []
    at = 0
    for span in spans:
        assert at <= span.start < span.end <= len(content), "in order, apart, within the piece"
        assert (span.packing is None) == (span.content is None)
        assert span.packing or not span.recipe
        inner = content[span.start : span.end] if span.content is None else span.content
        inner = assembled(inner, span.members)
        parts.append(content[at : span.start])
        if span.packing:
            back = PACKINGS[span.packing].pack(inner, span.recipe)
            if span.packing in PLAIN:
                assert PLAIN[span.packing](inner, span.recipe) == back, "FORMAT.md says so"
            inner = back
        parts.append(inner)
        at = span.end
    return b"".join([*parts, content[at:]])


def in_pieces(data: bytes, size_bytes: int) -> list[tuple[str | None, bytes]]:
    """As `found`, by pieces that `cut` makes of so many bytes or more."""
    ranges, at, images = Held(data), 0, []
    while at < len(data):
        end = cut(ranges, at + size_bytes)
        assert at < end <= len(data)
        piece = data[at:end]
        spans = find(piece, at, ranges)
        assert assembled(piece, spans) == piece
        images += leaves(piece, spans)
        at = end
    return images
