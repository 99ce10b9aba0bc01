"""Route `spans`: a file that holds images, as what lies between them and a row for each of them."""

import hashlib
from collections.abc import Iterable

from seec.pipeline.containers import PACKINGS
from seec.pipeline.routes.reading.reader import Models, Reader
from seec.pipeline.routes.reading.store import decompressed
from seec.schemas.errors import DigestMismatch, SectionCorrupt
from seec.schemas.limits import MAX_RECIPE_BYTES
from seec.schemas.routes import SPANS
from seec.schemas.rows import Row
from seec.schemas.spans import HEAD_BYTES, parse_gaps


class SpansReader(Reader):
    """What its payload alone gives; the files themselves are for `assemble`."""

    name = SPANS

    def restore(self, row: Row, payload: bytes, models: Models) -> bytes:
        """Raises SectionCorrupt: a row without members is none of this route."""
        del payload, models
        raise SectionCorrupt(f"{row.path}: holds images, but has no rows of them")

    def check(self, row: Row, payload: bytes, models: Models) -> None:
        """As `restore`."""
        self.restore(row, payload, models)


def gaps_of(row: Row, payload: bytes | memoryview) -> tuple[bytes, memoryview]:
    """The recipe of the row's packing, and what lies between its members. SectionCorrupt."""
    most = row.source_size_bytes + HEAD_BYTES + MAX_RECIPE_BYTES
    return parse_gaps(row.path, decompressed(payload, HEAD_BYTES, most))


def assemble(row: Row, gaps: memoryview, members: Iterable[tuple[Row, bytes]]) -> bytes:
    """The content of a row with members.

    gaps: what lies between them. members: each with its bytes there. SectionCorrupt if they do not
    fit together, DigestMismatch if they give other bytes than the row says.
    """
    out: list[bytes | memoryview] = []  # joined at once: a file may be large
    end = taken = 0
    for one, there in members:
        length = (one.start or 0) - end
        if not 0 <= length <= len(gaps) - taken:
            raise SectionCorrupt(f"{one.path}: begins where its file has other bytes")
        out += (gaps[taken : taken + length], there)
        taken += length
        end += length + len(there)
        if end > row.source_size_bytes:
            raise SectionCorrupt(f"{row.path}: holds more than it is long")
    data = b"".join((*out, gaps[taken:]))
    if hashlib.sha256(data).digest() != row.source_digest:
        raise DigestMismatch(f"{row.path}: is put together to a file that differs from its digest")
    return data


def packed(row: Row, content: bytes, recipe: bytes) -> bytes:
    """The bytes of a row in what it is a member of, from its content and a recipe."""
    if row.packing is None:
        return content
    return PACKINGS[row.packing].pack(content, recipe)
