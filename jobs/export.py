"""Write files of an archive in another form: `python -m seec.jobs.export ARCHIVE ...`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import warn
from seec.jobs.options import access_option, at_option, include_option
from seec.jobs.progress import progress
from seec.jobs.summary import figures
from seec.pipeline.archive.patterns import Unmatched
from seec.pipeline.reading import open_archive
from seec.pipeline.reading.webdataset import write_shards
from seec.schemas.errors import SeecError

SHARD_SIZE_BYTES = 1 << 30


@dataclass(frozen=True)
class Settings:
    """Which files go where. webdataset: the folder for tar files. at: as of which commit."""

    archive: str
    webdataset: Path
    include: tuple[str, ...] = ()
    shard_size_bytes: int = SHARD_SIZE_BYTES
    at: int | None = None


@dataclass(frozen=True)
class Summary:
    """What was written. failed: files that the archive does not give, and why."""

    target: str
    shards: int
    samples: int
    files: int
    size_bytes: int
    unmatched: list[str] = field(default_factory=list[str])
    failed: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if a file failed, else UNMATCHED if a pattern has matched nothing."""
        if self.failed:
            return ExitCode.DAMAGE
        return ExitCode.UNMATCHED if self.unmatched else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """What was written, and what was not."""
        yield (
            f"{self.target}: {self.samples} samples of {self.files} files in {self.shards} tar "
            f"files, {self.size_bytes:,} bytes"
        )
        for pattern in self.unmatched:
            yield f"nothing matches {pattern!r}"
        for path, reason in self.failed.items():
            yield f"not written: {path}: {reason}"


def run(settings: Settings) -> Summary:
    """Write tar files. Raises NotAnArchive, StorageError, FixityError or FormatError."""
    archive = open_archive(settings.archive, at=settings.at)
    unmatched = Unmatched(settings.include)
    failed: dict[str, str] = {}

    def note(path: str, error: SeecError) -> None:
        failed[path] = str(error)
        unmatched.see(path)
        warn(f"{path}: {error}")

    with progress("exporting", None, "files") as shown:

        def found() -> Iterator[tuple[str, bytes]]:
            for path, data in archive.iter(settings.include, on_error=note):
                unmatched.see(path)
                yield path, data
                shown.advance()

        shards = list(
            write_shards(archive, found(), settings.webdataset, settings.shard_size_bytes)
        )
    return Summary(
        target=str(settings.webdataset),
        shards=len(shards),
        samples=sum(shard.samples for shard in shards),
        files=sum(shard.files for shard in shards),
        size_bytes=sum(shard.size_bytes for shard in shards),
        unmatched=unmatched.left,
        failed=failed,
    )


@command(
    "export",
    examples=[
        "seec export photos.seec-archive --webdataset shards",
        "seec export s3://bucket/archive --webdataset shards --include 'train/*'",
        "seec export photos.seec-archive --webdataset shards --shard-size-bytes 300000000",
    ],
)
@click.argument("archive", metavar="ARCHIVE")
@click.option(
    "--webdataset",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for tar files that the webdataset library reads.",
)
@include_option
@click.option(
    "--shard-size-bytes",
    type=click.IntRange(min=1),
    default=SHARD_SIZE_BYTES,
    help="End a tar file with the sample that makes it at least this large.",
)
@at_option
@access_option
def main(**options: Any) -> Summary:
    """Write files of an archive as WebDataset shards: DIR/000000.tar and on.

    ARCHIVE is a path or a URL. Files with the same path up to the first dot of the name are one
    sample: 1.png, 1.json and 1.cls. Links and directories are left out. If ARCHIVE does not give a
    file, export goes on without the file and ends with exit code 4.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
