"""Give an archive parity, or say what it has and costs: `python -m seec.jobs.parity ARCHIVE 5%`."""

import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import ParityShare, store_options
from seec.jobs.progress import progress
from seec.pipeline.archive import Archive
from seec.pipeline.archive.history import History
from seec.pipeline.archive.protection import keep_spares, parity_size, set_parity
from seec.pipeline.parity.objects import parity_of
from seec.pipeline.storage import Limits, Store
from seec.schemas.archive import SPARE
from seec.schemas.commit import ShardRecord
from seec.schemas.limits import PARITY_WHOLE

_SHOWN = 20
_SAMPLE_BYTES = 16 << 20


@dataclass(frozen=True)
class Settings:
    """share: parity that shards are to have, as in `ParityRecord`; None only says what they have.

    dry_run: say what it would take.
    """

    archive: str
    share: int | None = None
    dry_run: bool = False
    limits: Limits | None = None


@dataclass(frozen=True)
class ParitySummary:
    """What was done, and what shards of all kept states have.

    changed: how many shards have other parity now, or would with dry_run. data_size_bytes: of blobs
    and parts of all shards; parity_size_bytes: of their parity; spare_size_bytes: of all spares.
    would_add_bytes, would_read_bytes, would_compute_s: of a dry run; seconds on one core of this
    machine, without the store. damaged: why a shard cannot have parity, by name.
    """

    archive: str
    digest: str
    share: int | None
    dry_run: bool
    shards: int
    with_parity: int
    changed: int
    data_size_bytes: int
    parity_size_bytes: int
    spare_size_bytes: int
    would_add_bytes: int
    would_read_bytes: int
    would_compute_s: float
    seconds: float
    damaged: dict[str, str]

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if a shard is too damaged to get parity."""
        return ExitCode.DAMAGE if self.damaged else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return dict(self.__dict__)

    def lines(self) -> Iterator[str]:
        """For people."""
        for name, reason in list(self.damaged.items())[:_SHOWN]:
            yield f"no parity for {name}: {reason}"
        if self.damaged:
            yield f"seec repair {shlex.quote(self.archive)} first, then run this again"
        per_cent = 100 * self.parity_size_bytes / max(1, self.data_size_bytes)
        yield (
            f"{self.with_parity} of {self.shards} shards have parity: {self.parity_size_bytes:,} "
            f"bytes for {self.data_size_bytes:,} ({per_cent:.2f} %), and {self.spare_size_bytes:,} "
            "bytes of spares of small objects"
        )
        if self.dry_run:
            yield (
                f"{self.changed} shards would get {(self.share or 0) / 100:g} %: "
                f"{self.would_add_bytes:+,} bytes; reads {self.would_read_bytes:,} bytes, computes "
                f"for {self.would_compute_s:.0f} s on one core of this machine"
            )
        elif self.share is not None:
            yield f"parity of {self.changed} shards written in {self.seconds:.0f} s"
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> ParitySummary:
    """Write what is missing. Raises NotAnArchive, StorageError, ArchiveLocked, FormatError."""
    start = time.monotonic()
    store = Store(settings.archive, limits=settings.limits)
    share, damaged = settings.share, dict[str, str]()
    changed = 0
    if share is not None and not settings.dry_run:
        with Archive.writing(store) as archive:
            todo = _other(_shards(archive), share)
            with progress("parity", len(todo), "shards") as shown:
                for shard, error in set_parity(archive, todo, share):
                    if error is None:
                        changed += 1
                    else:
                        damaged[shard.shard] = str(error)
                    shown.advance()
            keep_spares(archive)
    archive = Archive.open(store)
    shards = _shards(archive)
    todo = _other(shards, share or 0) if settings.dry_run else []
    read = sum(_covered_bytes(shard) for shard in todo) if share else 0
    return ParitySummary(
        archive=store.url,
        digest=archive.digest(),
        share=share,
        dry_run=settings.dry_run,
        shards=len(shards),
        with_parity=sum(shard.parity is not None for shard in shards),
        changed=changed or len(todo),
        data_size_bytes=sum(map(_covered_bytes, shards)),
        parity_size_bytes=sum(s.parity.size_bytes for s in shards if s.parity is not None),
        spare_size_bytes=sum(item.size_bytes for item in store.listed(SPARE)),
        would_add_bytes=sum(
            parity_size(s, share or 0) - (0 if s.parity is None else s.parity.size_bytes)
            for s in todo
        ),
        would_read_bytes=read,
        would_compute_s=read * _seconds_of_a_byte(share) if read and share else 0.0,
        seconds=round(time.monotonic() - start, 3),
        damaged=damaged,
    )


def _shards(archive: Archive) -> list[ShardRecord]:
    """Those of all states that are kept."""
    history = History(archive)
    history.refresh()
    return history.retained.shards()


def _other(shards: list[ShardRecord], share: int) -> list[ShardRecord]:
    """The shards that have parity of another share, or none."""
    return [s for s in shards if (0 if s.parity is None else s.parity.share) != share]


def _covered_bytes(shard: ShardRecord) -> int:
    return sum(record.size_bytes for record in shard.covered)


def _seconds_of_a_byte(share: int) -> float:
    """How long parity takes to compute, as measured now."""
    sample = [[os.urandom(_SAMPLE_BYTES)]]
    parity_of([[b"0"]], PARITY_WHOLE)  # makes the tables
    start = time.process_time()
    parity_of(sample, share)
    return (time.process_time() - start) / _SAMPLE_BYTES


@command(
    "parity",
    examples=[
        "seec parity photos.seec-archive",
        "seec parity photos.seec-archive 5% --dry-run",
        "seec parity photos.seec-archive 5%",
    ],
)
@click.argument("archive")
@click.argument("share", type=ParityShare(), required=False)
@click.option("--dry-run", is_flag=True, help="Only say what bytes and time it would take.")
@store_options
def main(**options: Any) -> ParitySummary:
    """Give every shard of ARCHIVE parity of SHARE, such as 5%, from which seec repair mends damage.

    Without SHARE, parity says which shards have parity, and how many bytes that takes. 0% gives
    parity up. Runs of seec archive write as much as the last shard has.

    From parity of 5%, a shard comes back as long as at most 5% of its bytes are lost in one range,
    or at most 5% of its blocks are touched, wherever they are. Small objects get spares: a copy of
    each commit, and parity of models and lists.

    You can run parity beside readers. After an interruption, run the command again. If a shard is
    damaged already, parity names it and ends with exit code 4.
    """
    if options["dry_run"] and options["share"] is None:
        raise click.UsageError("--dry-run: of which share? Such as 5%")
    return run(Settings(**options))


if __name__ == "__main__":
    main()
