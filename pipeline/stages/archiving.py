"""The driver of an archiving run: keeps a bounded amount of work in flight, yields whole shards."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from seec.pipeline.archive.archive import read_recorded
from seec.pipeline.archive.shard import write_shard
from seec.pipeline.codec import load_model
from seec.pipeline.stages.batch import Batch, cut_batches, tapered
from seec.pipeline.stages.cluster import CRASHES, Placement, cause_of
from seec.pipeline.stages.pool import Pool
from seec.pipeline.stages.tasks import (
    EncodeActor,
    Finish,
    ReadReport,
    SegmentActor,
    needs_segmenter,
    quarantined,
    read_batch,
    write,
)
from seec.pipeline.storage import Source, Store
from seec.schemas.archive import shard_name
from seec.schemas.commit import RunRecord, ShardRecord
from seec.schemas.errors import ModelError, SourceError, StorageError, UnreadableMask
from seec.schemas.manifest import QuarantineRow
from seec.schemas.plan import Plan, SourceFile
from seec.schemas.report import Timing

# Memory that files and pixels on their way may take, per encoder.
BUDGET_BYTES = 96 << 20
MAX_SHARD_ATTEMPTS = 3
_QUEUED = 2  # batches of an encoder: the one it is at, and the next


@dataclass
class _Shard:
    """A shard in work: batches still to run, and what those that ran have left in Ray.

    names: further ones of its files, which need no work. pictures: by pixel digest, the Ray object
    of the entries of the first batch with this picture.
    """

    index: int
    name: str
    waiting: deque[Batch]
    names: list[SourceFile]
    running: int = 0
    entries: list[Any] = field(default_factory=list)
    failed: list[QuarantineRow] = field(default_factory=list)
    pictures: dict[bytes, Any] = field(default_factory=dict)
    read_s: float = 0.0
    segment_s: float = 0.0
    encode_s: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether all that is left is to write it."""
        return not self.waiting and not self.running


@dataclass(frozen=True)
class _Reading:
    """A batch that is read: the Ray objects of what comes of it, beside its report."""

    batch: Batch
    shard: _Shard
    drafts: Any


@dataclass(frozen=True)
class _Labelling:
    """What a segmenter is asked for: Ray objects of the labels, of refusals, of seconds taken."""

    segmenter: Any
    segmented: Any
    refused: Any
    segment_s: Any


