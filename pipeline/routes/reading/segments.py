"""The content of a row in segments, each of which is decoded by itself when it is wanted."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seec.pipeline.containers import packed_size
from seec.pipeline.routes import reading
from seec.pipeline.routes.reading.envelopes import split
from seec.pipeline.routes.reading.reader import Models
from seec.pipeline.routes.reading.spans import gaps_of
from seec.schemas.errors import DigestMismatch, SectionCorrupt
from seec.schemas.routes import SPANS
from seec.schemas.rows import Row
from seec.schemas.trees import once_each, with_payloads

_TIFF = "TIFF"


@dataclass(frozen=True)
class Segment:
    """Bytes of a content from start to end.

    decoded: gives them, and takes as long as they need. known: those among them that need no
    decoding, such as directories between strips; where each part begins in the segment.
    """

    start: int
    end: int
    decoded: Callable[[], bytes]
    known: tuple[tuple[int, bytes], ...] = ()


def segments(row: Row, payload: bytes, models: Models) -> list[Segment]:
    """The segments of a row's content, in order and without gaps.

    payload: as of `restore`. What lies between members is compared with its digest now, members
    when they are decoded. Raises as `restore`, and so does decoding.
    """
    if not (row.members and row.route == SPANS):
        return [Segment(0, row.source_size_bytes, lambda: reading.restore(row, payload, models))]
    own = payload[: row.length]
    _check(row, own)
    parts = {(one.length, one.blob_digest): part for one, part in with_payloads(row, payload)}
    trees = [
        (one, b"".join(parts[below.length, below.blob_digest] for below in once_each(one)))
        for one in row.members
    ]
    _, gaps = gaps_of(row, own)
    found: list[Segment] = []
    at = taken = 0
    for one, part in trees:
        gap = (one.start or 0) - at
        if not 0 <= gap <= len(gaps) - taken:
            raise SectionCorrupt(f"{one.path}: begins where its file has other bytes")
        found.append(_held(at, bytes(gaps[taken : taken + gap])))
        taken, at = taken + gap, at + gap
        found.append(_member(at, one, part, models))
        at = found[-1].end
    found.append(_held(at, bytes(gaps[taken:])))
    if found[-1].end != row.source_size_bytes:
        raise SectionCorrupt(f"{row.path}: holds more, or less, than it is long")
    return [segment for segment in found if segment.end > segment.start]


def _held(start: int, data: bytes) -> Segment:
    return Segment(start, start + len(data), lambda: data)


def _member(start: int, row: Row, payload: bytes, models: Models) -> Segment:
    def decoded() -> bytes:
        return reading.restore_member(row, payload, models)

    if row.packing is None:
        return Segment(start, start + row.source_size_bytes, decoded)
    own = payload[: row.length]
    _check(row, own)
    size = packed_size(row.packing, row.source_size_bytes, gaps_of(row, own)[0])
    if size is None:  # nothing but packing it tells how long it is
        return _held(start, decoded())
    return Segment(start, start + size, decoded, tuple(_between(row, payload, size)))


def _between(row: Row, payload: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    """What stands between the samples of an image that is a part of a file, but for its head."""
    # Imports the formats, which who reads whole files does without.
    from seec.pipeline.images.files import is_exact
    from seec.pipeline.images.formats.spliced import parse

    inner, own = row.members[0], payload[row.length :]
    whole = len(row.members) == 1 and inner.start in (0, None) and not inner.members
    if not whole or inner.source_size_bytes != row.source_size_bytes:
        return
    _check(inner, own[: inner.length])
    facts = split(inner, own[: inner.length])[0].samples
    envelope = b"" if facts is None else facts.envelope or b""
    if inner.image is None or inner.image.format != _TIFF or not is_exact(envelope):
        return
    left_out = row.source_size_bytes - size
    for at, data in parse(envelope[1:]).between():
        cut = max(0, left_out - at)
        if data[cut:]:
            yield at + cut - left_out, data[cut:]


def _check(row: Row, payload: bytes) -> None:
    if hashlib.sha256(payload).digest() != row.blob_digest:
        raise DigestMismatch(f"{row.path}: its bytes in {row.shard} differ from their digest")
