"""The driver of an archiving run: keeps a bounded amount of work in flight, yields whole shards."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from pipeline.archive.archive import read_recorded
from pipeline.archive.shard import write_shard
from pipeline.codec import load_model
from pipeline.stages.batch import Batch, cut_batches
from pipeline.stages.cluster import CRASHES, Placement, cause_of
from pipeline.stages.pool import Pool
from pipeline.stages.tasks import (
    EncodeActor,
    Finish,
    ReadReport,
    SegmentActor,
    quarantined,
    read_batch,
    write,
)
from pipeline.storage import Source, Store
from schemas.archive import shard_name
from schemas.commit import RunRecord, ShardRecord
from schemas.errors import ModelError, SourceError, StorageError, UnreadableMask
from schemas.manifest import QuarantineRow
from schemas.plan import Plan, SourceFile
from schemas.report import Timing

# Memory that files and pixels on their way may take, per encoder.
BUDGET_BYTES = 96 << 20
MAX_SHARD_ATTEMPTS = 3


@dataclass
class _Shard:
    """A shard in work: batches still to run, and what those that ran have left in Ray.

    names: further ones of its files, which need no work.
    """

    index: int
    name: str
    waiting: deque[Batch]
    names: list[SourceFile]
    running: int = 0
    entries: list[Any] = field(default_factory=list)
    failed: list[QuarantineRow] = field(default_factory=list)
    read_s: float = 0.0
    segment_s: float = 0.0
    encode_s: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether all that is left is to write it."""
        return not self.waiting and not self.running


@dataclass(frozen=True)
class _Flight:
    """A batch in flight: the Ray objects to look at when `done` is there."""

    batch: Batch
    shard: _Shard
    report: Any
    entries: Any
    refused: Any
    segment_s: Any
    encode_s: Any
    segmenter: Any
    encoder: Any