@dataclass(frozen=True)
class _Encoding:
    """A batch that was read and is encoded. entries: a Ray object.

    labelling: None where the encoder chooses all labels.
    """

    batch: Batch
    shard: _Shard
    report: ReadReport
    entries: Any
    encoder: Any
    labelling: _Labelling | None


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
        self._placement = placement
        options, count = placement.encoder_options, placement.encoders
        self._encoders = Pool(
            count,
            lambda: EncodeActor.options(**options).remote(
                self._store, run.encodes_with(), placement.device
            ),
        )
        self._segmenters = self._start_segmenters() if needs_segmenter(plan.settings) else None
        self._budget_bytes = BUDGET_BYTES * count
        self._max_shards = 2 + count // 4
        self._shards: list[_Shard] = []
        # Work in flight, by the Ray object to wait for, and what lies between.
        self._readings: dict[Any, _Reading] = {}
        self._read: deque[tuple[_Reading, ReadReport]] = deque()
        self._encodings: dict[Any, _Encoding] = {}
        self._writes: dict[Any, tuple[_Shard, Any]] = {}
        self._shard_attempts: dict[int, int] = {}

    def _start_segmenters(self) -> Pool:
        model = load_model(read_recorded(self._store, self._run.encodes_with()))
        settings, placement = self._plan.settings, self._placement
        return Pool(
            placement.segmenters,
            lambda: SegmentActor.options(**placement.segmenter_options).remote(
                settings, model.profile.entropy_models, placement.device
            ),
        )

    def shards(self, indices: list[int]) -> Iterator[tuple[ShardRecord, Timing]]:
        """Work on these shards of the plan and yield each as soon as its objects are written.

        Once: at the end, whatever it is, the actors end.
        """
        try:
            yield from self._shards_of(deque(indices))
        finally:
            for pool in (self._encoders, self._segmenters):
                if pool is not None:
                    pool.close()

    def _shards_of(self, todo: deque[int]) -> Iterator[tuple[ShardRecord, Timing]]:
        while todo or self._shards:
            while todo and len(self._shards) < self._max_shards:
                self._shards.append(self._begin(todo.popleft(), not todo))
            self._launch()
            self._assign()
            for ref in self._wait():
                if ref in self._readings:
                    self._take_in(self._readings.pop(ref), ref)
                elif ref in self._encodings:
                    self._land(self._encodings.pop(ref), ref)
                elif ref in self._writes:
                    shard, seconds = self._writes.pop(ref)
                    written = self._finish(shard, ref, seconds)
                    if written is None:
                        todo.appendleft(shard.index)
                    else:
                        yield written

    def _wait(self) -> list[Any]:
        """Something that is there; what has been read may wait for an actor to start."""
        pools = (self._encoders, self._segmenters) if self._read else ()
        starting = [ref for pool in pools if pool is not None for ref in pool.starting]
        done, _ = ray.wait(
            [*self._readings, *self._encodings, *self._writes, *starting], num_returns=1
        )
        return done

    def _begin(self, index: int, is_last: bool) -> _Shard:
        files = self._plan.shard(index)
        cut = list(cut_batches((file, None) for file in files if file.same_file is None))
        batches = deque(tapered(cut, _QUEUED * self._placement.encoders if is_last else 0))
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
        if self._in_flight():
            return
        self._encoders.wait_until_ready()
        if self._segmenters is not None:
            self._segmenters.wait_until_ready()
        for shard in self._shards:
            for batch in shard.waiting:
                if batch.suspect:
                    shard.waiting.remove(batch)
                    self._send(shard, batch)
                    return

    def _in_flight(self) -> list[Batch]:
        works = (*self._readings.values(), *self._encodings.values())
        return [work.batch for work in works] + [reading.batch for reading, _ in self._read]

    def _fits(self, batch: Batch) -> bool:
        in_flight = self._in_flight()
        cost_bytes = sum(other.cost_bytes for other in in_flight)
        return not in_flight or cost_bytes + batch.cost_bytes <= self._budget_bytes

    def _send(self, shard: _Shard, batch: Batch) -> None:
        """Have a batch read."""
        refs: Any = read_batch.remote(self._source, batch, self._run.run_id, self._plan.settings)
        report, drafts = refs
        self._readings[report] = _Reading(batch, shard, drafts)
        shard.running += 1

    def _take_in(self, reading: _Reading, ref: Any) -> None:
        """Queue a batch for an encoder, or for reading again if that failed."""
        try:
            report: ReadReport = ray.get(ref)
        except RayError as error:
            reading.shard.running -= 1
            self._retry(reading.shard, reading.batch, error)
        else:
            self._read.append((reading, report))

    def _assign(self) -> None:
        """Give what was read to encoders that have little to do.

        Not before: an encoder that starts late, or is slow, would leave its share to the end.
        """
        while self._read:
            encoder = self._encoders.take(_QUEUED)
            if encoder is None:
                return
            segmenter = None
            if self._segmenters is not None:
                segmenter = self._segmenters.take()
                if segmenter is None:
                    self._encoders.give_back(encoder)
                    return
            self._encode(*self._read.popleft(), encoder, segmenter)

    def _encode(
        self, reading: _Reading, report: ReadReport, encoder: Any, segmenter: Any | None
    ) -> None:
        labelling = None
        if segmenter is not None:
            labelling = _Labelling(segmenter, *segmenter.segment.remote(reading.drafts))
        segmented = labelling and labelling.segmented
        others = () if labelling else _others(reading, report)
        entries, encode_s = encoder.encode.remote(reading.drafts, segmented, *others)
        for digest in report.digests:
            reading.shard.pictures.setdefault(digest, entries)
        self._encodings[encode_s] = _Encoding(
            reading.batch, reading.shard, report, entries, encoder, labelling
        )

    def _land(self, encoding: _Encoding, ref: Any) -> None:
        """Take in a batch that has run, or queue its files again if it failed."""
        shard, batch, labelling = encoding.shard, encoding.batch, encoding.labelling
        shard.running -= 1
        self._encoders.give_back(encoding.encoder)
        refused: dict[str, UnreadableMask] = {}
        segment_s = 0.0
        if self._segmenters is not None and labelling is not None:
            self._segmenters.give_back(labelling.segmenter)
        try:
            encode_s: float = ray.get(ref)
            if labelling is not None:
                refused, segment_s = ray.get([labelling.refused, labelling.segment_s])
        except RayError as error:
            shard.pictures = {
                digest: entries
                for digest, entries in shard.pictures.items()
                if entries is not encoding.entries
            }
            self._retry(shard, batch, error)
            return
        shard.entries.append(encoding.entries)
        shard.failed += encoding.report.failed
        shard.failed += [
            quarantined(file, self._run.run_id, refused[file.path])
            for file in batch.files
            if file.path in refused
        ]
        deferred = encoding.report.deferred
        shard.waiting.extend(cut_batches(deferred))
        shard.read_s += encoding.report.read_s
        shard.segment_s += segment_s
        shard.encode_s += encode_s
        self._on_files(len(batch.files) - len(deferred))

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
        refs: Any = write.remote(self._store, *what, self._plan.settings)
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


def _others(reading: _Reading, report: ReadReport) -> list[Any]:
    """Ray objects of entries that have pictures of a batch, done or not; none for a suspect."""
    if reading.batch.suspect:
        return []
    known = reading.shard.pictures
    return list(dict.fromkeys(known[digest] for digest in report.digests if digest in known))
