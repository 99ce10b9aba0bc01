"""Mend a damaged archive: `python -m seec.jobs.repair ARCHIVE --from COPY`."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from seec.jobs import absence
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import name_option, ray_options, store_options
from seec.jobs.places import check_apart, source_name
from seec.jobs.progress import progress
from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.completeness import Absent, lost_files
from seec.pipeline.archive.protection import keep_spares
from seec.pipeline.codec.model.packaged import find_packaged
from seec.pipeline.dct.packaged import find_packaged as find_packaged_jpeg
from seec.pipeline.repair.damage import damaged_shards
from seec.pipeline.repair.records import put_back_records
from seec.pipeline.stages.execution import execution, is_small
from seec.pipeline.stages.executor import Executor
from seec.pipeline.stages.repairing import Outcome, Repair, Spares
from seec.pipeline.stages.verifying import Scope, verify_shards
from seec.pipeline.storage import Limits, Store
from seec.pipeline.verify.records import check_records
from seec.pipeline.verify.reports import read_report
from seec.schemas.archive import ARCHIVE_JSON, COMMITS, format_md, spared
from seec.schemas.commit import ShardRecord
from seec.schemas.report import CHECKSUM, Checked, Finding

_SHOWN = 20


@dataclass(frozen=True)
class Settings:
    """What to repair, and what from.

    copies: other copies of the archive, or other archives of the same files. source: where the
    files are, if not where their runs read them; name: of that source in the archive. report: of a
    verification, by its name in the archive; None looks at every byte first.
    """

    archive: str
    copies: tuple[str, ...] = ()
    source: str | None = None
    report: str | None = None
    name: str = ""
    ray_address: str | None = None
    cpus: int | None = None
    limits: Limits | None = None


@dataclass(frozen=True)
class RepairSummary:
    """What became of the damage.

    objects: names of those that were put back byte for byte. shards: those that were made anew.
    files_mended: how many files of those are whole again. lost: paths that were found nowhere.
    files_lost: how many files the archive does not hold now, since this repair or an earlier one
    found them nowhere. left: what could not be repaired. beyond_parity: of which shards more was
    damaged than parity could mend, in words.
    """

    archive: str
    digest: str
    objects: tuple[str, ...]
    shards: tuple[str, ...]
    files_mended: int
    lost: tuple[str, ...]
    files_lost: int
    left: tuple[Finding, ...]
    beyond_parity: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if anything is still damaged, else INCOMPLETE if files are lost."""
        if self.left:
            return ExitCode.DAMAGE
        return ExitCode.INCOMPLETE if self.files_lost else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name; what is left as a list of findings."""
        return {**self.__dict__, "left": [asdict(finding) for finding in self.left]}

    def lines(self) -> Iterator[str]:
        """For people."""
        yield from self.beyond_parity[:_SHOWN]
        for path in self.lost[:_SHOWN]:
            yield f"lost: {path!r}"
        if len(self.lost) > _SHOWN:
            yield f"... and {len(self.lost) - _SHOWN} more"
        for finding in self.left[:_SHOWN]:
            yield f"not repaired: {finding.kind}: {finding.object}: {finding.detail}"
            yield f"  next: {finding.next_command}"
        if not (self.objects or self.shards or self.left):
            yield "nothing to repair"
        else:
            yield (
                f"{len(self.objects)} objects put back, {len(self.shards)} shards made anew: "
                f"{self.files_mended} files mended, {len(self.lost)} lost, {len(self.left)} "
                f"objects still damaged, in {self.seconds:.0f} s"
            )
        yield from absence.lines(Absent(lost=self.files_lost), self.archive)
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> RepairSummary:
    """Put back objects that a copy has, then make damaged shards anew.

    Raises NotAnArchive, StorageError, or ArchiveLocked if a writer changes what is being repaired.
    """
    start = time.monotonic()
    name = source_name(settings.name)
    store = Store(settings.archive, limits=settings.limits)
    copies = [Store(url, limits=settings.limits) for url in settings.copies]
    for copy in copies:
        check_apart("the archive", store, "its copy", copy)
    if settings.source is not None:
        source = Store(settings.source, limits=settings.limits)
        check_apart("the archive", store, "the source", source)
    objects = list(put_back_records(store, copies, format_md(), _packaged(store)))
    records = check_records(store)
    outcome = Outcome(objects, [f for item in records.checked for f in item.findings])
    if any(f.object == ARCHIVE_JSON or f.object.startswith(COMMITS) for f in outcome.left):
        return _summary(store, records.archive.digest(), outcome, start)
    small = is_small(
        sum(shard.files for shard in records.shards),
        sum(shard.source_size_bytes for shard in records.shards),
    )
    with (
        Archive.writing(store) as archive,
        execution(settings.ray_address, settings.cpus, small=small) as executor,
    ):
        if settings.source is not None and name not in archive.state.sources:
            known = ", ".join(sorted(filter(None, archive.state.sources)))
            raise click.UsageError(f"--source: which of the sources? --as one of {known or 'none'}")
        spares = {one.object for one in outcome.left if spared(one.object) is not None}
        outcome.objects += [name for name in keep_spares(archive, spares) if name in spares]
        outcome.left = [one for one in outcome.left if one.object not in outcome.objects]
        also_lost = bool(settings.copies or settings.source)
        lost: list[str] = []  # objects whose files an earlier repair gave up
        checked = _noting(_checked(store, settings, records.shards, executor), lost)
        damaged = damaged_shards(records.shards, checked, also_lost=also_lost)
        spares = Spares(copies, settings.source, name, settings.limits)
        repair = Repair(archive, spares, executor, outcome)
        cases = repair.put_back(damaged)
        with progress("repair", len(cases), "shards") as shown:
            repair.make_anew(cases, shown.advance)
        keep_spares(archive)
        files_lost = lost_files(archive) if lost or outcome.lost else 0
        return _summary(store, archive.digest(), outcome, start, files_lost)


def _noting(checked: Iterable[Checked], lost: list[str]) -> Iterator[Checked]:
    """The same; the list gets the names of objects with lost files."""
    for item in checked:
        if item.lost:
            lost.append(item.object)
        yield item


def _summary(
    store: Store, digest: str, outcome: Outcome, start: float, files_lost: int = 0
) -> RepairSummary:
    return RepairSummary(
        archive=store.url,
        digest=digest,
        objects=tuple(outcome.objects),
        shards=tuple(outcome.shards),
        files_mended=outcome.files_mended,
        lost=tuple(sorted(outcome.lost)),
        files_lost=files_lost,
        left=tuple(outcome.left),
        beyond_parity=tuple(outcome.beyond_parity),
        seconds=round(time.monotonic() - start, 3),
    )


def _packaged(store: Store) -> list[bytes]:
    """The weights that this release has of those that the archive needs."""
    ids = {model_id for shard in check_records(store).shards for model_id in shard.models}
    packaged = (
        find(bytes.fromhex(model_id[:16]))
        for model_id in sorted(ids)
        for find in (find_packaged, find_packaged_jpeg)
    )
    return [model.payload for model in packaged if model is not None]


def _checked(
    store: Store, settings: Settings, shards: list[ShardRecord], executor: Executor
) -> Iterator[Checked]:
    if settings.report is not None:
        yield from read_report(store, settings.report)
        return
    with progress("examine", len(shards), "shards") as shown:
        scope = Scope(CHECKSUM)
        for item in verify_shards(store, shards, scope, frozenset(), executor, shards):
            shown.advance(item.object.startswith("blobs/"))
            yield item


@command(
    "repair",
    examples=[
        "seec repair photos.seec-archive",
        "seec repair photos.seec-archive --from s3://bucket/second-copy",
        "seec repair photos.seec-archive --source /mnt/photos",
    ],
)
@click.argument("archive")
@click.option(
    "--from",
    "copies",
    multiple=True,
    metavar="ARCHIVE",
    help="A copy of ARCHIVE, or another archive of the same files. Repeat the option for several.",
)
@click.option(
    "--source", help="Folder or URL of the original files. [default: the recorded source]"
)
@name_option("The name of --source in ARCHIVE, if it was archived with --as.")
@click.option(
    "--report",
    metavar="NAME",
    help="Trust this report of seec verify (reports/verify-...) instead of checking all bytes.",
)
@ray_options
@store_options
def main(**options: Any) -> RepairSummary:
    """Repair the damaged objects of ARCHIVE.

    repair first mends objects with the parity in ARCHIVE, if it has any, then copies damaged
    objects byte for byte from the copies that --from names. Where neither helps, repair makes the
    shard anew from the sound files in the shard, the same files in other archives, files of the
    source that still have the recorded digests, and the same files in other shards of ARCHIVE. Of
    an archive or a run that keeps files byte for byte, repair takes only files that come back so.

    repair lists files that it finds nowhere as lost, and ends with exit code 3: the archive is
    sound, and does not hold these files. If damage is left, the exit code is 4. repair changes no
    existing object.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
