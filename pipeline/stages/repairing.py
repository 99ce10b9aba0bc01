"""Repair: objects from copies, then shards anew, with files of the source where need be."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.runs import put
from seec.pipeline.archive.runs import put_back as put_back_after_commit
from seec.pipeline.archive.sources import follows_links
from seec.pipeline.codec import Model, default_model
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.repair.copies import same_files
from seec.pipeline.repair.damage import Damaged
from seec.pipeline.repair.parity import mend_shard
from seec.pipeline.repair.records import put_back
from seec.pipeline.repair.shards import Case, Mender, examine, index_of
from seec.pipeline.routes.writing import RunModels
from seec.pipeline.stages.archiving import ArchivingRun
from seec.pipeline.stages.executor import Executor
from seec.pipeline.stages.run_models import find_model
from seec.pipeline.storage import Limits, Source, Store
from seec.schemas.archive import model_name
from seec.schemas.commit import RunRecord, ShardRecord, SourceRecord
from seec.schemas.errors import (
    FixityError,
    FormatError,
    StorageError,
    StoreUnavailable,
)
from seec.schemas.plan import KEEP_FILE, Plan, PlanSettings, SourceFile
from seec.schemas.report import Finding
from seec.schemas.rows import Row


@dataclass
class Outcome:
    """What became of the damage.

    objects: names of those that were put back byte for byte. shards: those that were made anew.
    files_mended: how many files of those are whole again. lost: paths that were found nowhere.
    left: what could not be repaired. beyond_parity: of which shards more is damaged than parity can
    mend, in words.
    """

    objects: list[str]
    left: list[Finding]
    shards: list[str] = field(default_factory=list[str])
    files_mended: int = 0
    lost: list[str] = field(default_factory=list[str])
    beyond_parity: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Spares:
    """Where what is damaged may be whole.

    copies: of the archive, or other archives of the same files. source: a URL of the files of the
    source of this name; None stands for where they were read. limits: of requests to sources.
    """

    copies: Sequence[Store] = ()
    source: str | None = None
    name: str = ""
    limits: Limits | None = None

    def source_of(self, known: SourceRecord) -> Source | None:
        """None if there is none. StoreUnavailable if the way to it is at fault."""
        given = self.source if known.name == self.name else None
        try:
            source = Source(given or known.url, self.limits, known.name)
            return source if given or source.record() == known else None
        except StoreUnavailable:
            raise
        except StorageError:
            return None


class Repair:
    """Mends damaged shards of an archive, and commits each as soon as it is whole.

    outcome: what came of it so far. Memory grows with the number of damaged files.
    """

    def __init__(
        self, archive: Archive, spares: Spares, executor: Executor, outcome: Outcome
    ) -> None:
        self.outcome = outcome
        self._archive, self._spares, self._executor = archive, spares, executor
        # By id, the files of models that files were encoded with.
        self._payloads: dict[str, bytes] = {}
        self._keeps: dict[str, str | None] = {}

    def put_back(self, damaged: Iterable[Damaged]) -> list[Case]:
        """Write the objects again that parity or a copy gives; the shards it is not enough for."""
        cases: list[Case] = []
        for shard in damaged:
            why = mend_shard(self._archive.store, shard.record) if shard.findings else None
            self.outcome.beyond_parity += [] if why is None else [why]
            parts = [
                (record.name, put_back(self._archive.store, self._spares.copies, record))
                for record in shard.record.objects
            ]
            if shard.findings and not shard.undecodable and all(whole for _, whole in parts):
                found = {finding.object for finding in shard.findings}
                known = self.outcome.objects  # a blob may be what several shards need
                known += [name for name, _ in parts if name in found and name not in known]
            elif (case := examine(self._archive, shard)) is not None:
                cases.append(case)
            else:
                self.outcome.left += shard.findings
        return self._with_found(cases, self._spares.copies)

    def make_anew(self, cases: list[Case], on_shard: Callable[[], None]) -> None:
        """Write these shards again. on_shard: told of each."""
        anew: list[tuple[ShardRecord, Case]] = []
        for record, case in self._mended(cases):
            if record != case.record or not case.whole:
                self._commit(record, case)
            anew.append((record, case))
            on_shard()
        self._from_each_other(anew)
        self._off_old_blobs(anew)

    def _off_old_blobs(self, anew: list[tuple[ShardRecord, Case]]) -> None:
        """Give shards their own payloads that refer to a blob in whose place there is another one.

        The blob would stay for them, and the parity of the shard that it was of does not cover it.
        """
        old = {case.record.blob for record, case in anew if record.blob != case.record.blob}
        for shard in list(self._archive.state.in_order()):
            if old.isdisjoint(shard.referenced):
                continue
            # Not whole: the mender is to write it anew, with all that is sound.
            case = examine(self._archive, Damaged(shard, (), frozenset()))
            if case is not None and not case.bad - case.lost_before:
                case = replace(case, whole=False)
                record = Mender({shard.shard: case})(self._archive.store, shard.shard, [], [])
                self._commit(record, case)

    def _from_each_other(self, anew: list[tuple[ShardRecord, Case]]) -> None:
        """Mend what the archive has elsewhere by now, such as a file that has moved in its source.

        Files that shared a payload are damaged together, and the source has them at other paths.
        """
        left = [
            replace(case, record=record, whole=True, rows=tuple(rows), bad=lost, lost_before=lost)
            for record, case in anew
            for rows in [self._archive.rows(record)]
            if (lost := frozenset(row.label for row in rows if row.lost))
        ]
        mender = Mender({case.record.shard: case for case in left})
        for case in self._with_found(left, [self._archive.store]):
            if case.found:
                mender.cases[case.record.shard] = case
                record = mender(self._archive.store, case.record.shard, [], [])
                self._commit(record, case)
                lost = {row.label for row in self._archive.rows(record) if row.lost}
                self.outcome.lost = [
                    path for path in self.outcome.lost if path in lost or path not in case.bad
                ]

    def _with_found(self, cases: list[Case], copies: Sequence[Store]) -> list[Case]:
        """The cases, with what these archives have of what is missing."""
        wanted = [row for case in cases for row in case.missing()]
        if not copies or not wanted:
            return cases
        models = self._archive.state.models
        # From here on copies are read by all processes.
        copies = [copy.shared_by(self._executor.placement.cpus) for copy in copies]
        exact = {
            row.source_digest
            for case in cases
            for row in case.missing()
            if self._every_byte(row, case.record)
        }
        served = same_files(copies, wanted, models, exact)
        return [
            replace(
                case,
                found={row.label: one for row in case.missing() if (one := served.of(row))},
            )
            for case in cases
        ]

    def _mended(self, cases: list[Case]) -> Iterator[tuple[ShardRecord, Case]]:
        """New records of the shards. What only the source can have is read there, run by run."""
        by_name = {case.record.shard: case for case in cases}
        mender = Mender(by_name)
        by_run: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            by_run[case.record.run_id].append(case)
        store = self._archive.store
        for run_id, members in by_run.items():
            run = self._archive.state.runs[run_id]
            source = self._spares.source_of(self._archive.state.sources[run.source.name])
            source = source and source.following(follows_links(self._archive, run.source.name))
            files = _files(source, members)
            if source is not None and files:
                models = self._models_for(run, members)
                plan = Plan.of(self._plan_settings(run, models), files)
                work = ArchivingRun(store, source, run, plan, self._executor, models, finish=mender)
                for record, _ in work.shards(sorted(files)):
                    yield record, by_name[record.shard]
            for case in members:
                if index_of(case.record) not in files:
                    yield mender(store, case.record.shard, [], []), case

    def _every_byte(self, row: Row, shard: ShardRecord) -> bool:
        """Whether every byte has to come back of a row of a shard."""
        keep = self._keep(shard.run_id)
        stored = row.samples is None and not row.lost
        return row.piece is not None or keep == KEEP_FILE or (keep is None and stored)

    def _keep(self, run_id: str) -> str | None:
        """How a run keeps files; None if nobody can tell."""
        if run_id not in self._keeps:
            run, keep = self._archive.state.runs[run_id], None
            if not run.compaction:
                with suppress(FixityError, FormatError):
                    keep = self._archive.plan(run).settings.keep
            self._keeps[run_id] = keep
        return self._keeps[run_id]

    def _plan_settings(self, run: RunRecord, models: RunModels) -> PlanSettings:
        # Of both ways to keep files the one that loses nothing, if the plan is gone.
        settings = PlanSettings("", keep=KEEP_FILE)
        if self._keep(run.run_id) is not None:
            settings = self._archive.plan(run).settings
        return replace(
            settings,
            model_id=models.pixels.id,
            jpeg_model_id=models.jpeg and models.jpeg.id,
        )

    def _models_for(self, run: RunRecord, cases: list[Case]) -> RunModels:
        """Models to encode files with: those that their rows, or their run, had, if there are."""
        known = [model_id for case in cases for model_id in case.record.models]
        pixels: Model | None = None
        jpeg: DctModel | None = None
        for model_id in (*known, run.model_id, run.jpeg_model_id):
            model = None if model_id is None else find_model(self._archive, model_id)
            if isinstance(model, Model):
                pixels = pixels or model
            else:
                jpeg = jpeg or model
        models = RunModels(pixels or default_model(), jpeg)
        for model in models:
            if model is not None:
                self._payloads[model.id] = model.payload
        return models

    def _commit(self, record: ShardRecord, case: Case) -> None:
        store = self._archive.store
        data = {item.name: store.get(item.name) for item in record.objects}
        for model_id in record.models:
            name = model_name(model_id)
            if model_id in self._payloads:
                data[name] = self._payloads[model_id]
                put(self._archive, name, data[name])
            else:
                data[name] = store.get(name)
        self._archive.commit(repaired=(record,), made_from=(case.record,))
        put_back_after_commit(self._archive, data)
        lost = {row.label for row in self._archive.rows(record) if row.lost}
        self.outcome.shards.append(record.shard)
        self.outcome.files_mended += len(case.bad - lost)
        self.outcome.lost += sorted(lost - case.lost_before)


def _files(source: Source | None, cases: list[Case]) -> dict[int, list[SourceFile]]:
    """The files that may be what is missing, by shard."""
    if source is None or not any(case.missing() for case in cases):
        return {}
    listing = {file.path: file for file in source.files()}
    files: dict[int, list[SourceFile]] = {}
    for case in cases:
        there = [_again(listing.get(row.path), row, case) for row in case.missing()]
        found = [file for file in there if file is not None]
        if found:
            files[index_of(case.record)] = found
    return files


def _again(file: SourceFile | None, row: Row, case: Case) -> SourceFile | None:
    """What may be the file, or the piece, of a row; None if that cannot be."""
    planned = case.planned.get(row.key)
    cut = planned is not None and planned.pieces is not None
    size_bytes = planned.size_bytes if planned is not None and cut else row.source_size_bytes
    if file is None or file.size_bytes != size_bytes:
        return None
    if planned is None or not cut:
        return replace(file, same_file=None)
    return replace(file, same_file=None, piece=planned.piece, pieces=planned.pieces)
