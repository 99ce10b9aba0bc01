"""Remove what interrupted runs left in an archive: `python -m seec.jobs.gc ARCHIVE --delete`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from seec.jobs.interface import ExitCode, command, progress
from seec.jobs.options import SECONDS, Duration, Moment, store_options
from seec.pipeline.archive import Archive
from seec.pipeline.archive.gc import Leftover, oldest_kept, remove, survey
from seec.pipeline.storage import Limits, Store
from seec.schemas.commit import FIRST

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
            age, name = _age(item.age_s), _printable(item.name)
            yield f"{item.kind:<10} {item.size_bytes:>14,} {age:>6} {name}"
        if self.young:
            yield f"{_sum(self.young)} stay for now: too young, see --older-than"
        if self.unfinished:
            yield (
                f"{_sum(self.unfinished)} stay for run {self.unfinished_run}, which is not "
                "finished: run seec archive again, or give it up with --new-plan"
            )
        if self.strangers:
            first = _printable(self.strangers[0])
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
    return oldest


def _size_bytes(items: tuple[Leftover, ...]) -> int:
    return sum(item.size_bytes for item in items)


def _sum(items: tuple[Leftover, ...]) -> str:
    return f"{len(items)} objects ({_size_bytes(items):,} bytes)"


def _printable(name: str) -> str:
    """A name on one line whatever it holds."""
    return name if name.isprintable() else repr(name)


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
@click.option("--delete", is_flag=True, help="Remove; without it, only list what would go.")
@click.option(
    "--older-than",
    "older_than_s",
    type=Duration(),
    default="24h",
    help="What is younger stays: a number and s, m, h or d. 0 only while nothing is writing.",
)
@click.option(
    "--keep-commits",
    type=click.IntRange(min=1),
    help="Give up what was there after all but so many commits: --at does not show it any more. "
    "[default: keep all]",
)
@click.option(
    "--before",
    "before_s",
    type=Moment(),
    help="Give up what was there after commits before this day or time, in UTC and by the store's "
    "clock; the last commit stays. With --keep-commits, too, those stay that either keeps.",
)
@click.option("--reports", is_flag=True, help="Remove old reports, too.")
@store_options
def main(**options: Any) -> GcSummary:
    """Remove what no commit of ARCHIVE names: leftovers of runs that were killed or given up.

    In a bucket these are also uploads of large objects that were begun and not completed, which no
    listing of objects shows.

    Safe beside readers and a running seec archive. What an unfinished run has written stays,
    since running it again goes on from there. If a commit is damaged, nothing is removed.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
