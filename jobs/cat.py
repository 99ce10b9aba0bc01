"""Write files of an archive to stdout: `python -m seec.jobs.cat ARCHIVE PATH`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import prints_json
from seec.jobs.options import access_option, at_option
from seec.jobs.summary import write_out
from seec.pipeline.reading import open_archive


@dataclass(frozen=True)
class Settings:
    """Which files of which archive. at: as of which commit; None is the last."""

    archive: str
    paths: tuple[str, ...]
    at: int | None = None


@dataclass(frozen=True)
class Summary:
    """What was written: files and bytes."""

    files: int
    size_bytes: int
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """For other programs that call `run`."""
        return {"files": self.files, "size_bytes": self.size_bytes}

    def lines(self) -> Iterator[str]:
        """Nothing: stdout holds the files."""
        return iter(())


def run(settings: Settings) -> Summary:
    """Write the files to stdout, one behind the other. Raises as `seec.Archive.read`.

    A file is written once all of it was read and compared with its digest.
    """
    archive = open_archive(settings.archive, at=settings.at)
    size_bytes = 0
    for path in settings.paths:
        data = archive.read(path)
        write_out(data)
        size_bytes += len(data)
    return Summary(len(settings.paths), size_bytes)


@command(
    "cat",
    examples=[
        "seec cat photos.seec-archive animals/cat.png > cat.png",
        "seec cat s3://bucket/archive labels.csv | head",
        "seec cat photos.seec-archive notes.txt --at 12",
    ],
)
@click.argument("archive", metavar="ARCHIVE")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@at_option
@access_option
def main(**options: Any) -> Summary:
    """Write files of an archive to stdout.

    ARCHIVE is a path or a URL. PATH is a path as seec ls prints them; of several, stdout holds the
    files one behind the other. Of a link, cat writes where it points to. cat reads the records that
    PATH needs and the bytes of the file, and starts no workers. --json is refused.
    """
    if prints_json():
        raise click.UsageError("cat writes files to stdout, and --json does not go with them")
    if sys.stdout.isatty():
        raise click.UsageError("stdout is a terminal; write `> FILE` or `| PROGRAM` behind it")
    return run(Settings(**options))


if __name__ == "__main__":
    main()
