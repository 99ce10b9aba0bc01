"""Files that are cut: where their pieces begin, and the row that makes them one file again.

A piece begins at the first place, at or after a multiple of the size of pieces, where no member of
the file is cut in two. Each task finds the places around its piece by itself, from the bytes of the
file alone.
"""

import hashlib
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.pieces import holders, pieces_in
from seec.pipeline.containers import cut
from seec.pipeline.routes.writing import Draft
from seec.pipeline.storage import Source, Store
from seec.schemas.errors import FixityError, FormatError, SourceChanged
from seec.schemas.pieces import piece_with, serialise_pieces
from seec.schemas.plan import SourceFile
from seec.schemas.routes import PIECES
from seec.schemas.rows import Row

_READ_SIZE_BYTES = 8 << 20


@dataclass(frozen=True)
class InSource:
    """A file of a source that is read by ranges."""

    source: Source
    file: SourceFile

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return self.file.size_bytes

    @property
    def identity(self) -> Hashable:
        """As `Recognised.identity`."""
        file = self.file
        return self.source.store.url, file.path, file.size_bytes, file.mtime_ns, file.checksum

    def read(self, start: int, length: int) -> bytes:
        """Bytes of the file, fewer where it ends. Raises as `Source.read`."""
        length = min(length, self.size_bytes - start)
        return self.source.read_part(self.file, start, length) if length > 0 else b""


def place_of(source: Source, file: SourceFile, piece_size_bytes: int) -> tuple[int, int]:
    """Where a piece begins and ends in its file. Raises as `Source.read`."""
    ranges, number = InSource(source, file), file.piece or 0
    start, end = (cut(ranges, at * piece_size_bytes) for at in (number, number + 1))
    return start, end


def read_piece(source: Source, file: SourceFile, place: tuple[int, int]) -> tuple[int, bytes]:
    """Where a piece begins in its file, and its bytes. Raises as `Source.read`."""
    start, end = place
    return start, InSource(source, file).read(start, end - start)


def draft_whole(store: Store, run_id: str, source: Source, file: SourceFile) -> Draft:
    """The draft of a file whose pieces are in the archive: they are compared with it once more.

    SourceChanged, or another SourceError, if one of them is not there or is another one.
    """
    shards = holders(Archive.open(store).state.shards_of(run_id), file.path)
    rows: list[Row] = []
    for shard in shards:
        # In a repair, the shard of this very row may be what cannot be read.
        with suppress(FixityError, FormatError):
            rows += pieces_in(store, shard, file.path)
    pieces = sorted(rows, key=lambda row: row.piece or 0)
    if [row.piece for row in pieces] != list(range(file.pieces or 0)):
        raise SourceChanged("some of its pieces could not be read; run again to archive it")
    ranges, whole, end = InSource(source, file), hashlib.sha256(), 0
    for row in pieces:
        own = hashlib.sha256()
        for start in range(end, end + row.source_size_bytes, _READ_SIZE_BYTES):
            left = end + row.source_size_bytes - start
            chunk = ranges.read(start, min(_READ_SIZE_BYTES, left))
            whole.update(chunk)
            own.update(chunk)
        if row.start != end or own.digest() != row.source_digest:
            raise SourceChanged("changed while its pieces were read; run again to archive it")
        end += row.source_size_bytes
    if end != file.size_bytes:
        raise SourceChanged("changed while its pieces were read; run again to archive it")
    row = Row(
        path=file.path,
        source_size_bytes=file.size_bytes,
        source_mtime_ns=file.mtime_ns,
        source_digest=whole.digest(),
        route=PIECES,
        kind=file.kind,
        permissions=file.permissions,
    )
    return Draft(
        row,
        serialise_pieces(
            [
                piece_with(row.shard, row.source_size_bytes, row.source_digest, row.member_names)
                for row in pieces
            ]
        ),
    )
