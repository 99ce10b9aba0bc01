"""List what an archive holds: `python -m seec.jobs.ls ARCHIVE`."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import at_option, include_option, members_option, store_options
from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.catalogue import current_quarantine, sorted_members, sorted_rows
from seec.pipeline.archive.history import History, Step
from seec.pipeline.archive.patterns import Patterns, Unmatched
from seec.pipeline.standing.sizes import Held, held
from seec.pipeline.storage import Limits, Store
from seec.pipeline.verify.records import opened
from seec.schemas.commit import RunRecord
from seec.schemas.errors import SeecError
from seec.schemas.kinds import DIRECTORY, FILE, KINDS, LINK
from seec.schemas.loss import describe
from seec.schemas.manifest import to_record
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.routes import NOT_OPENED, ROUTES
from seec.schemas.rows import Row

_ROUTE_WIDTH = max(map(len, ROUTES))
_OTHERS = ((LINK, "links"), (DIRECTORY, "directories"))


@dataclass(frozen=True)
class Settings:
    """Which archive, and which of its paths. quarantine: list failed files instead.

    members: list images within files, too. at: as of which commit; None is the last.
    """

    archive: str
    include: tuple[str, ...] = ()
    quarantine: bool = False
    at: int | None = None
    limits: Limits | None = None
    members: bool = False


class Totals:
    """What listed rows add up to.

    routes: how many files took each route, and members if they are listed; members: how many of
    these; kinds: how many other rows each kind has. length: bytes in the archive's blobs; those
    that files share count once; of files whose members are listed, those of the members alone.
    lossy: files with a lossy background.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.source_size_bytes = self.length = self.lossy = self.members = 0
        self._routes: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        for _ in self.counted(rows):
            pass

    def counted(self, rows: Iterable[Row]) -> Iterator[Held]:
        """What each file takes, which is counted on the way. rows: as `held` takes them."""
        for one in held(rows):
            row = one.row
            self.length += one.own_bytes
            self.lossy += row.background_error is not None
            self._routes[row.route] += row.kind == FILE
            if row.start is not None:  # its bytes are among those of its file
                self.members += 1
            else:
                self.source_size_bytes += row.source_size_bytes
                self._kinds[row.kind] += 1
            yield one

    @property
    def routes(self) -> dict[str, int]:
        """In the order of `seec.schemas.manifest`."""
        return {route: self._routes[route] for route in ROUTES if self._routes[route]}

    @property
    def kinds(self) -> dict[str, int]:
        """In the order of `seec.schemas.kinds`."""
        return {kind: self._kinds[kind] for kind in KINDS if self._kinds[kind]}

    def line(self) -> str:
        """For people."""
        share = 100 * self.length / max(1, self.source_size_bytes)
        sizes = f", {self.source_size_bytes:,} -> {self.length:,} bytes ({share:.1f} %)"
        if self.members:  # of what lies between them no row is listed
            sizes = ""
        routes = ", ".join(f"{count} {route}" for route, count in self.routes.items())
        others = "".join(
            f", {self.kinds[kind]} {name}" for kind, name in _OTHERS if kind in self.kinds
        )
        files = f"{self.kinds.get(FILE, 0)} files"
        files += f" and {self.members} members" if self.members else ""
        return f"{files}{routes and f' ({routes})'}{others}{sizes}"


