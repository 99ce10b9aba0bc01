"""What an archive does not hold: as it says itself, and as a look at the source says."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.catalogue import current_quarantine, current_rows
from seec.pipeline.archive.patterns import Patterns
from seec.pipeline.archive.planning import Seen
from seec.pipeline.archive.runs import missing_shards
from seec.schemas.errors import FixityError, FormatError
from seec.schemas.kinds import DIRECTORY
from seec.schemas.plan import SourceFile


@dataclass(frozen=True)
class Absent:
    """How many files an archive should hold and does not.

    unfinished: of `unfinished_run`, which is None if no run is to be finished. quarantined: could
    not be archived. lost: were damaged, and a repair found them nowhere.
    """

    unfinished_run: str | None = None
    unfinished: int = 0
    quarantined: int = 0
    lost: int = 0

    def __bool__(self) -> bool:
        return self != Absent()


def absent(archive: Archive, include: Sequence[str] = (), *, lost: int) -> Absent:
    """The absent files of the state of an archive.

    include: shell patterns, of which a path must match one; none means all. lost: how many are.
    """
    wanted, state = Patterns(include), archive.state
    run, unfinished = state.open_run, 0
    if run is not None and run.compaction:
        run = None  # its rows are in the shards that it has not replaced yet
    if run is not None and wanted.all:
        unfinished = run.files - sum(s.files + s.quarantined for s in state.shards_of(run.run_id))
    elif run is not None:
        plan, missing = archive.plan(run), missing_shards(archive, run)
        unfinished = sum(wanted(file.path) for index in missing for file in plan.shard(index))
        run = run if unfinished else None
    return Absent(run and run.run_id, unfinished, _quarantined(archive, wanted), lost)


def _quarantined(archive: Archive, wanted: Patterns) -> int:
    try:
        return sum(wanted(row.path) for _, rows in current_quarantine(archive) for row in rows)
    except (FixityError, FormatError):
        # Which ones were tried again is in damaged parts: at most so many are.
        return sum(shard.quarantined for shard in archive.state.shards.values())


def lost_files(archive: Archive) -> int:
    """How many of the rows that count are lost; those in damaged manifest parts are unknown."""
    found = current_rows(archive, on_damage=lambda _, __: None)
    return sum(row.lost for _, rows in found for row in rows)


def not_held(
    listing: Iterable[SourceFile],
    seen: Mapping[str, Seen],
    failed: Mapping[str, Seen],
    name: str | None,
    same_content: Container[str] | None,
) -> dict[str, str]:
    """Why the archive does not hold what a source has, by path, for each path of which that is so.

    seen, failed: what the archive holds, and has in quarantine. name: of the source in the archive;
    None if the archive has it from nowhere, or from elsewhere. same_content: paths of which the
    bytes were found to be the same; None to trust size and time of files from this very source.
    """
    found = (
        (file.path, _why_not(file, seen.get(file.path), failed, name, same_content))
        for file in listing
    )
    return {path: reason for path, reason in found if reason is not None}


def _why_not(
    file: SourceFile,
    known: Seen | None,
    failed: Mapping[str, Seen],
    name: str | None,
    same_content: Container[str] | None,
) -> str | None:
    if file.problem is not None:
        return file.problem
    if same_content is not None and file.path in same_content:
        return None
    if file.path in failed:
        return f"in quarantine, {failed[file.path].error}"
    if known is None or known.kind != file.kind:
        return "not archived"
    if known.lost:
        return "lost"
    if file.kind == DIRECTORY:
        return None
    if same_content is not None:
        return "has other content than the archive"
    if known.source != name:
        return "archived from another place, so size and time prove nothing"
    if known[:2] != (file.size_bytes, file.mtime_ns):
        return "changed since it was archived"
    return None
