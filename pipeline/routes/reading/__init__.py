"""The way back: from a manifest row and its payload to a file.

`READERS` is the table of routes: a route is one module and one line here.
"""

import hashlib
from collections.abc import Iterator

from seec.pipeline.routes.reading.envelopes import split
from seec.pipeline.routes.reading.jpegxl_jpeg import JpegXlReader
from seec.pipeline.routes.reading.lost import LostReader
from seec.pipeline.routes.reading.pieces import PiecesReader
from seec.pipeline.routes.reading.reader import Models, Reader
from seec.pipeline.routes.reading.seec import SeecReader
from seec.pipeline.routes.reading.seec_jpeg import SeecJpegReader
from seec.pipeline.routes.reading.seec_planes import SeecPlanesReader
from seec.pipeline.routes.reading.spans import SpansReader, assemble, gaps_of, packed
from seec.pipeline.routes.reading.store import StoreReader
from seec.schemas.errors import DigestMismatch, SectionCorrupt
from seec.schemas.manifest import Row

# By name, as manifests have them.
READERS: dict[str, Reader] = {
    one.name: one
    for one in (
        SeecReader(),
        SeecPlanesReader(),
        SeecJpegReader(),
        JpegXlReader(),
        SpansReader(),
        PiecesReader(),
        StoreReader(),
        LostReader(),
    )
}

__all__ = ["READERS", "Models", "Reader", "check", "check_payload", "restore"]


def check_payload(row: Row, payload: bytes) -> None:
    """DigestMismatch unless these are the bytes that the row, and its members, describe.

    payload: of a row with members, those of its tree, in the order of `Row.tree`.
    """
    for one, part in _parts(row, payload):
        if hashlib.sha256(part).digest() != one.blob_digest:
            raise DigestMismatch(f"{one.path}: its bytes in {one.shard} differ from their digest")


def check(row: Row, payload: bytes, models: Models) -> None:
    """Decode a payload and compare with the digests that its row records.

    payload: as in `check_payload`. Raises DigestMismatch, FormatError or ModelError.
    """
    if row.members:
        restore(row, payload, models)
        return
    check_payload(row, payload)
    _reader(row).check(*split(row, payload), models)


def restore(row: Row, payload: bytes, models: Models) -> bytes:
    """The file of a row: byte for byte, or one with the same samples and metadata.

    Of a link, where it points to. A row with a lossy background gives the decoded pixels, and the
    file says so in a comment where its format has comments. payload: as in `check_payload`. Raises
    DigestMismatch, FormatError, ModelError or Lost.
    """
    check_payload(row, payload)
    if row.members:
        return _assembled(row, _parts(row, payload), models)
    return _reader(row).restore(*split(row, payload), models)


def _assembled(row: Row, parts: Iterator[tuple[Row, bytes]], models: Models) -> bytes:
    """The content of a row with members. parts: the rows of its tree with their payloads."""
    _, own = next(parts)
    recipe, gaps = gaps_of(row, own)
    members: list[tuple[Row, bytes]] = []
    for one in row.members:
        if one.members:
            content = _assembled(one, parts, models)
        else:
            _, payload = next(parts)
            content = _reader(one).restore(*split(one, payload), models)
            if hashlib.sha256(content).digest() != one.source_digest:
                raise DigestMismatch(f"{one.path}: comes back as another file")
        members.append((one, content))
    return packed(row, assemble(row, gaps, members), recipe)


def _parts(row: Row, payload: bytes) -> Iterator[tuple[Row, bytes]]:
    """The rows of a tree with their payloads."""
    view, start = memoryview(payload), 0
    for one in row.tree():
        yield one, payload if not row.members else bytes(view[start : start + one.length])
        start += one.length


def _reader(row: Row) -> Reader:
    reader = READERS.get(row.route)
    if reader is None:
        raise SectionCorrupt(f"{row.path}: route {row.route!r} is unknown")
    return reader
