"""Files in pieces, put together one piece after the other: they may be larger than memory."""

import hashlib
import os
from collections.abc import Iterator, Sequence

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.pieces import PieceRow, piece_rows
from seec.pipeline.archive.shard import payloads
from seec.pipeline.routes.reading import check_payload, restore
from seec.pipeline.storage import Store
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import DigestMismatch
from seec.schemas.rows import Row

# Decoders of codec and JPEG run beside each other: they let other threads go on.
_MOST_THREADS = 8
# Of pieces in work, for each thread; a piece takes up to three times its size while it is decoded.
_BYTES_A_THREAD = 32 << 20


def contents(
    store: Store, shards: Sequence[ShardRecord], row: Row, payload: bytes
) -> Iterator[bytes]:
    """The bytes of a file in pieces, piece by piece. Raises as `restore`.

    As many are decoded ahead, side by side, as there are processors, of which eight are used; of
    large pieces fewer.

    DigestMismatch at the end if all pieces together are another file.
    """
    check_payload(row, payload)
    hasher = hashlib.sha256()
    found = piece_rows(store, shards, row, payload)
    threads = max(2, min(_MOST_THREADS, os.cpu_count() or 1))
    ahead = each_ahead(
        lambda piece: piece_content(store, piece),
        found,
        threads,
        threads,
        size_bytes=lambda piece: piece.row.source_size_bytes,
        most_bytes=threads * _BYTES_A_THREAD,
    )
    for data in ahead:
        hasher.update(data)
        yield data
    if hasher.digest() != row.source_digest:
        raise DigestMismatch(f"{row.path}: is put together to a file that differs from its digest")


def piece_content(store: Store, piece: PieceRow) -> bytes:
    """The bytes of one piece. Raises as `restore`."""
    [(_, payload)] = payloads(store, piece.blob, [piece.row])
    return restore(piece.row, payload, archived_models(store, [piece.row]))
