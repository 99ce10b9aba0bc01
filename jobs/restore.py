"""Write an archive's files back: `python -m seec.jobs.restore ARCHIVE TARGET`."""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, groupby, islice
from typing import Any

import click

from seec.jobs import absence
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import warn
from seec.jobs.options import (
    Duration,
    allow_unfinished_option,
    at_option,
    expect_option,
    include_option,
    members_option,
    ray_options,
    store_options,
)
from seec.jobs.places import check_apart
from seec.jobs.progress import progress
from seec.pipeline.archive.archive import REOPENINGS, Archive
from seec.pipeline.archive.catalogue import current_rows, sorted_members
from seec.pipeline.archive.completeness import Absent, absent
from seec.pipeline.archive.patterns import Unmatched
from seec.pipeline.archive.pieces import holders
from seec.pipeline.archive.thawing import Cold, cold_blobs, request_thaw, unreadable_now, wait_for
from seec.pipeline.stages.execution import execution, is_small
from seec.pipeline.stages.restoring import FAILED, KEPT, RESTORED, SKIPPED, Restoration, Restored
from seec.pipeline.storage import Limits, Store, Target
from seec.pipeline.verify.records import opened
from seec.schemas.archive import ARCHIVE_JSON, COMMITS
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import BlobMissing, Lost, ObjectMissing, SeecError, TargetError
from seec.schemas.kinds import DIRECTORY, FILE, KINDS, LINK
from seec.schemas.loss import SKIP, describe
from seec.schemas.report import Finding
from seec.schemas.routes import PIECES, SPANS
from seec.schemas.rows import Row

_SHOWN = 20
_VANISHED = (BlobMissing.__name__, ObjectMissing.__name__)


@dataclass(frozen=True)
class Settings:
    """What to restore and where to.

    include: shell patterns over paths; none means all. at: as of which commit; None is the last.
    expect: what the archive digest begins with. members: images within files in place of these.
    thaw: ask for blobs in cold storage, for so many
    days and in such a tier, look for them every so many seconds, and wait at most so long.
    """

    archive: str
    target: str
    include: tuple[str, ...] = ()
    overwrite: bool = False
    at: int | None = None
    expect: str | None = None
    allow_unfinished: bool = False
    thaw: bool = False
    thaw_days: int = 7
    thaw_tier: str = "Standard"
    thaw_every_s: float = 300.0
    max_wait_s: float | None = None
    ray_address: str | None = None
    cpus: int | None = None
    limits: Limits | None = None
    members: bool = False


