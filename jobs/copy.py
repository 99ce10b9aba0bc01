"""Keep a second copy of an archive: `python -m seec.jobs.copy ARCHIVE TARGET`."""

import math
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import inform, warn
from seec.jobs.options import Duration, store_options
from seec.jobs.places import check_apart
from seec.jobs.progress import progress
from seec.pipeline.archive.archive import Archive, read_header
from seec.pipeline.archive.copying import Copied, Copy
from seec.pipeline.archive.lease import writer
from seec.pipeline.archive.protection import keep_spares
from seec.pipeline.storage import Limits, Store
from seec.schemas.errors import TransientStorageError
from seec.schemas.report import Finding

_SHOWN = 20
_NOT_COPIED = "not-copied"


@dataclass(frozen=True)
class Settings:
    """What to copy, and where to.

    follow: go on, and look every so many seconds for what was committed since. max_duration_s: look
    no more after that time; None is never.
    """

    archive: str
    target: str
    follow: bool = False
    every_s: float = 60.0
    max_duration_s: float | None = None
    limits: Limits | None = None


@dataclass(frozen=True)
class CopySummary:
    """What was copied; digest: of the copy. missed: why an object could not be, by its name."""

    archive: str
    target: str
    digest: str
    commits: int
    objects: int
    size_bytes: int
    seconds: float
    missed: dict[str, str]

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if the archive does not give an object that counts."""
        return ExitCode.DAMAGE if self.missed else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name; what is missed, as findings like those of a verification."""
        figures = {name: value for name, value in self.__dict__.items() if name != "missed"}
        return {**figures, "findings": [asdict(finding) for finding in self.findings]}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of each object that is missed, what to do about it."""
        command = f"seec repair {shlex.quote(self.archive)}"
        return tuple(
            Finding(_NOT_COPIED, name, reason, command) for name, reason in self.missed.items()
        )

    def lines(self) -> Iterator[str]:
        """For people."""
        for name, reason in list(self.missed.items())[:_SHOWN]:
            yield f"not copied: {name}: {reason}"
        if len(self.missed) > _SHOWN:
            yield f"... and {len(self.missed) - _SHOWN} more"
        if self.missed:
            yield (
                f"{len(self.missed)} objects are damaged and not in the copy: seec repair "
                f"{shlex.quote(self.archive)}, then copy again"
            )
        if self.commits or self.objects:
            yield (
                f"{self.commits} commits and {self.objects} objects copied: {self.size_bytes:,} "
                f"bytes, in {self.seconds:.0f} s"
            )
        else:
            yield "nothing to copy: the copy is up to date"
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> CopySummary:
    """Bring the copy up to date, once or until the time is over.

    Raises NotAnArchive, StorageError, ArchiveLocked if somebody else writes to the copy, and
    FormatError or FixityError if records of the archive are damaged, or the target is no copy.
    """
    start = time.monotonic()
    source = Store(settings.archive, limits=settings.limits)
    target = Store(settings.target, limits=settings.limits)
    check_apart("the archive", source, "its copy", target)
    target.check_writable()
    read_header(source)
    if source.is_local:
        target.make_root(Path(source.root).stat().st_mode)
    end = start + (math.inf if settings.max_duration_s is None else settings.max_duration_s)
    total, missed = Copied(), dict[str, str]()
    with writer(target) as lease:
        copy = Copy(source, target, lease)
        while True:
            missed = _once(copy, target, settings.follow, missed, total)
            left_s = end - time.monotonic()
            if not settings.follow or left_s <= 0:
                break
            time.sleep(min(settings.every_s, left_s))
    return CopySummary(
        archive=source.url,
        target=target.url,
        digest=copy.digest,
        commits=total.commits,
        objects=total.objects,
        size_bytes=total.size_bytes,
        seconds=round(time.monotonic() - start, 3),
        missed=missed,
    )


def _once(
    copy: Copy, target: Store, follow: bool, missed: dict[str, str], total: Copied
) -> dict[str, str]:
    """Copy what is new, and add it up; what is missed by now.

    With follow: warn of what is missed, and of a store that does not answer, and go on.
    """
    done = Copied(missed=missed)
    with progress("copy", None, "bytes") as shown:
        try:
            done = copy.go_on(lambda size_bytes: shown.update(0, size_bytes), shown.advance)
            keep_spares(Archive.open(target))
        except TransientStorageError as error:
            if not follow:
                raise
            warn(str(error))
    total.commits += done.commits
    total.objects += done.objects
    total.size_bytes += done.size_bytes
    if follow:
        for name in done.missed.keys() - missed.keys():
            warn(f"not copied: {name}: {done.missed[name]}")
        if done.commits:
            inform(f"{done.commits} commits copied; archive digest {copy.digest}")
    return done.missed


@command(
    "copy",
    examples=[
        "seec copy photos.seec-archive /mnt/second/photos.seec-archive",
        "seec copy photos.seec-archive s3://bucket/second-copy --bandwidth 20MB/s",
        "seec copy s3://bucket/archive /mnt/second/archive --follow --every 10m",
    ],
)
@click.argument("archive")
@click.argument("target")
@click.option(
    "--follow",
    is_flag=True,
    help="Go on, and copy what is committed from now on. A store that does not answer for a while "
    "is a warning.",
)
@click.option(
    "--every",
    "every_s",
    type=Duration(),
    default="60s",
    help="With --follow: time between two looks for new commits.",
)
@click.option(
    "--max-duration",
    "max_duration_s",
    type=Duration(),
    help="With --follow: end after this time, such as 8h. [default: never]",
)
@store_options
def main(**options: Any) -> CopySummary:
    """Make TARGET a copy of ARCHIVE, or bring the copy up to date.

    copy compares each object with its digest before it writes the object, and writes each commit
    after all that the commit names. So the copy is a whole archive at any moment, and has the same
    archive digest in the end. You can run copy beside readers, writers and gc. After an
    interruption, run the command again.

    Use no other command that writes to TARGET, except seec verify, seec repair --from ARCHIVE, and
    seec gc --delete without options that give up states: TARGET follows what ARCHIVE gives up.

    If an object of ARCHIVE is damaged, copy leaves it out, copies all others, and ends with exit
    code 4.
    """
    if not options["follow"] and options["max_duration_s"] is not None:
        raise click.UsageError("--max-duration belongs to --follow")
    return run(Settings(**options))


if __name__ == "__main__":
    main()
