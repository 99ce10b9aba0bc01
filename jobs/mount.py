"""Show an archive as a folder: `python -m seec.jobs.mount ARCHIVE DIR`."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import inform, warn
from seec.jobs.options import access_option, at_option
from seec.pipeline.reading.filesystem import SeecFileSystem
from seec.pipeline.reading.mount import mount
from seec.schemas.errors import SeecError


@dataclass(frozen=True)
class Settings:
    """Which archive is shown where. at: as of which commit; None is the last.

    cache, cache_bytes: as of `seec.open`. members: files that hold images as folders of these.
    allow_other: to other users, too.
    """

    archive: str
    folder: Path
    at: int | None = None
    cache: Path | None = None
    cache_bytes: int = 10 << 30
    members: bool = False
    allow_other: bool = False


@dataclass(frozen=True)
class Summary:
    """What was shown, until it was unmounted."""

    archive: str
    folder: str
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """Archive and folder."""
        return {"archive": self.archive, "folder": self.folder}

    def lines(self) -> Iterator[str]:
        """One line."""
        yield f"{self.folder}: unmounted"


def run(settings: Settings) -> Summary:
    """Show the archive until somebody unmounts it.

    Raises MissingPackage, NotAnArchive, UnknownCommit, StorageError, FormatError or FixityError.
    """
    files = SeecFileSystem(
        settings.archive,
        at=settings.at,
        cache=settings.cache,
        cache_bytes=settings.cache_bytes,
        members=settings.members,
    )
    folder = shlex.quote(str(settings.folder))
    inform(f"{files.archive.url} is shown in {folder}, until Ctrl-C or fusermount3 -u {folder}")
    mount(files, settings.folder, _warn, allow_other=settings.allow_other)
    return Summary(files.archive.url, str(settings.folder))


def _warn(path: str, error: SeecError) -> None:
    warn(f"{path}: {error}")


@command(
    "mount",
    examples=[
        "seec mount photos.seec-archive /mnt/photos",
        "seec mount s3://bucket/archive /mnt/photos --cache /var/cache/seec --at 12",
    ],
)
@click.argument("archive", metavar="ARCHIVE")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@at_option
@click.option(
    "--cache",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps what is read.",
)
@click.option(
    "--cache-bytes",
    type=click.IntRange(min=1),
    default=Settings.cache_bytes,
    help="Maximum size of the cache. What was used longest ago goes first.",
)
@click.option(
    "--members",
    is_flag=True,
    help="Show tar, zip, Parquet and other files that hold images as folders of these.",
)
@click.option("--allow-other", is_flag=True, help="Show the folder to other users, too.")
@access_option
def main(**options: Any) -> Summary:
    """Show an archive as a folder, through FUSE.

    ARCHIVE is a path or a URL, DIR an empty folder. The folder is read-only. mount ends when the
    folder is unmounted, by Ctrl-C or fusermount3 -u DIR. A file is decoded when a program opens the
    file; a file that comes back with other bytes also when a program asks for its size.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
