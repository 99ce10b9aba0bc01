"""Files of an archive by ranges of their bytes: only what a range touches is read and decoded."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate

from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.pieces import piece_row
from seec.pipeline.archive.shard import payloads
from seec.pipeline.routes.reading import check_payload
from seec.pipeline.routes.reading.segments import Segment, segments
from seec.pipeline.storage import Store
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import SectionCorrupt
from seec.schemas.pieces import parse_pieces
from seec.schemas.rows import Row

_PIECES_KEPT, _DECODED_KEPT_BYTES = 4, 64 << 20


class InPieces:
    """`Ranges` of a file in pieces. Keeps what was read last; not for several threads."""

    def __init__(
        self, store: Store, holders: tuple[ShardRecord, ...], row: Row, payload: bytes
    ) -> None:
        """holders: shards that may hold pieces of it. row, payload: of the file as a whole."""
        check_payload(row, payload)
        self._store, self._row = store, row
        self._shards = {shard.shard: shard for shard in holders}
        self._pieces = parse_pieces(row.path, payload, row.source_size_bytes)
        self._starts = list(accumulate((one.size_bytes for one in self._pieces), initial=0))
        self._opened: OrderedDict[int, list[Segment]] = OrderedDict()
        self._decoded: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """As `Ranges.size_bytes`."""
        return self._row.source_size_bytes

    def read(self, start: int, length: int) -> bytes:
        """As `Ranges.read`. Raises as `seec.Archive.read`."""
        end = min(start + length, self.size_bytes)
        return b"".join(self._parts(start, end)) if end > start else b""

    def _parts(self, start: int, end: int) -> Iterator[bytes]:
        for number in range(bisect_right(self._starts, start) - 1, len(self._pieces)):
            base = self._starts[number]
            if base >= end:
                break
            for place, segment in enumerate(self._segments(number)):
                first, behind = max(start - base, segment.start), min(end - base, segment.end)
                if first < behind:
                    known = self._known(number, place, segment, first - segment.start)
                    if len(known) >= behind - first:
                        yield known[: behind - first]
                        continue
                    data = self._content(number, place, segment)
                    yield data[first - segment.start : behind - segment.start]

    def _segments(self, number: int) -> list[Segment]:
        kept = self._opened.get(number)
        if kept is None:
            piece = piece_row(self._store, self._shards, self._row, number, self._pieces[number])
            [(_, payload)] = payloads(self._store, piece.blob, [piece.row])
            models = archived_models(self._store, [piece.row])
            kept = segments(piece.row, payload, models)
            self._opened[number] = kept
            if len(self._opened) > _PIECES_KEPT:
                self._opened.popitem(last=False)
        return kept

    def _known(self, number: int, place: int, segment: Segment, at: int) -> bytes:
        """What needs no decoding from a place of a segment on; nothing if it is decoded."""
        if (number, place) in self._decoded:
            return b""
        parts = (data[at - start :] for start, data in segment.known if at - start >= 0)
        return next((part for part in parts if part), b"")

    def _content(self, number: int, place: int, segment: Segment) -> bytes:
        key = (number, place)
        data = self._decoded.get(key)
        if data is None:
            data = segment.decoded()
            if len(data) != segment.end - segment.start:
                raise SectionCorrupt(f"{self._row.path}: a part of it is longer, or shorter")
            self._decoded[key] = data
            while sum(map(len, self._decoded.values())) > _DECODED_KEPT_BYTES:
                self._decoded.popitem(last=False)
        else:
            self._decoded.move_to_end(key)
        return data
