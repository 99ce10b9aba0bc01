"""Prove that an archive still holds what was put into it: `python -m jobs.verify ARCHIVE`."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import click

from jobs.interface import ExitCode, command, progress
from jobs.options import ray_options
from pipeline.stages.cluster import cluster
from pipeline.stages.verifying import DECODE, MODES, Scope, verify_shards
from pipeline.storage import Store
from pipeline.verify.records import check_records
from schemas.errors import StorageError
from schemas.report import Checked, Finding, serialise_findings

_SHOWN = 20


@dataclass(frozen=True)
class Settings:
    """What to verify and how thoroughly. fraction: of each kind of image, for mode `sample`."""

    archive: str
    mode: str = DECODE
    fraction: float = 0.05
    seed: int = 0
    ray_address: str | None = None
    cpus: int | None = None


@dataclass(frozen=True)
class VerifySummary:
    """What was checked and what was found; report is the object with all of it, if written."""

    archive: str
    mode: str
    digest: str
    objects: int
    images: int
    images_decoded: int
    images_lossy: int
    seconds: float
    report: str | None
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if anything was found."""
        return ExitCode.DAMAGE if self.findings else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name; findings as a list."""
        return {**self.__dict__, "findings": [asdict(finding) for finding in self.findings]}

    def lines(self) -> Iterator[str]:
        """For people."""
        for finding in self.findings[:_SHOWN]:
            affected = f" ({len(finding.paths)} images affected)" if finding.paths else ""
            yield f"{finding.kind}: {finding.object}: {finding.detail}{affected}"
            yield f"  next: {finding.next_command}"
        if len(self.findings) > _SHOWN:
            yield f"... and {len(self.findings) - _SHOWN} more"
        verdict = f"{len(self.findings)} findings" if self.findings else "everything as recorded"
        yield (
            f"{verdict}: {self.objects} objects and {self.images} images checked, "
            f"{self.images_decoded} decoded, in {self.seconds:.0f} s"
        )
        if self.images_lossy:
            yield f"{self.images_lossy} images have a lossy background, as they were archived"
        yield f"report {self.report}" if self.report else "no report: the archive is read-only"
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> VerifySummary:
    """Check records, then shards, then images; keep going after a finding; write a report.

    Raises NotAnArchive, or StorageError if the store does not answer.
    """
    start = time.monotonic()
    store = Store(settings.archive)
    records = check_records(store)
    checked = {item.object: item for item in records.checked}
    shards = records.shards
    scope = Scope(settings.mode, settings.fraction, settings.seed)
    if shards:
        total = sum(shard.files for shard in shards)
        with (
            progress("verify", total, "images") as shown,
            cluster(settings.ray_address, settings.cpus) as placement,
        ):
            for item in verify_shards(store, shards, scope, records.models, placement.cpus):
                checked[item.object] = checked.get(item.object, Checked(item.object)) + item
                shown.advance(item.decoded if settings.mode == DECODE else item.images)
    return VerifySummary(
        archive=store.url,
        mode=settings.mode,
        digest=records.state.digest(),
        objects=len(checked),
        images=sum(item.images for item in checked.values()),
        images_decoded=sum(item.decoded for item in checked.values()),
        images_lossy=sum(item.lossy for item in checked.values()),
        seconds=round(time.monotonic() - start, 3),
        report=_write_report(store, settings.mode, list(checked.values())),
        findings=tuple(finding for item in checked.values() for finding in item.findings),
    )


def _write_report(store: Store, mode: str, checked: list[Checked]) -> str | None:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    name = f"reports/verify-{moment}-{mode}.parquet"
    try:
        store.put_new(name, serialise_findings(checked))
    except StorageError:
        return None
    return name


@command(
    "verify",
    examples=[
        "seec verify photos.seec-archive",
        "seec verify s3://bucket/archive --mode sample --fraction 0.01",
    ],
)
@click.argument("archive")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=DECODE,
    help="checksum: bytes only; decode: every image; sample: bytes, and some images.",
)
@click.option(
    "--fraction",
    type=click.FloatRange(0, 1),
    default=0.05,
    help="Images that mode sample decodes, of each kind in each shard.",
)
@click.option("--seed", type=int, default=0, help="Which images mode sample picks.")
@ray_options
def main(**options: Any) -> VerifySummary:
    """Check ARCHIVE against its own records, with its own models.

    Names each damaged object, the images it affects and what to do next, and writes a report
    into the archive.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
