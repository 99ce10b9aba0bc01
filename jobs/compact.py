"""Copy small shards of an archive into large ones: `python -m seec.jobs.compact ARCHIVE`."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import store_options
from seec.jobs.progress import progress
from seec.jobs.summary import figures
from seec.pipeline.archive import Archive
from seec.pipeline.archive.compaction import compact, open_compaction, small_shards
from seec.pipeline.archive.protection import keep_spares
from seec.pipeline.storage import Limits, Store
from seec.schemas.limits import MAX_GROUP_ROWS
from seec.schemas.plan import PlanSettings

_DEFAULTS = PlanSettings(model_id="")


@dataclass(frozen=True)
class Settings:
    """Which archive, and how large shards may become; bytes are those of their blobs."""

    archive: str
    shard_files: int = _DEFAULTS.shard_files
    shard_size_bytes: int = _DEFAULTS.shard_size_bytes
    limits: Limits | None = None


@dataclass(frozen=True)
class CompactSummary:
    """How many shards were replaced by how many, and what those hold."""

    archive: str
    digest: str
    replaced: int
    shards: int
    files: int
    blob_size_bytes: int
    seconds: float
    exit_code: ExitCode = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.shards:
            yield (
                f"{self.replaced} shards replaced by {self.shards}: {self.files} files, "
                f"{self.blob_size_bytes:,} bytes, in {self.seconds:.0f} s"
            )
            yield "the old shards stay for earlier commits: seec gc --keep-commits 1 --delete "
            "removes them"
        else:
            yield "nothing to compact"
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> CompactSummary:
    """Finish an interrupted compaction, then compact what is small.

    Raises NotAnArchive, ArchiveLocked, StorageError, and FormatError or FixityError if a shard is
    damaged.
    """
    start = time.monotonic()
    store = Store(settings.archive, limits=settings.limits)
    replaced = shards = files = size_bytes = 0
    with Archive.writing(store) as archive:
        while True:
            work = archive.state.open_run
            if work is None or not work.compaction:
                groups = small_shards(archive, settings.shard_files, settings.shard_size_bytes)
                if not groups:
                    break
                work = open_compaction(archive, groups)
            with progress("compact", work.shards, "shards") as shown:
                for record, old in compact(archive, work):
                    replaced, shards, files = replaced + old, shards + 1, files + record.files
                    size_bytes += record.blob.size_bytes
                    shown.advance()
        keep_spares(archive)
        digest = archive.digest()
    seconds = round(time.monotonic() - start, 3)
    return CompactSummary(store.url, digest, replaced, shards, files, size_bytes, seconds)


@command("compact", examples=["seec compact photos.seec-archive"])
@click.argument("archive")
@click.option(
    "--shard-files",
    type=click.IntRange(min=2, max=MAX_GROUP_ROWS),
    default=_DEFAULTS.shard_files,
    help="Maximum number of files in a shard. Shards with at least half as many stay as they are.",
)
@click.option(
    "--shard-size-bytes",
    type=click.IntRange(min=1),
    default=_DEFAULTS.shard_size_bytes,
    help="Maximum size of a blob. Shards with blobs of at least half that size stay as they are.",
)
@store_options
def main(**options: Any) -> CompactSummary:
    """Merge the small shards of ARCHIVE into large ones, so that it has fewer objects.

    compact copies payloads and encodes nothing. You can run compact beside readers. Beside another
    writer, compact ends with exit code 11 and keeps what is done. After an interruption, run the
    command again.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
