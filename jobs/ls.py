"""List what an archive holds: `python -m jobs.ls ARCHIVE`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from jobs.interface import ExitCode, command
from jobs.options import at_option, include_option, store_options
from pipeline.archive.archive import Archive
from pipeline.archive.catalogue import current_quarantine, current_rows, matcher
from pipeline.archive.history import History, Step
from pipeline.storage import Limits, Store
from schemas.kinds import DIRECTORY, FILE, KINDS, LINK
from schemas.loss import describe
from schemas.manifest import CODECS, QuarantineRow, Row

_CODEC_WIDTH = max(len(codec) for codec in CODECS)
_OTHERS = ((LINK, "links"), (DIRECTORY, "directories"))


@dataclass(frozen=True)
class Settings:
    """Which archive, and which of its paths. quarantine: list failed files instead.

    at: as of which commit; None is the last.
    """

    archive: str
    include: tuple[str, ...] = ()
    quarantine: bool = False
    at: int | None = None
    limits: Limits | None = None


@dataclass(frozen=True)
class Listing:
    """Files by path, with totals, or files in quarantine.

    In JSON, background_error is null where nothing is lost and 0 where nothing was coded.
    """

    archive: str
    digest: str
    rows: list[Row] = field(default_factory=list)
    failed: list[QuarantineRow] = field(default_factory=list)
    exit_code: ExitCode = ExitCode.OK

    @property
    def source_size_bytes(self) -> int:
        """Of the listed files."""
        return sum(row.source_size_bytes for row in self.rows)

    @property
    def lossy(self) -> int:
        """How many of the listed files have a lossy background."""
        return sum(row.background_error is not None for row in self.rows)

    @property
    def codecs(self) -> dict[str, int]:
        """How many of the listed files each codec has, in the order of `schemas.manifest`."""
        counts = Counter(row.codec for row in self.rows if row.kind == FILE)
        return {codec: counts[codec] for codec in CODECS if counts[codec]}

    @property
    def kinds(self) -> dict[str, int]:
        """How many of the rows each kind has, in the order of `schemas.kinds`."""
        counts = Counter(row.kind for row in self.rows)
        return {kind: counts[kind] for kind in KINDS if counts[kind]}

    @property
    def length(self) -> int:
        """Bytes of the listed files in the archive's blobs; those that files share count once."""
        payloads = {(row.shard, row.offset): row.length for row in self.rows if row.length}
        return sum(payloads.values())

    def as_dict(self) -> dict[str, Any]:
        """Totals, and a list of files."""
        return {
            "archive": self.archive,
            "digest": self.digest,
            "files": [_row_as_dict(row) for row in self.rows],
            "quarantine": [dict(row.__dict__) for row in self.failed],
            "source_size_bytes": self.source_size_bytes,
            "length": self.length,
            "codecs": self.codecs,
            "kinds": self.kinds,
            "lossy": self.lossy,
        }

    def lines(self) -> Iterator[str]:
        """For people: codec or kind, rate, bytes in the archive, bytes of the source, path.

        A tilde behind the codec marks a lossy background, a slash behind the path a directory.
        """
        for row in self.rows:
            rate = "" if row.rate_bpsp is None else f"{row.rate_bpsp:.3f}"
            sizes = f"{row.length:>12,} {row.source_size_bytes:>12,}"
            codec = row.codec if row.kind == FILE else row.kind
            codec += "~" * (row.background_error is not None)
            loss = "" if row.background_error is None else f" ({describe(row.background_error)})"
            path = _printable(row.path) + _mark(row)
            yield f"{codec:<{_CODEC_WIDTH}} {rate:>6} {sizes} {path}{loss}"
        for failure in self.failed:
            yield f"{failure.error}: {_printable(failure.path)}: {failure.reason}"
        if self.rows:
            share = 100 * self.length / max(1, self.source_size_bytes)
            sizes = f"{self.source_size_bytes:,} -> {self.length:,} bytes ({share:.1f} %)"
            codecs = ", ".join(f"{count} {codec}" for codec, count in self.codecs.items())
            others = "".join(
                f", {self.kinds[kind]} {name}" for kind, name in _OTHERS if kind in self.kinds
            )
            files = f"{self.kinds.get(FILE, 0)} files"
            yield f"{files}{codecs and f' ({codecs})'}{others}, {sizes}"
        if self.lossy:
            yield f"~ {self.lossy} files are not what the source held outside a region of interest"
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
                    "source": step.runs[-1].source if step.runs else None,
                    "compaction": any(run.compaction for run in step.runs),
                    "shards": [shard.shard for shard in step.shards],
                    "files": sum(shard.files for shard in step.shards),
                    "quarantined": sum(shard.quarantined for shard in step.shards),
                    "removed": sum(removal.files for removal in step.removed),
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
            yield f"run {run.run_id} opened: {run.files} files of {run.source}"
    if step.shards:
        yield f"{sum(s.files for s in step.shards)} files in {len(step.shards)} shards"
    if failed := sum(shard.quarantined for shard in step.shards):
        yield f"{failed} files in quarantine"
    if step.removed:
        yield f"{sum(removal.files for removal in step.removed)} files removed"
    if step.dropped:
        yield f"{len(step.dropped)} shards replaced by larger ones"
    if step.repaired:
        yield f"{len(step.repaired)} shards repaired"


