"""Remove what interrupted runs left in an archive: `python -m seec.jobs.gc ARCHIVE --delete`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import Duration, Moment, store_options
from seec.jobs.progress import progress
from seec.pipeline.archive import Archive
from seec.pipeline.archive.gc import Leftover, oldest_kept, remove, survey
from seec.pipeline.archive.protection import keep_spares
from seec.pipeline.storage import Limits, Store
from seec.schemas.commit import FIRST
from seec.schemas.quantities import SECONDS

DAY_S = float(SECONDS["d"])


@dataclass(frozen=True)
class Settings:
    """Which archive, and what may go.

    older_than_s: younger objects stay; reports: go as well. keep_commits: give up the states of all
    commits but so many. before_s: of those before a time, in seconds since 1970. None of both keeps
    all; both keep what either keeps.
    """

    archive: str
    delete: bool = False
    older_than_s: float = DAY_S
    reports: bool = False
    keep_commits: int | None = None
    before_s: float | None = None
    limits: Limits | None = None


@dataclass(frozen=True)
class GcSummary:
    """What was removed, or would be; and what stays although no commit names it.

    unfinished: objects of unfinished_run. strangers: names that are not an archive's. unlisted: why
    the store does not tell of unfinished uploads, None if it does.
    """

    archive: str
    deleted: bool
    garbage: tuple[Leftover, ...]
    young: tuple[Leftover, ...]
    unfinished: tuple[Leftover, ...]
    unfinished_run: str | None
    strangers: tuple[str, ...]
    unlisted: str | None = None
    exit_code: ExitCode = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """Sums, and all objects by name."""
        return {
            "archive": self.archive,
            "deleted": self.deleted,
            "objects": len(self.garbage),
            "size_bytes": _size_bytes(self.garbage),
            "garbage": [asdict(item) for item in self.garbage],
            "young": [asdict(item) for item in self.young],
            "unfinished_run": self.unfinished_run,
            "unfinished": [asdict(item) for item in self.unfinished],
            "strangers": list(self.strangers),
            "unlisted": self.unlisted,
        }

    def lines(self) -> Iterator[str]:
        """For people: kind, bytes, age and name of each object, then sums."""
        for item in self.garbage:
            age, name = _age(item.age_s), item.name
            yield f"{item.kind:<10} {item.size_bytes:>14,} {age:>6} {name}"
        if self.young:
            yield f"{_sum(self.young)} stay for now: too young, see --older-than"
        if self.unfinished:
            yield (
                f"{_sum(self.unfinished)} stay for run {self.unfinished_run}, which is not "
                "finished: run seec archive again, or give it up with --new-plan"
            )
        if self.strangers:
            first = self.strangers[0]
            yield f"{len(self.strangers)} objects stay that are not an archive's: {first} ..."
        if self.unlisted:
            yield f"unfinished uploads may be there: {self.unlisted}"
        if not self.garbage:
            yield "nothing to remove"
        elif self.deleted:
            yield f"removed {_sum(self.garbage)}"
        else:
            yield f"{_sum(self.garbage)} may be removed: the same command with --delete does it"


def run(settings: Settings) -> GcSummary:
    """Find what no commit names, and remove it if asked.

    Raises NotAnArchive; FormatError or FixityError, with nothing removed, if a commit is damaged
    or missing; StorageError if the store does not let an object go.
    """
    store = Store(settings.archive, limits=settings.limits)
    oldest = _give_up(store, settings)
    found = survey(store, settings.older_than_s, settings.reports, oldest)
    garbage = found.garbage
    if settings.delete and garbage:
        with progress("gc", len(garbage), "objects") as shown:
            garbage = remove(store, garbage, shown.advance)
    return GcSummary(
        archive=store.url,
        deleted=settings.delete,
        garbage=tuple(garbage),
        young=tuple(found.young),
        unfinished=tuple(found.unfinished),
        unfinished_run=found.unfinished_run,
        strangers=tuple(found.strangers),
        unlisted=found.unlisted,
    )


def _give_up(store: Store, settings: Settings) -> int:
    """The oldest commit whose state is to be kept; commits that if objects are to go."""
    if settings.keep_commits is None and settings.before_s is None:
        return FIRST
    oldest = oldest_kept(Archive.open(store), settings.keep_commits, settings.before_s)
    if settings.delete:
        with Archive.writing(store) as archive:
            archive.commit(oldest=oldest)
            keep_spares(archive)
    return oldest


def _size_bytes(items: tuple[Leftover, ...]) -> int:
    return sum(item.size_bytes for item in items)


def _sum(items: tuple[Leftover, ...]) -> str:
    return f"{len(items)} objects ({_size_bytes(items):,} bytes)"


def _age(age_s: float | None) -> str:
    """Rounded down, in the largest unit of which there is one."""
    if age_s is None:
        return "?"
    for unit, seconds in SECONDS.items():
        if age_s >= seconds:
            return f"{age_s // seconds:.0f} {unit}"
    return "0 s"


@command(
    "gc",
    examples=[
        "seec gc photos.seec-archive",
        "seec gc photos.seec-archive --delete",
        "seec gc photos.seec-archive --keep-commits 100 --delete",
        "seec gc photos.seec-archive --before 2026-01-31 --delete",
        "seec gc s3://bucket/archive --older-than 7d --delete",
    ],
)
@click.argument("archive")
@click.option(
    "--delete", is_flag=True, help="Delete the objects. Without this option, only list them."
)
@click.option(
    "--older-than",
    "older_than_s",
    type=Duration(),
    default="24h",
    help="Keep objects that were written, or dropped by a commit, less than this time ago, such as "
    "36h or 7d. Use 0 only while nothing reads or writes.",
)
@click.option(
    "--keep-commits",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep only the states of the last N commits. Older states can no longer be listed or "
    "restored with --at. [default: keep all]",
)
@click.option(
    "--before",
    "before_s",
    type=Moment(),
    help="Drop the states of commits before this day or time, in UTC and by the store's clock. "
    "The last state always stays. With --keep-commits, a state stays if either option keeps it.",
)
@click.option("--reports", is_flag=True, help="Also delete old reports.")
@store_options
def main(**options: Any) -> GcSummary:
    """Delete objects of ARCHIVE that no commit names, which killed runs leave behind.

    In a bucket, this includes incomplete uploads, which listings of objects do not show.

    You can run gc beside readers and beside a running seec archive. Objects of an unfinished run
    stay, because the next seec archive continues that run. If a commit is damaged, gc deletes
    nothing.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
