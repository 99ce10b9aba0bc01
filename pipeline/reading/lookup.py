"""Which row counts for one path, without reading the rows of all others."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import vanished_after
from seec.pipeline.archive.patterns import in_range, may_hold
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import SectionCorrupt
from seec.schemas.manifest import Row, parse_matching

_PARTS_KEPT = 16


class Lookup:
    """Finds rows by path. Safe to use from several threads.

    Reads the manifest parts whose range of paths holds the path, latest run first, and keeps the
    bytes of the last few.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._runs = [(run.run_id, shards) for run, shards in archive.state.by_run()][::-1]
        self._part = lru_cache(maxsize=_PARTS_KEPT)(self._read_part)
        self._vanished = lru_cache(maxsize=None)(self._read_vanished)

    def __call__(self, path: str) -> tuple[ShardRecord, Row] | None:
        """The row that counts for a path, and its shard; None if the archive holds no such path.

        Raises BlobMissing, DigestMismatch or FormatError if a record that is needed is damaged.
        """
        for run_id, shards in self._runs:
            if path in self._vanished(run_id):
                return None
            for shard in shards:
                if may_hold(shard, path) and (row := self._row_in(shard, path)) is not None:
                    return shard, row
        return None

    def _row_in(self, shard: ShardRecord, path: str) -> Row | None:
        def indices(paths: Sequence[str]) -> list[int]:
            at = bisect_left(paths, path)
            return [at] if at < len(paths) and paths[at] == path else []

        name = shard.manifest.name
        paths, rows = parse_matching(name, self._part(shard), indices)
        if not in_range(paths, shard):
            raise SectionCorrupt(f"{name}: other paths than its commit says; run seec verify")
        return rows[0] if rows else None

    def _read_part(self, shard: ShardRecord) -> bytes:
        return self._archive.read(shard.manifest)

    def _read_vanished(self, run_id: str) -> frozenset[str]:
        return frozenset(vanished_after(self._archive, run_id))