def run(settings: Settings) -> Listing:
    """List current rows, or rows in quarantine, as of a commit.

    Raises NotAnArchive, UnknownCommit, FormatError or FixityError.
    """
    archive = Archive.open(Store(settings.archive, limits=settings.limits))
    archive = archive if settings.at is None else archive.at(settings.at)
    url, digest = archive.store.url, archive.digest()
    if settings.quarantine:
        wanted = matcher(settings.include)
        failed = [
            row
            for _, part in current_quarantine(archive)
            for row in part
            if wanted is None or wanted(row.path)
        ]
        return Listing(url, digest, failed=sorted(failed, key=lambda row: row.path))
    rows = [row for _, part in current_rows(archive, settings.include) for row in part]
    return Listing(url, digest, sorted(rows, key=lambda row: row.path))


def run_commits(settings: Settings) -> Commits:
    """List commits. Raises NotAnArchive, FormatError or FixityError."""
    archive = Archive.open(Store(settings.archive, limits=settings.limits))
    history = History(archive)
    steps = tuple(history.steps())
    return Commits(archive.store.url, history.state.oldest, steps)


def _row_as_dict(row: Row) -> dict[str, Any]:
    """JSON values: digests in hexadecimal, the envelope as its size."""
    values = dict(row.__dict__)
    values["envelope"] = None if row.envelope is None else len(row.envelope)
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in values.items()}


def _mark(row: Row) -> str:
    """What stands behind a path: a slash, or another name of the same file."""
    if row.same_file is not None:
        return f" = {_printable(row.same_file)}"
    return "/" if row.kind == DIRECTORY else ""


def _printable(path: str) -> str:
    """A path on one line whatever it holds."""
    return path if path.isprintable() else repr(path)[1:-1]


@command(
    "ls",
    examples=[
        "seec ls photos.seec-archive",
        "seec ls s3://bucket/archive --include '*.png' --json",
        "seec ls photos.seec-archive --commits",
        "seec ls photos.seec-archive --at 12",
    ],
)
@click.argument("archive")
@include_option
@at_option
@click.option("--quarantine", is_flag=True, help="List files in quarantine and why.")
@click.option("--commits", is_flag=True, help="List commits and what each changed.")
@store_options
def main(commits: bool, **options: Any) -> Listing | Commits:
    """List the files of ARCHIVE: codec, bits per sub-pixel, bytes there and before, path."""
    settings = Settings(**options)
    if not commits:
        return run(settings)
    if settings.include or settings.quarantine or settings.at is not None:
        raise click.UsageError("--commits goes with none of --include, --quarantine and --at")
    return run_commits(settings)


if __name__ == "__main__":
    main()
