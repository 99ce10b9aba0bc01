"""The way back: from a manifest row and its payload to a file.

`READERS` is the table of routes: a route is one module and one line here.
"""

import hashlib

from seec.pipeline.routes.reading.envelopes import split
from seec.pipeline.routes.reading.jpegxl_jpeg import JpegXlReader
from seec.pipeline.routes.reading.lost import LostReader
from seec.pipeline.routes.reading.reader import Models, Reader
from seec.pipeline.routes.reading.seec import SeecReader
from seec.pipeline.routes.reading.seec_jpeg import SeecJpegReader
from seec.pipeline.routes.reading.seec_planes import SeecPlanesReader
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
        StoreReader(),
        LostReader(),
    )
}

__all__ = ["READERS", "Models", "Reader", "check", "check_payload", "restore"]


def check_payload(row: Row, payload: bytes) -> None:
    """DigestMismatch unless these are the bytes that the row describes."""
    if hashlib.sha256(payload).digest() != row.blob_digest:
        raise DigestMismatch(f"{row.path}: its bytes in {row.shard} differ from their digest")


def check(row: Row, payload: bytes, models: Models) -> None:
    """Decode a payload and compare with the digests that its row records.

    Raises DigestMismatch, FormatError or ModelError.
    """
    check_payload(row, payload)
    _reader(row).check(*split(row, payload), models)


def restore(row: Row, payload: bytes, models: Models) -> bytes:
    """The file of a row: byte for byte, or one with the same samples and metadata.

    Of a link, where it points to. A row with a lossy background gives the decoded pixels, and the
    file says so in a comment where its format has comments. Raises DigestMismatch, FormatError,
    ModelError or Lost.
    """
    check_payload(row, payload)
    return _reader(row).restore(*split(row, payload), models)


def _reader(row: Row) -> Reader:
    reader = READERS.get(row.route)
    if reader is None:
        raise SectionCorrupt(f"{row.path}: route {row.route!r} is unknown")
    return reader
