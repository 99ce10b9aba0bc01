"""The way back: from a manifest row and its payload to a file.

`READERS` is the table of routes: a route is one module and one line here.
"""

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

from seec.pipeline.routes.reading.envelopes import split
from seec.pipeline.routes.reading.reader import Models, Reader
from seec.schemas.errors import DigestMismatch, SectionCorrupt
from seec.schemas.routes import (
    JPEGXL_JPEG,
    LOST,
    PIECES,
    SEEC,
    SEEC_DECODED,
    SEEC_JPEG,
    SEEC_PLANES,
    SPANS,
    STORE,
)
from seec.schemas.rows import Row
from seec.schemas.trees import with_payloads


class _Readers(MutableMapping[str, Reader]):
    """Readers by route. The module of a route is imported when the first row needs it.

    Who reads one stored file loads no codec, whose import takes longer than the file.
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        """homes: for each route `module.Class`, in this package."""
        self._homes = homes
        self._readers: dict[str, Reader | None] = dict.fromkeys(homes)

    def __getitem__(self, route: str) -> Reader:
        reader = self._readers[route]
        if reader is None:
            module, _, kind = self._homes[route].partition(".")
            reader = getattr(import_module(f"{__name__}.{module}"), kind)()
            self._readers[route] = reader
        return reader

    def __setitem__(self, route: str, reader: Reader) -> None:
        self._readers[route] = reader

    def __delitem__(self, route: str) -> None:
        del self._readers[route]

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


# By name, as manifests have them.
READERS: MutableMapping[str, Reader] = _Readers(
    {
        SEEC: "seec.SeecReader",
        SEEC_PLANES: "seec_planes.SeecPlanesReader",
        SEEC_DECODED: "seec_decoded.SeecDecodedReader",
        SEEC_JPEG: "seec_jpeg.SeecJpegReader",
        JPEGXL_JPEG: "jpegxl_jpeg.JpegXlReader",
        SPANS: "spans.SpansReader",
        PIECES: "pieces.PiecesReader",
        STORE: "store.StoreReader",
        LOST: "lost.LostReader",
    }
)

__all__ = ["READERS", "Models", "Reader", "check", "check_payload", "restore", "restore_member"]


def check_payload(row: Row, payload: bytes) -> None:
    """DigestMismatch unless these are the bytes that the row, and its members, describe.

    payload: of a row with members, those of its tree, by `trees.once_each`.
    """
    for one, part in _parts(row, payload):
        if hashlib.sha256(part).digest() != one.blob_digest:
            raise DigestMismatch(f"{one.path}: its bytes in {one.shard} differ from their digest")


def check(row: Row, payload: bytes, models: Models) -> None:
    """Decode a payload and compare with the digests that its row records.

    Of a piece every byte, whatever its route: the file as a whole needs them. payload: as in
    `check_payload`. Raises DigestMismatch, FormatError or ModelError.
    """
    if row.members or row.piece is not None:
        content = restore(row, payload, models)
        if row.piece is not None and hashlib.sha256(content).digest() != row.source_digest:
            raise DigestMismatch(f"{row.label}: comes back as other bytes")
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
    if row.members and row.route == SPANS:
        return _assembled(row, _parts(row, payload), models)
    return _reader(row).restore(*split(row, payload), models)


def _assembled(row: Row, parts: Iterator[tuple[Row, bytes | memoryview]], models: Models) -> bytes:
    """The content of a row with members. parts: the rows of its tree with their payloads."""
    # Imports all formats of images, which who reads a file without members needs not.
    from seec.pipeline.routes.reading.spans import assemble, gaps_of, packed

    _, own = next(parts)
    recipe, gaps = gaps_of(row, own)
    members = [(one, _member(one, parts, models)) for one in row.members]
    return packed(row, assemble(row, gaps, members), recipe)


def restore_member(row: Row, payload: bytes, models: Models) -> bytes:
    """The bytes of a member in what it is a member of. Raises as `restore`; payload: as there."""
    check_payload(row, payload)
    return _member(row, _parts(row, payload), models)


def _member(row: Row, parts: Iterator[tuple[Row, bytes | memoryview]], models: Models) -> bytes:
    if row.members and row.route == SPANS:
        return _assembled(row, parts, models)
    _, payload = next(parts)
    content = _reader(row).restore(*split(row, bytes(payload)), models)
    if hashlib.sha256(content).digest() != row.source_digest:
        raise DigestMismatch(f"{row.path}: comes back as another file")
    return content


def _parts(row: Row, payload: bytes) -> Iterator[tuple[Row, bytes | memoryview]]:
    """The rows of a tree with their payloads, which are not copied."""
    if not row.members:
        yield row, payload
    else:
        yield from with_payloads(row, memoryview(payload))


def _reader(row: Row) -> Reader:
    reader = READERS.get(row.route)
    if reader is None:
        raise SectionCorrupt(f"{row.path}: route {row.route!r} is unknown")
    return reader
