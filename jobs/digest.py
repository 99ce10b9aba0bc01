"""Print the archive digest: `python -m seec.jobs.digest ARCHIVE`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import access_option
from seec.jobs.summary import figures
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from seec.schemas.errors import UnknownCommit


@dataclass(frozen=True)
class Settings:
    """Of which archive, and after which commit; None is the last one."""

    archive: str
    at: int | None = None


@dataclass(frozen=True)
class DigestSummary:
    """The archive digest after a commit; 0 is an archive without commits."""

    archive: str
    commit: int
    digest: str
    exit_code: ExitCode = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """For people and scripts: the digest and nothing else."""
        yield self.digest


def run(settings: Settings) -> DigestSummary:
    """Read one commit, or those that opening takes.

    Raises NotAnArchive, UnknownCommit, and FormatError or FixityError if a commit is damaged.
    """
    archive = Archive.open(Store(settings.archive))
    at, last = settings.at, archive.state.sequence
    if at is None or at == last:
        return DigestSummary(archive.store.url, last, archive.digest())
    if at > last:
        raise UnknownCommit(f"{archive.store.url}: has {last} commits, and no commit {at}")
    ((commit, data),) = archive.commits(at, at)
    return DigestSummary(archive.store.url, at, commit.head(data))


@command(
    "digest",
    examples=["seec digest photos.seec-archive", "seec digest photos.seec-archive --at 12"],
)
@click.argument("archive")
@click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="COMMIT",
    help="After this commit, also one whose state was given up. [default: the last one]",
)
@access_option
def main(**options: Any) -> DigestSummary:
    """Print the archive digest of ARCHIVE, and nothing else.

    Whoever keeps the digest elsewhere can tell later with seec verify --expect that ARCHIVE is
    that archive, or descends from it. digest reads commits only, and checks no object: seec verify
    does.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
