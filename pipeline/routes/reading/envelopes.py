"""Envelopes that lie behind their payloads."""

from dataclasses import replace

from seec.pipeline.routes.reading.store import decompressed
from seec.schemas.rows import ENVELOPE_BYTES_IN_ROW, Row


def split(row: Row, data: bytes) -> tuple[Row, bytes]:
    """The row with its envelope, and the payload without.

    data: the bytes whose digest is `row.blob_digest`. SectionCorrupt if they end with no envelope,
    and the row says that they do.
    """
    if row.envelope_length is None or row.samples is None:
        return row, data
    frame = data[row.payload_length :]
    # A file that is hardly more than its envelope is stored.
    envelope = decompressed(frame, ENVELOPE_BYTES_IN_ROW + 1, row.source_size_bytes)
    samples = replace(row.samples, envelope=envelope)
    return replace(row, samples=samples), data[: row.payload_length]
