"""Which row counts for one path, without reading the rows of all others."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import vanished_after
from seec.pipeline.archive.patterns import folders, may_hold
from seec.pipeline.archive.pieces import holders
from seec.pipeline.archive.shard import payloads
from seec.pipeline.routes.reading import check_payload
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import BlobMissing, FixityError, FormatError, SectionCorrupt
from seec.schemas.manifest_part import Leaf, Part
from seec.schemas.pieces import Piece, parse_pieces
from seec.schemas.routes import PIECES
from seec.schemas.rows import Row

# With their paths some 100 bytes each.
_ROWS_KEPT = 1 << 20
_PIECES_KEPT = 1 << 16
_FILES_KEPT = 64  # that have members, or pieces


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
        self._lists: OrderedDict[tuple[str, int], list[Piece]] = OrderedDict()
        self._rows_kept = 0
        self._guard = threading.Lock()
        self.vanished = lru_cache(maxsize=None)(self._read_vanished)
        self._without_members = lru_cache(_FILES_KEPT)(self._row_without_members)

    def __call__(self, path: str) -> tuple[ShardRecord, Row] | None:
        """The row that counts for a path, and its shard; None if the archive holds no such path.

        The path of a file, or that of an image within a file behind the path of this file. Raises
        BlobMissing, DigestMismatch or FormatError if a record that is needed is damaged.
        """
        shard = self._shard_of(path)
        if shard is not None:
            row = self.part(shard).row_of(path)
            return None if row is None else (shard, row)
        for above in folders(path):
            shard = self._shard_of(above)
            if shard is None:
                continue
            found = self._member(shard, above, path[len(above) + 1 :])
            if found is not None:
                return found
        return None

    def _shard_of(self, path: str) -> ShardRecord | None:
        """The shard whose row counts for the path of a file; None if none does."""
        for run_id, shards in self.runs:
            if path in self.vanished(run_id):
                return None
            for shard in shards:
                if not shard.files or not may_hold(shard, path):  # all its rows are pieces
                    continue
                if self.part(shard).holds(path):
                    return shard
        return None

    def _member(self, shard: ShardRecord, path: str, name: str) -> tuple[ShardRecord, Row] | None:
        """A member of a file, or of a piece of it. shard: that has the row of the file."""
        file = self._without_members(shard, path)
        if file is None:
            member = self.part(shard).member(path, name)
            return None if member is None else (shard, member)
        if file.route != PIECES:
            return None
        for holder in self._holders(shard, file, name):
            if (member := self.part(holder).member(path, name)) is not None:
                return holder, member
        return None

    def _holders(self, shard: ShardRecord, file: Row, name: str) -> Iterator[ShardRecord]:
        """The shards that hold pieces of a file; first those that may have a member of this name.

        The others come, too: a repair may have found more members in a piece.
        """
        likely: set[str] = set()
        with suppress(FixityError, FormatError):  # the list is damaged, and its pieces need not be
            likely = {one.shard for one in self._pieces(shard, file) if one.may_hold(name)}
        state = self._archive.state
        yield from (state.shards[one] for one in sorted(likely) if one in state.shards)
        others = (one for one in state.shards_of(file.run_id) if one.shard not in likely)
        yield from holders(others, file.path)

    def _pieces(self, shard: ShardRecord, file: Row) -> list[Piece]:
        """The pieces of a file. Raises as `payloads`, or FormatError."""
        key = (file.blob or shard.blob.name, file.offset)
        kept = self._lists.get(key)
        if kept is None:
            [(_, payload)] = payloads(self._archive.store, shard.blob.name, [file])
            check_payload(file, payload)
            kept = parse_pieces(file.path, payload, file.source_size_bytes)
            with self._guard:
                self._lists[key] = kept
                while sum(map(len, self._lists.values())) > _PIECES_KEPT and len(self._lists) > 1:
                    self._lists.popitem(last=False)
        return kept

    def bare(self, path: str) -> Row | None:
        """The row that counts for the path of a file, without its members. Raises as a call."""
        shard = self._shard_of(path)
        return None if shard is None else self.part(shard).bare_row(path)

    def run_of(self, path: str) -> str | None:
        """The id of the run whose row counts for the path of a file. Raises as a call."""
        shard = self._shard_of(path)
        return None if shard is None else shard.run_id

    def has_members(self, path: str) -> bool:
        """Whether images lie within the file of this path. Raises as a call, or as `payloads`."""
        shard = self._shard_of(path)
        if shard is None:
            return False
        row = self._without_members(shard, path)
        if row is None:
            return True
        return row.route == PIECES and any(
            piece.first_member is not None for piece in self._pieces(shard, row)
        )

    def leaves(self, path: str) -> Iterator[Leaf]:
        """The images within the file of this path, in their order. Raises as `has_members`."""
        shard = self._shard_of(path)
        if shard is None:
            return
        row = self._without_members(shard, path)
        names = [shard.shard]
        if row is not None:
            pieces = self._pieces(shard, row) if row.route == PIECES else []
            names = list(dict.fromkeys(piece.shard for piece in pieces))
        shards = self._archive.state.shards
        for name in names:
            if name not in shards:
                raise BlobMissing(f"{path}: shard {name}, which has pieces of it, is gone")
            yield from self.part(shards[name]).leaves(path)

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

    def _row_without_members(self, shard: ShardRecord, path: str) -> Row | None:
        """As `Part.row_without_members`; who reads one member mostly reads the others, too."""
        return self.part(shard).row_without_members(path)

    def _read_vanished(self, run_id: str) -> frozenset[str]:
        """Paths whose rows of this run and earlier ones do not count."""
        return frozenset(vanished_after(self._archive, run_id))