@dataclass(frozen=True)
class RestoreSummary:
    """What became of the files. kept: were there already and stayed as they are.

    absent: files that the archive should hold and does not, with those in `lost`; allow_unfinished:
    whether that is well.

    restored: files; links and directories by their own numbers. skipped: links and directories that
    the target has no place for. written_as: keys of objects that no file system has, with the paths
    that the target has instead. lossy: files that came back with a lossy background. unmatched:
    patterns that no path matches.
    """

    target: str
    restored: int
    links: int
    directories: int
    kept: int
    skipped: int
    size_bytes: int
    seconds: float
    failed: list[Restored] = field(default_factory=list)
    lossy: list[Restored] = field(default_factory=list)
    archive: str = ""
    lost: list[Restored] = field(default_factory=list)
    absent: Absent = field(default_factory=Absent)
    allow_unfinished: bool = False
    written_as: dict[str, str] = field(default_factory=dict[str, str])
    unmatched: list[str] = field(default_factory=list[str])
    frozen: list[Cold] = field(default_factory=list[Cold])
    thaw_requested: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """FROZEN if nothing was restored, since blobs are in cold storage.

        Else DAMAGE if the archive does not give a file, else REFUSED if the target takes none.

        INCOMPLETE if all came, and some files of the source are not in the archive; else UNMATCHED
        if a pattern matches nothing.
        """
        if self.frozen:
            return ExitCode.FROZEN
        if len(self.failed) > self.refused:
            return ExitCode.DAMAGE
        if self.failed:
            return ExitCode.REFUSED
        if self.absent and not self.allow_unfinished:
            return ExitCode.INCOMPLETE
        return ExitCode.UNMATCHED if self.unmatched else ExitCode.OK

    @property
    def refused(self) -> int:
        """How many failed because of the target."""
        return sum(item.error == TargetError.__name__ for item in self.failed)

    def as_dict(self) -> dict[str, Any]:
        """All figures by name; failures and lossy files as lists."""
        return {
            **self.__dict__,
            "refused": self.refused,
            "absent": asdict(self.absent),
            "frozen": [asdict(item) for item in self.frozen],
            "failed": [asdict(item) for item in self.failed],
            "lost": [item.path for item in self.lost],
            "lossy": [
                {"path": item.path, "background_error": item.background_error}
                for item in self.lossy
            ],
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.frozen:
            yield from self._frozen_lines()
            return
        yield from _shown("not restored", self.failed)
        yield from _shown("lost", self.lost)
        yield f"{self.restored} files, {self.size_bytes:,} bytes, in {self.seconds:.0f} s"
        if self.links or self.directories:
            yield f"and {self.links} symbolic links, {self.directories} directories"
        yield from self._renamed()
        if self.skipped:
            yield f"{self.skipped} symbolic links and directories left out"
        if self.lossy:
            yield f"{len(self.lossy)} have a lossy background, as archived; seec ls marks them"
        if self.kept:
            yield f"{self.kept} were there already and stay; --overwrite replaces them"
        for pattern in self.unmatched:
            yield f"nothing matches {pattern!r}: seec ls lists the paths"
        if damaged := len(self.failed) - self.refused:
            yield f"{damaged} failed; seec verify tells what is damaged"
        if self.refused:
            yield (
                f"{self.refused} refused by the target, not by the archive: restore them somewhere "
                "else, with --include"
            )
        yield from absence.lines(self.absent, self.archive)

    def _frozen_lines(self) -> Iterator[str]:
        for one in self.frozen[:_SHOWN]:
            yield f"{one.state}: {one.name}, {one.size_bytes:,} bytes"
        if len(self.frozen) > _SHOWN:
            yield f"... and {len(self.frozen) - _SHOWN} more; --json has all of them"
        size_bytes = sum(one.size_bytes for one in self.frozen)
        count = f"{len(self.frozen)} objects, {size_bytes:,} bytes"
        if self.thaw_requested:
            yield f"{count}, were asked for and are not thawed yet; run the same command again"
        else:
            yield (
                f"nothing restored: {count}, are in cold storage: the same command with --thaw "
                "asks for them, waits, and restores"
            )

    def _renamed(self) -> Iterator[str]:
        for key, path in islice(self.written_as.items(), _SHOWN):
            yield f"written as {path!r}: {key!r}, which no file system has"
        if len(self.written_as) > _SHOWN:
            yield f"... and {len(self.written_as) - _SHOWN} more; --json has all of them"


def _shown(what: str, items: Sequence[Restored]) -> Iterator[str]:
    """The first of what did not come, and how many more there are."""
    yield from (f"{what}: {item.path!r}: {item.reason}" for item in items[:_SHOWN])
    if len(items) > _SHOWN:
        yield f"... and {len(items) - _SHOWN} more"


def run(settings: Settings) -> RestoreSummary:
    """Restore every current row that matches; report what fails and go on.

    Where commits are damaged, restores the state that the others make, and says so. Raises
    NotAnArchive, FormatError or FixityError if the archive cannot be opened even so, or is not the
    expected one.
    """
    start = time.monotonic()
    store = Store(settings.archive, limits=settings.limits)
    target = Target(settings.target, settings.limits)
    check_apart("the target", target.store, "the archive", store)
    archive, damaged = opened(store, settings.at)
    if settings.expect is not None:
        archive.expect(settings.expect)
    frozen = _thawed(store, archive, settings)
    if frozen:
        nothing = RestoreSummary(target.url, 0, 0, 0, 0, 0, 0, 0.0)
        return replace(nothing, frozen=frozen, thaw_requested=settings.thaw)
    restorer = _Restorer(settings, target, _unknown(store, damaged))
    archive = restorer.restore(archive)
    restorer.warn_of_losses()
    return restorer.summary(archive, start)


class _Restorer:
    """Restores the current files of an archive, and keeps what became of each."""

    def __init__(self, settings: Settings, target: Target, failed: list[Restored]) -> None:
        self._settings = settings
        self._target = target
        self._failed = failed
        self._lost: list[Restored] = []
        self._lossy: list[Restored] = []
        self._unread: set[str] = set()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._size_bytes = 0
        self._lacks = False
        self._written_as: dict[str, str] = {}
        self._unmatched = Unmatched(settings.include)

    def restore(self, archive: Archive) -> Archive:
        """Restore an archive; gives the state of it that the last files came from.

        Where objects have vanished under the restorer, a writer may have replaced them: then what
        failed for that is restored from the newer state.
        """
        total = None if self._settings.include else sum(s.files for s in archive.state.in_order())
        self._write(archive, self._current_rows(archive), total)
        for _ in range(REOPENINGS):
            vanished = [item for item in self._failed if item.error in _VANISHED]
            newer = archive.moved_on() if vanished else None
            if newer is None:
                break
            self._failed = [item for item in self._failed if item not in vanished]
            rows = self._current_rows(newer)
            whole = archive if any(item.path in self._unread for item in vanished) else newer
            paths = {item.path for item in vanished}
            paths |= {key for key, path in self._written_as.items() if path in paths}
            archive = newer
            self._write(archive, _again(rows, paths, whole), None)
        return archive

    def warn_of_losses(self) -> None:
        """Say what the target does not keep, and which lossy files do not say that they are."""
        if self._lacks:
            warn(
                f"{self._target.url}: the file system does not keep all permissions and times"
                if self._target.is_local
                else f"{self._target.url}: an object store keeps no permissions, times, links or "
                "directories"
            )
        silent = [item for item in self._lossy if not item.noted]
        for item in silent[:_SHOWN]:
            loss = describe(item.background_error or SKIP)
            warn(f"{item.path!r}: {loss}; the file does not say so")
        if len(silent) > _SHOWN:
            warn(f"... and {len(silent) - _SHOWN} more")

    def summary(self, archive: Archive, start: float) -> RestoreSummary:
        """What became of all files; start: of the command, on the monotonic clock, in seconds."""
        counts = self._counts
        return RestoreSummary(
            target=self._target.url,
            restored=counts[RESTORED, FILE],
            links=counts[RESTORED, LINK],
            directories=counts[RESTORED, DIRECTORY],
            kept=sum(counts[KEPT, kind] for kind in KINDS),
            skipped=sum(counts[SKIPPED, kind] for kind in KINDS),
            size_bytes=self._size_bytes,
            seconds=round(time.monotonic() - start, 3),
            failed=self._failed,
            lossy=self._lossy,
            archive=archive.store.url,
            lost=self._lost,
            absent=absent(archive, self._settings.include, lost=len(self._lost)),
            allow_unfinished=self._settings.allow_unfinished,
            written_as=self._written_as,
            unmatched=self._unmatched.left,
        )

    def _current_rows(self, archive: Archive) -> Iterator[tuple[ShardRecord, list[Row]]]:
        include = self._settings.include
        if not self._settings.members:
            return current_rows(archive, include, self._note_unread)
        found = sorted_members(archive, include, self._note_unread)
        rows = (row for row in found if row.route not in (SPANS, PIECES))
        shards = archive.state.shards
        return ((shards[name], list(part)) for name, part in groupby(rows, lambda row: row.shard))

    def _note_unread(self, what: str, error: SeecError) -> None:
        self._failed.append(Restored(what, FAILED, 0, type(error).__name__, str(error)))
        self._unread.add(what)

    def _write(
        self, archive: Archive, shards: Iterator[tuple[ShardRecord, list[Row]]], total: int | None
    ) -> None:
        """Write these rows; total: how many there are, None if that is not known."""
        settings, unmatched = self._settings, self._unmatched
        seen = ((shard, list(unmatched.seen(rows))) for shard, rows in shards)
        rows, small = _looked_ahead(seen)
        with (
            progress("restore", total, "files") as shown,
            execution(settings.ray_address, settings.cpus, small=small) as executor,
        ):
            restoration = Restoration(
                archive.store,
                self._target,
                settings.overwrite,
                executor,
                archive.state.shards.values(),
            )
            for group in restoration.run(rows):
                self._count(group)
                shown.advance(len(group))
        self._lacks = self._lacks or restoration.lacks
        self._written_as.update(restoration.written_as)

    def _count(self, group: Sequence[Restored]) -> None:
        self._counts.update((item.outcome, item.kind) for item in group)
        self._size_bytes += sum(item.size_bytes for item in group)
        for item in group:
            if item.outcome == FAILED:
                (self._lost if item.error == Lost.__name__ else self._failed).append(item)
        self._lossy.extend(item for item in group if item.background_error is not None)


def _thawed(store: Store, archive: Archive, settings: Settings) -> list[Cold]:
    """The blobs in cold storage that the rows to restore need and that cannot be read.

    With --thaw: asks for them, and waits. Reads manifest parts only if any blob is in cold storage.
    """
    cold = cold_blobs(store, archive.state.shards.values())
    if not cold:
        return []
    rows = current_rows(archive, settings.include, lambda *_: None)
    if settings.members:
        rows = current_rows(archive, on_damage=lambda *_: None)
    needed: set[str] = set()
    for shard, part in rows:
        needed.update(row.blob or shard.blob.name for row in part if row.tree_length)
        for row in part:
            if row.route == PIECES:
                shards = holders(archive.state.shards.values(), row.path)
                needed.update(blob.name for one in shards for blob in (one.blob, *one.referenced))
    left = unreadable_now(store, {name: cold[name] for name in sorted(needed & cold.keys())})
    if not left or not settings.thaw:
        return left
    request_thaw(store, left, settings.thaw_days, settings.thaw_tier)
    end_s = math.inf if settings.max_wait_s is None else time.monotonic() + settings.max_wait_s
    with progress("thaw", len(left), "objects") as shown:
        return wait_for(store, left, settings.thaw_every_s, end_s, shown.advance)


def _unknown(store: Store, damaged: list[Finding]) -> list[Restored]:
    """Warn of damaged commits; an entry for each: nobody can tell what files it stands for."""
    if damaged:
        warn(
            f"{store.url}: not the whole archive: {len(damaged)} records of {COMMITS}/ or of "
            f"{ARCHIVE_JSON} are damaged. Files may be missing, older than they should be, or have "
            f"been removed. To mend the archive: {damaged[0].next_command}"
        )
    return [Restored(f"what {one.object} says", FAILED, 0, one.kind, one.detail) for one in damaged]


def _again(
    rows: Iterator[tuple[ShardRecord, list[Row]]], paths: set[str], old: Archive
) -> Iterator[tuple[ShardRecord, list[Row]]]:
    """The rows of these paths, and those of shards that an older state of the archive lacks."""
    for shard, part in rows:
        new = old.state.shards.get(shard.shard) != shard
        yield shard, [row for row in part if new or row.path in paths]


def _size_bytes(row: Row) -> int:
    return row.source_size_bytes if row.route == PIECES else row.tree_length


def _looked_ahead(
    shards: Iterator[tuple[ShardRecord, list[Row]]],
) -> tuple[Iterator[tuple[ShardRecord, list[Row]]], bool]:
    """The same, and whether it is little work; reads no further than that takes."""
    seen: list[tuple[ShardRecord, list[Row]]] = []
    files = size_bytes = 0
    for shard, rows in shards:
        seen.append((shard, rows))
        files += len(rows)
        size_bytes += sum(_size_bytes(row) for row in rows)
        if not is_small(files, size_bytes):
            return chain(seen, shards), False
    return iter(seen), True


@command(
    "restore",
    examples=[
        "seec restore photos.seec-archive restored/",
        "seec restore s3://bucket/archive out/ --include '2024/*.png'",
        "seec restore photos.seec-archive out/ --members --include 'train.tar/*.jpg'",
        "seec restore photos.seec-archive as-it-was/ --at 12",
    ],
)
@click.argument("archive")
@click.argument("target")
@include_option
@members_option
@at_option
@expect_option
@allow_unfinished_option
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace existing files. Without this option, restore keeps them.",
)
@click.option(
    "--thaw",
    is_flag=True,
    help="Ask S3 for blobs that are in cold storage (Glacier), wait for them, then restore. "
    "Without this option, restore lists them, and ends with exit code 7.",
)
@click.option(
    "--thaw-days",
    type=click.IntRange(min=1),
    default=7,
    help="With --thaw: number of days for which S3 keeps a thawed copy.",
)
@click.option(
    "--thaw-tier",
    type=click.Choice(["Bulk", "Standard", "Expedited"]),
    default="Standard",
    help="With --thaw: how fast, and at which price.",
)
@click.option(
    "--thaw-every",
    "thaw_every_s",
    type=Duration(),
    default="5m",
    help="With --thaw: time between two looks.",
)
@click.option(
    "--max-wait",
    "max_wait_s",
    type=Duration(),
    help="With --thaw: wait no longer than this time, and end with exit code 7. 0 only asks. "
    "[default: as long as it takes]",
)
@ray_options
@store_options
def main(**options: Any) -> RestoreSummary:
    """Write the files of ARCHIVE below TARGET, which is a folder or a URL.

    Images get the same pixels and metadata as their sources; all other files get the same bytes.
    With --members, images within files are written below folders that are named like these files.
    restore checks each file against its digest before it writes the file.

    If a commit of ARCHIVE cannot be read, restore writes what the other commits tell of, warns that
    this is not the whole archive, and ends with exit code 4.

    If ARCHIVE does not hold all files that it should, restore says why, and ends with exit code 3.

    In a folder, restore also creates links and directories, and sets permissions and times,
    including those of directories that exist. Object stores have none of these. restore writes
    nothing outside TARGET, and follows no link inside TARGET.

    Keys of objects that no file system has, such as a//b, get other names in a folder, and restore
    lists them. An object store gets the keys as they were.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
