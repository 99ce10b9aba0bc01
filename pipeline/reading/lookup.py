"""Which row counts for one path, without reading the rows of all others."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache

from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import vanished_after
from seec.pipeline.archive.patterns import folders, may_hold
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import SectionCorrupt
from seec.schemas.manifest_part import Part
from seec.schemas.routes import PIECES
from seec.schemas.rows import Row

# With their paths some 100 bytes each.
_ROWS_KEPT = 1 << 20


class Lookup:
    """Finds rows by path. Safe to use from several threads.

    Reads the manifest parts whose range of paths holds the path, latest run first, and keeps those
    that it used last.

    runs: the shards of each run, latest first, and its id.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.runs = [(run.run_id, shards) for run, shards in archive.state.by_run()][::-1]
        self._parts: OrderedDict[str, Part] = OrderedDict()
        self._rows_kept = 0
        self._guard = threading.Lock()
        self.vanished = lru_cache(maxsize=None)(self._read_vanished)

    def __call__(self, path: str) -> tuple[ShardRecord, Row] | None:
        """The row that counts for a path, and its shard; None if the archive holds no such path.

        The path of a file, or that of an image within a file behind the path of this file. Raises
        BlobMissing, DigestMismatch or FormatError if a record that is needed is damaged.
        """
        found = self._file(path)
        if found is not None:
            return found
        files = (self._file(above) for above in folders(path))
        members = (self._member(*file, path) for file in files if file is not None)
        return next((member for member in members if member is not None), None)

    def _file(self, path: str) -> tuple[ShardRecord, Row] | None:
        for run_id, shards in self.runs:
            if path in self.vanished(run_id):
                return None
            for shard in shards:
                if not shard.files or not may_hold(shard, path):  # all its rows are pieces
                    continue
                if (row := self.part(shard).row_of(path)) is not None:
                    return shard, row
        return None

    def _member(self, shard: ShardRecord, file: Row, path: str) -> tuple[ShardRecord, Row] | None:
        """A member of a file, or of a piece of it."""
        if file.route != PIECES:
            return _among(shard, [file], path)
        holders = (s for s in self._archive.state.shards_of(file.run_id) if may_hold(s, file.path))
        name = path[len(file.path) + 1 :]
        for holder in holders:
            pieces = self.part(holder).pieces_with(file.path, name)
            if (member := _among(holder, pieces, path)) is not None:
                return member
        return None

    def part(self, shard: ShardRecord) -> Part:
        """The manifest part of a shard. Raises as a call."""
        name = shard.manifest.name
        with self._guard:
            if (kept := self._parts.get(name)) is not None:
                self._parts.move_to_end(name)
                return kept
        part = Part(name, self._archive.read(shard.manifest))
        if shard.path_range != part.path_range:
            raise SectionCorrupt(f"{name}: other paths than its commit says; run seec verify")
        with self._guard:
            if name not in self._parts:
                self._parts[name] = part
                self._rows_kept += len(part)
            while self._rows_kept > _ROWS_KEPT and len(self._parts) > 1:
                _, dropped = self._parts.popitem(last=False)
                self._rows_kept -= len(dropped)
        return part

    def _read_vanished(self, run_id: str) -> frozenset[str]:
        """Paths whose rows of this run and earlier ones do not count."""
        return frozenset(vanished_after(self._archive, run_id))


def _among(shard: ShardRecord, files: Iterable[Row], path: str) -> tuple[ShardRecord, Row] | None:
    members = (one for file in files for member in file.members for one in member.tree())
    found = next((one for one in members if one.path == path), None)
    return None if found is None else (shard, found)
