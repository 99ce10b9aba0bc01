"""Mend a damaged archive: `python -m jobs.repair ARCHIVE --from COPY`."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import click

from jobs.interface import ExitCode, command, progress
from jobs.options import ray_options, store_options
from pipeline.archive.archive import Archive
from pipeline.archive.runs import put_back as put_back_after_commit
from pipeline.codec.models import find_packaged
from pipeline.repair.copies import same_files
from pipeline.repair.records import put_back, put_back_records
from pipeline.repair.shards import Case, Mender, examine, index_of, model_ids
from pipeline.stages.archiving import ArchivingRun
from pipeline.stages.cluster import Placement, cluster
from pipeline.stages.verifying import CHECKSUM, Scope, verify_shards
from pipeline.storage import Limits, Source, Store
from pipeline.verify.records import check_records
from schemas.archive import format_md
from schemas.commit import RunRecord, ShardRecord
from schemas.errors import FixityError, FormatError, StorageError
from schemas.manifest import LOST
from schemas.plan import KEEP_FILE, PlanSettings, SourceFile
from schemas.report import Checked, Finding, parse_findings

_SHOWN = 20


@dataclass(frozen=True)
class Settings:
    """What to repair, and what from.

    copies: other copies of the archive, or other archives of the same files. source: where the
    files are, if not where their runs read them. report: of a verification, by its name in the
    archive; None looks at every byte first.
    """

    archive: str
    copies: tuple[str, ...] = ()
    source: str | None = None
    report: str | None = None
    ray_address: str | None = None
    cpus: int | None = None
    limits: Limits | None = None


@dataclass(frozen=True)
class RepairSummary:
    """What became of the damage.

    objects: names of those that were put back byte for byte. shards: those that were made anew.
    files_mended: how many files of those are whole again. lost: paths that were found nowhere.
    left: what could not be repaired.
    """

    archive: str
    digest: str
    objects: tuple[str, ...]
    shards: tuple[str, ...]
    files_mended: int
    lost: tuple[str, ...]
    left: tuple[Finding, ...]
    seconds: float

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if anything was lost or is still damaged."""
        return ExitCode.DAMAGE if self.lost or self.left else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name; what is left as a list of findings."""
        return {**self.__dict__, "left": [asdict(finding) for finding in self.left]}

    def lines(self) -> Iterator[str]:
        """For people."""
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
        if self.lost:
            yield "found again, they are mended by seec repair with --from or --source, or archived"
        yield f"archive digest {self.digest}"


@dataclass
class _Outcome:
    objects: list[str]
    left: list[Finding]
    shards: list[str] = field(default_factory=list[str])
    files_mended: int = 0
    lost: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class _Files:
    """Some files of some shards of a plan, as `ArchivingRun` reads a plan."""

    settings: PlanSettings
    files: dict[int, list[SourceFile]]

    def shard(self, index: int) -> list[SourceFile]:
        return self.files[index]


def run(settings: Settings) -> RepairSummary:
    """Put back objects that a copy has, then make damaged shards anew.

    Raises NotAnArchive, StorageError, or ArchiveLocked if a writer changes what is being repaired.
    """
    start = time.monotonic()
    store = Store(settings.archive, limits=settings.limits)
    copies = [Store(url, limits=settings.limits) for url in settings.copies]
    objects = list(_put_back_records(store, copies))
    records = check_records(store)
    left = [f for item in records.checked for f in item.findings]
    if any(f.object == "archive.json" or f.object.startswith("commits/") for f in left):
        return RepairSummary(
            store.url, records.state.digest(), tuple(objects), (), 0, (), tuple(left), 0.0
        )
    outcome = _Outcome(objects, left)
    with (
        Archive.writing(store) as archive,
        cluster(settings.ray_address, settings.cpus) as placement,
    ):
        _repair_shards(archive, records.shards, copies, settings, placement, outcome)
        return RepairSummary(
            archive=store.url,
            digest=archive.digest(),
            objects=tuple(outcome.objects),
            shards=tuple(outcome.shards),
            files_mended=outcome.files_mended,
            lost=tuple(sorted(outcome.lost)),
            left=tuple(outcome.left),
            seconds=round(time.monotonic() - start, 3),
        )


def _repair_shards(
    archive: Archive,
    shards: list[ShardRecord],
    copies: list[Store],
    settings: Settings,
    placement: Placement,
    outcome: _Outcome,
) -> None:
    cases: list[Case] = []
    for shard, paths, findings in _damaged_shards(archive.store, settings, shards, placement):
        parts = [(record, put_back(archive.store, copies, record)) for record in shard.objects]
        if all(whole for _, whole in parts) and findings and not paths:
            found = {finding.object for finding in findings}
            outcome.objects += [record.name for record, _ in parts if record.name in found]
        elif (case := examine(archive, shard, paths)) is not None:
            cases.append(case)
        else:
            outcome.left += findings
    # From here on copies are read by all processes.
    cases = _with_found(archive, cases, [copy.shared_by(placement.cpus) for copy in copies])
    for record, case in _mend(archive, cases, settings, placement):
        if record != case.record:
            _commit(archive, record)
            _note(outcome, archive, record, case)


def _put_back_records(store: Store, copies: list[Store]) -> Iterator[str]:
    ids = (name.rpartition("/")[2][:16] for name in _models(store))
    packaged = (find_packaged(bytes.fromhex(short_id)) for short_id in ids)
    weights = [model.payload for model in packaged if model is not None]
    yield from put_back_records(store, copies, format_md(), weights)


def _models(store: Store) -> Collection[str]:
    return check_records(store).state.models


def _damaged_shards(
    store: Store, settings: Settings, shards: list[ShardRecord], placement: Placement
) -> list[tuple[ShardRecord, set[str], list[Finding]]]:
    """Each with the paths that are no use although their bytes are right, and what was found."""
    found: dict[str, list[Finding]] = defaultdict(list)
    lost: set[str] = set()
    for item in _checked(store, settings, shards, placement):
        for finding in item.findings:
            found[finding.object].append(finding)
        if item.lost and (settings.copies or settings.source):
            lost.add(item.object)
    chosen: list[tuple[ShardRecord, set[str], list[Finding]]] = []
    for shard in shards:
        names = {record.name for record in shard.objects}
        findings = [finding for name in names for finding in found.get(name, [])]
        undecodable = (f for f in findings if f.kind in ("pixels-differ", "image-undecodable"))
        paths = {path for finding in undecodable for path in finding.paths}
        if findings or names & lost:
            chosen.append((shard, paths, findings))
    return chosen


def _checked(
    store: Store, settings: Settings, shards: list[ShardRecord], placement: Placement
) -> Iterator[Checked]:
    if settings.report is not None:
        yield from parse_findings(settings.report, store.get(settings.report))
        return
    with progress("examine", len(shards), "shards") as shown:
        for item in verify_shards(store, shards, Scope(CHECKSUM), frozenset(), placement.cpus):
            shown.advance(item.object.startswith("blobs/"))
            yield item


def _with_found(archive: Archive, cases: list[Case], copies: list[Store]) -> list[Case]:
    wanted = {row.source_digest for case in cases for row in case.missing()}
    models = model_ids(archive.state.runs.values())
    found = same_files(copies, wanted, models) if copies and wanted else {}
    return [
        replace(
            case,
            found={
                row.source_digest: found[row.source_digest]
                for row in case.missing()
                if row.source_digest in found
            },
        )
        for case in cases
    ]


def _mend(
    archive: Archive, cases: list[Case], settings: Settings, placement: Placement
) -> Iterator[tuple[ShardRecord, Case]]:
    """New records of the shards. What only the source can have is read there, run by run."""
    by_name = {case.record.shard: case for case in cases}
    mender = Mender(by_name)
    by_run: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_run[case.record.run_id].append(case)
    with progress("repair", len(cases), "shards") as shown:
        for run_id, members in by_run.items():
            run = archive.state.runs[run_id]
            source = _source(settings.source or run.source, settings.limits)
            files = _files(source, members)
            if source is not None and files:
                plan: Any = _Files(_plan_settings(archive, run), files)
                work = ArchivingRun(archive.store, source, run, plan, placement, finish=mender)
                for record, _ in work.shards(sorted(files)):
                    yield record, by_name[record.shard]
                    shown.advance()
            for case in members:
                if index_of(case.record) not in files:
                    yield mender(archive.store, case.record.shard, [], []), case
                    shown.advance()


def _files(source: Source | None, cases: list[Case]) -> dict[int, list[SourceFile]]:
    """The files that may be what is missing, by shard."""
    if source is None or not any(case.missing() for case in cases):
        return {}
    listing = {file.path: file for file in source.files()}
    files: dict[int, list[SourceFile]] = {}
    for case in cases:
        there = [
            replace(file, same_file=None)
            for row in case.missing()
            if (file := listing.get(row.path)) is not None
            and file.size_bytes == row.source_size_bytes
        ]
        if there:
            files[index_of(case.record)] = there
    return files


def _source(url: str, limits: Limits | None) -> Source | None:
    try:
        return Source(url, limits)
    except StorageError:
        return None


def _plan_settings(archive: Archive, run: RunRecord) -> PlanSettings:
    try:
        if not run.compaction:
            return archive.plan(run).settings
    except (FixityError, FormatError):
        pass
    (model_id,) = model_ids([run])
    return PlanSettings(model_id, keep=KEEP_FILE)  # of both ways the one that loses nothing


def _commit(archive: Archive, record: ShardRecord) -> None:
    data = {item.name: archive.store.get(item.name) for item in record.objects}
    archive.commit(repaired=(record,))
    put_back_after_commit(archive, data)


def _note(outcome: _Outcome, archive: Archive, record: ShardRecord, case: Case) -> None:
    lost = {row.path for row in archive.rows(record) if row.codec == LOST}
    outcome.shards.append(record.shard)
    outcome.files_mended += len(case.bad - lost)
    outcome.lost += sorted(lost - case.lost_before)


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
    help="Another copy of ARCHIVE, or another archive of the same files; may be given several "
    "times.",
)
@click.option("--source", help="Where the files are. [default: where they were archived from]")
@click.option(
    "--report",
    metavar="NAME",
    help="Repair what this report of seec verify names, reports/verify-..., without looking again.",
)
@ray_options
@store_options
def main(**options: Any) -> RepairSummary:
    """Mend what is damaged in ARCHIVE, and commit it.

    Objects come back byte for byte from a copy. Else a shard is made anew: of what is sound in it,
    of the same files in other archives, and of the source, where it still has files with the
    recorded digests. Files that are found nowhere are listed as lost; the archive is sound without
    them. Nothing that is there is changed.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
