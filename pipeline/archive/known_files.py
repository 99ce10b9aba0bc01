"""Files of earlier runs whose payloads files of a run may share, since their bytes are the same.

A file of a run is a candidate if an archived one has its size. Its bytes are hashed once they are
read; on an equal digest its row names the payload that is there, and nothing is encoded. Shards of
the run itself share nothing, so that the result does not depend on when, or how often, it was
interrupted.
"""

from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.catalogue import had
from seec.schemas.archive import has_suffix
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import FixityError, FormatError
from seec.schemas.kinds import FILE
from seec.schemas.plan import DEDUPE_SHARD, KEEP_FILE, Plan, SourceFile
from seec.schemas.shareable import shareable

_MARK_BYTES = 8


@dataclass(frozen=True)
class KnownFiles:
    """Where rows are that may have the payloads of files, by size and the beginning of the digest.

    16 bytes for each row: they may be as many as the archive has. shards: that have such rows.
    sizes: in bytes, of the files, sorted. marks: beginnings of their digests, sorted; of each, the
    number of the shard of the first such row, and the number of the row in its part.
    """

    shards: list[ShardRecord]
    sizes: NDArray[np.int64]
    marks: NDArray[np.uint64]
    at_shard: NDArray[np.uint32]
    at_row: NDArray[np.uint32]

    def may_have(self, size_bytes: int) -> bool:
        """Whether any row is of a file of this size."""
        at = int(np.searchsorted(self.sizes, size_bytes))
        return at < len(self.sizes) and int(self.sizes[at]) == size_bytes

    def place(self, digest: bytes) -> tuple[ShardRecord, int] | None:
        """The shard and the number of a row that probably is of a file with this digest."""
        mark = _mark(digest)
        at = int(np.searchsorted(self.marks, np.uint64(mark)))
        if at == len(self.marks) or int(self.marks[at]) != mark:
            return None
        return self.shards[int(self.at_shard[at])], int(self.at_row[at])


def known_files(
    archive: Archive, run_id: str, plan: Plan, indices: Iterable[int]
) -> KnownFiles | None:
    """What these shards of a run's plan may share; None if nothing.

    The earliest of several rows with the same bytes counts. Of a shard whose manifest part cannot
    be read, nothing is shared. With KEEP_FILE, all that a file may share gives back every byte.
    Time grows with the rows of the archive, some seconds for a million of them.
    """
    earlier = [one for one in archive.state.in_order() if one.run_id != run_id]
    if plan.settings.dedupe == DEDUPE_SHARD or not earlier:
        return None
    sizes, pieces = _sizes(file for index in indices for file in plan.shard(index))
    exact = _exact_runs(archive) if plan.settings.keep == KEEP_FILE else None
    shards: list[ShardRecord] = []
    found_sizes, marks = array("q"), array("Q")
    at_shard, at_row = array("I"), array("I")
    for shard, part in archive.parts(earlier if sizes else []):
        try:
            rows = list(shareable(shard.manifest.name, had(part), sizes, pieces=pieces))
        except (FixityError, FormatError):
            continue
        if exact is not None and not (shard.run_id in exact and _is_as_written(shard)):
            rows = [row for row in rows if row.exact]
        if rows:
            found_sizes.extend(row.size_bytes for row in rows)
            marks.extend(_mark(row.digest) for row in rows)
            at_shard.extend([len(shards)] * len(rows))
            at_row.extend(row.number for row in rows)
            shards.append(shard)
    if not shards:
        return None
    first, places = np.unique(np.frombuffer(marks, np.uint64), return_index=True)
    return KnownFiles(
        shards,
        np.unique(np.frombuffer(found_sizes, np.int64)),
        first,
        np.frombuffer(at_shard, np.uint32)[places],
        np.frombuffer(at_row, np.uint32)[places],
    )


def _sizes(files: Iterable[SourceFile]) -> tuple[Collection[int], bool]:
    """The sizes of files with content, and whether any of them comes in pieces."""
    sizes: set[int] = set()
    pieces = False
    for file in files:
        if file.kind == FILE and file.size_bytes and file.problem is None:
            sizes.add(file.size_bytes)
            pieces = pieces or file.pieces is not None
    return sizes, pieces


def _exact_runs(archive: Archive) -> set[str]:
    """The runs of which every file comes back byte for byte."""
    return {
        run.run_id
        for run in archive.state.runs.values()
        if not run.compaction and archive.plan(run).settings.keep == KEEP_FILE
    }


def _is_as_written(shard: ShardRecord) -> bool:
    """False if a repair may have made a shard anew, from rows that were written by other rules."""
    return not (has_suffix(shard.blob.name) or has_suffix(shard.manifest.name))


def _mark(digest: bytes) -> int:
    return int.from_bytes(digest[:_MARK_BYTES], "little")