@dataclass(frozen=True)
class Listing:
    """Files by path, with totals, or files in quarantine by run, the latest first.

    found: rows of files, or of files and members, and of pieces behind those of their files. found,
    failed: may be such that they are read while they are listed, once. unread: what the archive
    does not give, and why, once all rows were read. In JSON, background_error is null where nothing
    is lost and 0 where nothing was coded.
    """

    archive: str
    digest: str
    found: Iterable[Row] = ()
    failed: Iterable[QuarantineRow] = ()
    unmatched: Unmatched = field(default_factory=lambda: Unmatched(()))
    unread: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def rows(self) -> list[Row]:
        """The rows that are listed, without those of pieces."""
        return [row for row in self.found if row.piece is None]

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if something cannot be read, else UNMATCHED if a pattern has matched no path.

        Only right once all rows were read.
        """
        if self.unread:
            return ExitCode.DAMAGE
        return ExitCode.UNMATCHED if self.unmatched.left else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """Totals, and a list of files."""
        return {
            name: list(value) if isinstance(value, Iterator) else value
            for name, value in self.members()
        }

    def members(self) -> Iterator[tuple[str, Any]]:
        """The members of `as_dict`, files while they are read."""
        totals = Totals()
        yield "archive", self.archive
        yield "digest", self.digest
        yield "files", map(_row_as_dict, totals.counted(self.found))
        yield "quarantine", (dict(row.__dict__) for row in self.failed)
        yield "source_size_bytes", totals.source_size_bytes
        yield "length", None if totals.members else totals.length
        yield "routes", totals.routes
        yield "kinds", totals.kinds
        yield "members", totals.members
        yield "lossy", totals.lossy
        yield "unmatched", self.unmatched.left
        yield "unread", self.unread

    def lines(self) -> Iterator[str]:
        """For people: route or kind, rate, bytes in the archive, bytes of the source, path.

        A tilde behind the route marks a lossy background, a slash behind the path a directory.
        """
        totals = Totals()
        yield from map(_line, totals.counted(self.found))
        for failure in self.failed:
            yield f"{failure.error}: {failure.path}: {failure.reason}"
        if totals.kinds:
            yield totals.line()
        if totals.lossy:
            differ = "files are not what the source held outside a region of interest"
            yield f"~ {totals.lossy} {differ}"
        for pattern in self.unmatched.left:
            yield f"nothing matches {pattern!r}"
        for what, reason in self.unread.items():
            yield f"not listed: {what}: {reason}"
        if self.unread:
            yield (
                "what is listed in place of these may be older: seec verify "
                f"{shlex.quote(self.archive)} tells what mends them"
            )
        yield f"archive digest {self.digest}"


@dataclass(frozen=True)
class Commits:
    """What each commit changed. oldest: the first whose state is kept."""

    archive: str
    oldest: int
    steps: tuple[Step, ...]
    exit_code: ExitCode = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """One object for each commit."""
        return {
            "archive": self.archive,
            "oldest": self.oldest,
            "commits": [
                {
                    "sequence": step.sequence,
                    "kept": step.sequence >= self.oldest,
                    "runs": [run.run_id for run in step.runs],
                    "source": asdict(step.runs[-1].source) if step.runs else None,
                    "compaction": any(run.compaction for run in step.runs),
                    "shards": [shard.shard for shard in step.shards],
                    "files": sum(shard.files for shard in step.shards),
                    "quarantined": sum(shard.quarantined for shard in step.shards),
                    "removed": step.removed_files(),
                    "left_quarantine": step.removed_files(quarantine_only=True),
                    "dropped": list(step.dropped),
                    "repaired": [shard.shard for shard in step.repaired],
                }
                for step in self.steps
            ],
        }

    def lines(self) -> Iterator[str]:
        """For people: a line for each commit."""
        for step in self.steps:
            kept = "" if step.sequence >= self.oldest else " (given up: --at cannot show it)"
            yield f"{step.sequence:>6}  {', '.join(_changes(step)) or 'nothing'}{kept}"


def _changes(step: Step) -> Iterator[str]:
    for run in step.runs:
        if run.compaction:
            yield f"run {run.run_id} opened: compaction into {run.shards} shards"
        else:
            yield f"run {run.run_id} opened: {run.files} files of {run.source}{_below(run)}"
    if step.shards:
        yield f"{sum(s.files for s in step.shards)} files in {len(step.shards)} shards"
    if failed := sum(shard.quarantined for shard in step.shards):
        yield f"{failed} files in quarantine"
    if removed := step.removed_files():
        yield f"{removed} files removed"
    if cleared := step.removed_files(quarantine_only=True):
        yield f"{cleared} files that vanished left quarantine"
    if step.dropped:
        yield f"{len(step.dropped)} shards replaced by larger ones"
    if step.repaired:
        yield f"{len(step.repaired)} shards repaired"


def _below(run: RunRecord) -> str:
    """Where the files of a source are that has a name."""
    return run.source.name and f", below {run.source.name}"


def run(settings: Settings) -> Listing:
    """As `listing`, with all rows in memory."""
    found = listing(settings)
    return replace(found, found=list(found.found), failed=list(found.failed))


def listing(settings: Settings) -> Listing:
    """List current rows, or rows in quarantine, as of a commit; rows while they are read.

    Without a commit to list as of, the state is that of the sound commits. Raises NotAnArchive,
    UnknownCommit, FormatError or FixityError.
    """
    store = Store(settings.archive, limits=settings.limits)
    archive, damaged = opened(store, settings.at)
    unread = {found.object: found.detail for found in damaged}

    def note(what: str, error: SeecError) -> None:
        unread[what] = str(error)

    url, digest = archive.store.url, archive.digest()
    unmatched = Unmatched(settings.include)
    if settings.quarantine:
        wanted = Patterns(settings.include)
        parts = current_quarantine(archive, note)
        failed = unmatched.seen(row for _, part in parts for row in part if wanted(row.path))
        return Listing(url, digest, failed=failed, unmatched=unmatched, unread=unread)
    if settings.members:
        listed = sorted_members(archive, settings.include, note)
    else:
        listed = sorted_rows(archive, settings.include, note, pieces=True)
    rows = unmatched.seen(listed)
    return Listing(url, digest, rows, unmatched=unmatched, unread=unread)


def run_commits(settings: Settings) -> Commits:
    """List commits. Raises NotAnArchive, FormatError or FixityError."""
    archive = Archive.open(Store(settings.archive, limits=settings.limits))
    history = History(archive)
    steps = tuple(history.steps())
    return Commits(archive.store.url, history.state.oldest, steps)


def _line(held: Held) -> str:
    row = held.row
    rate = "" if row.rate_bpsp is None else f"{row.rate_bpsp:.3f}"
    sizes = f"{held.stored_bytes:>12,} {row.source_size_bytes:>12,}"
    route = row.route if row.kind == FILE else row.kind
    route += "~" * (row.background_error is not None)
    loss = "" if row.background_error is None else f" ({describe(row.background_error)})"
    path = row.path + _mark(row)
    closed = f" ({row.reason})" if (row.reason or "").startswith(NOT_OPENED) else ""
    return f"{route:<{_ROUTE_WIDTH}} {rate:>6} {sizes} {path}{loss}{closed}"


def _row_as_dict(held: Held) -> dict[str, Any]:
    """JSON values: digests in hexadecimal; no envelope. length: of members and pieces, too."""
    row = held.row
    values = {**to_record(row), "length": held.stored_bytes, "rate_bpsp": row.rate_bpsp}
    del values["envelope"]
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in values.items()}


def _mark(row: Row) -> str:
    """What stands behind a path: a slash, or another name of the same file."""
    if row.same_file is not None:
        return f" = {row.same_file}"
    return "/" if row.kind == DIRECTORY and not row.is_marker else ""


@command(
    "ls",
    examples=[
        "seec ls photos.seec-archive",
        "seec ls s3://bucket/archive --include '*.png' --json",
        "seec ls photos.seec-archive --members --include 'train-*.tar/*.jpg'",
        "seec ls photos.seec-archive --commits",
        "seec ls photos.seec-archive --at 12",
    ],
)
@click.argument("archive")
@include_option
@at_option
@members_option
@click.option("--quarantine", is_flag=True, help="List the files in quarantine, with reasons.")
@click.option("--commits", is_flag=True, help="List the commits, with the changes of each.")
@store_options
def main(commits: bool, **options: Any) -> Listing | Commits:
    """List the files of ARCHIVE.

    A line shows the route, bits per sub-pixel, bytes in the archive, bytes of the source, and path.
    ls writes lines, and --json writes files, while ls reads ARCHIVE. If a part of ARCHIVE cannot
    be read, ls lists the others, names that part, and ends with exit code 4.
    """
    settings = Settings(**options)
    if not commits:
        return listing(settings)
    if settings.include or settings.quarantine or settings.members or settings.at is not None:
        raise click.UsageError(
            "--commits goes with none of --include, --members, --quarantine and --at"
        )
    return run_commits(settings)


if __name__ == "__main__":
    main()