class ArchivingRun:
    """Carries out the shards of a plan that do not count yet.

    Memory does not grow with the number of files: batches in flight are bounded by bytes, and
    shards in work by number. A shard's bytes depend on the plan alone, not on timing.
    """

    def __init__(
        self,
        store: Store,
        source: Source,
        run: RunRecord,
        plan: Plan,
        placement: Placement,
        on_files: Callable[[int], None] = lambda count: None,
        finish: Finish = write_shard,
    ) -> None:
        """on_files: told how many more files are done. finish: writes a shard's objects."""
        self._store, self._source = (
            store.shared_by(placement.cpus),
            source.shared_by(placement.cpus),
        )
        self._run, self._plan = run, plan
        self._on_files, self._finish_shard = on_files, finish
        options, count = placement.encoder_options, placement.encoders
        self._encoders = Pool(
            count,
            lambda: EncodeActor.options(**options).remote(self._store, run.model, placement.device),
        )
        experts = load_model(read_recorded(store, run.model)).profile.experts
        self._segmenters = Pool(
            placement.segmenters,
            lambda: SegmentActor.options(**placement.segmenter_options).remote(
                plan.settings, experts, placement.device
            ),
        )
        self._budget_bytes = BUDGET_BYTES * count
        self._max_shards = 2 + count // 4
        self._shards: list[_Shard] = []
        self._flights: dict[Any, _Flight] = {}
        self._writes: dict[Any, tuple[_Shard, Any]] = {}
        self._shard_attempts: dict[int, int] = {}

    def shards(self, indices: list[int]) -> Iterator[tuple[ShardRecord, Timing]]:
        """Work on these shards of the plan and yield each as soon as its objects are written."""
        todo = deque(indices)
        while todo or self._shards:
            while todo and len(self._shards) < self._max_shards:
                self._shards.append(self._begin(todo.popleft()))
            self._launch()
            waiting_for = [*self._flights, *self._writes]
            done, _ = ray.wait(waiting_for, num_returns=1)
            for ref in done:
                if ref in self._flights:
                    self._land(self._flights.pop(ref))
                else:
                    shard, seconds = self._writes.pop(ref)
                    written = self._finish(shard, ref, seconds)
                    if written is None:
                        todo.appendleft(shard.index)
                    else:
                        yield written

    def _begin(self, index: int) -> _Shard:
        files = self._plan.shard(index)
        batches = deque(cut_batches((file, None) for file in files if file.same_file is None))
        names = [file for file in files if file.same_file is not None]
        return _Shard(index, shard_name(self._run.run_id, index), batches, names)

    def _launch(self) -> None:
        for shard in self._shards:
            if shard.ready and all(shard is not other for other, _ in self._writes.values()):
                self._write(shard)
        if any(batch.suspect for shard in self._shards for batch in shard.waiting):
            self._launch_suspect()
            return
        for shard in self._shards:
            while shard.waiting and self._fits(shard.waiting[0]):
                self._send(shard, shard.waiting.popleft())

    def _launch_suspect(self) -> None:
        """Run one suspect with nothing beside it, so that no other file pays for its crash."""
        if self._flights:
            return
        self._encoders.wait_until_ready()
        self._segmenters.wait_until_ready()
        for shard in self._shards:
            for batch in shard.waiting:
                if batch.suspect:
                    shard.waiting.remove(batch)
                    self._send(shard, batch)
                    return

    def _fits(self, batch: Batch) -> bool:
        in_flight = sum(flight.batch.cost_bytes for flight in self._flights.values())
        return not self._flights or in_flight + batch.cost_bytes <= self._budget_bytes

    def _send(self, shard: _Shard, batch: Batch) -> None:
        segmenter, encoder = self._segmenters.take(), self._encoders.take()
        refs: Any = read_batch.remote(self._source, batch, self._run.run_id, self._plan.settings)
        report, drafts, paths, images = refs
        segmented, refused, segment_s = segmenter.segment.remote(paths, images)
        entries, encode_s = encoder.encode.remote(drafts, images, segmented)
        flight = _Flight(
            batch, shard, report, entries, refused, segment_s, encode_s, segmenter, encoder
        )
        self._flights[encode_s] = flight
        shard.running += 1

    def _land(self, flight: _Flight) -> None:
        """Take in a batch that has run, or queue its files again if it failed."""
        shard = flight.shard
        shard.running -= 1
        self._segmenters.give_back(flight.segmenter)
        self._encoders.give_back(flight.encoder)
        try:
            report: ReadReport
            refused: dict[str, UnreadableMask]
            report, refused, segment_s, encode_s = ray.get(
                [flight.report, flight.refused, flight.segment_s, flight.encode_s]
            )
        except RayError as error:
            self._retry(shard, flight.batch, error)
            return
        shard.entries.append(flight.entries)
        shard.failed += report.failed
        shard.failed += [
            quarantined(file, self._run.run_id, refused[file.path])
            for file in flight.batch.files
            if file.path in refused
        ]
        shard.waiting.extend(cut_batches(report.deferred))
        shard.read_s += report.read_s
        shard.segment_s += segment_s
        shard.encode_s += encode_s
        self._on_files(len(flight.batch.files) - len(report.deferred))

    def _retry(self, shard: _Shard, batch: Batch, error: RayError) -> None:
        cause = cause_of(error)
        if isinstance(cause, ModelError | StorageError | ImportError):
            raise cause from None
        retries = batch.retries()
        shard.waiting.extendleft(reversed(retries))
        if not retries:
            crashed = isinstance(cause, CRASHES)
            reason = "took its worker down" if crashed else f"failed with {type(cause).__name__}"
            failure = SourceError(f"{reason} on every attempt")
            shard.failed += [quarantined(file, self._run.run_id, failure) for file in batch.files]
            self._on_files(len(batch.files))

    def _write(self, shard: _Shard) -> None:
        what = (shard.name, shard.entries, shard.failed, shard.names, self._finish_shard)
        refs: Any = write.remote(self._store, *what)
        record, seconds = refs
        self._writes[record] = (shard, seconds)

    def _finish(
        self, shard: _Shard, record: Any, seconds: Any
    ) -> tuple[ShardRecord, Timing] | None:
        """The shard's record and timing, or None if what it was made of is lost."""
        self._shards.remove(shard)
        try:
            done: ShardRecord
            done, write_s = ray.get([record, seconds])
        except RayError as error:
            attempts = self._shard_attempts.get(shard.index, 0) + 1
            self._shard_attempts[shard.index] = attempts
            cause = cause_of(error)
            if isinstance(cause, CRASHES) and attempts < MAX_SHARD_ATTEMPTS:
                return None
            raise cause from None
        self._on_files(len(shard.names))
        return done, Timing(
            shard=shard.name,
            files=done.files,
            quarantined=done.quarantined,
            source_size_bytes=done.source_size_bytes,
            blob_size_bytes=done.blob.size_bytes,
            read_s=shard.read_s,
            segment_s=shard.segment_s,
            encode_s=shard.encode_s,
            write_s=write_s,
        )
