"""The driver of an archiving run: keeps a bounded amount of work in flight, yields whole shards."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from seec.pipeline.archive.known_files import KnownFiles
from seec.pipeline.archive.shard import write_shard
from seec.pipeline.routes.writing import RunModels, Small
from seec.pipeline.stages.batch import Batch, cut_batches, tapered
from seec.pipeline.stages.bounds import BUDGET_BYTES, shards_in_work, waiting_bytes
from seec.pipeline.stages.devices import AUTO, CPU, CUDA, choose, measure
from seec.pipeline.stages.executor import ClusterLost, Executor, NodeLost, Ticket, WorkerCrashed
from seec.pipeline.stages.pool import Pool
from seec.pipeline.stages.stacking import Stacked, StackPart, encode_stack, stack_parts
from seec.pipeline.stages.tasks import (
    READ,
    WRITE,
    Encoding,
    Finish,
    ReadReport,
    Segmentation,
    in_pieces,
    needs_segmenter,
    quarantined,
)
from seec.pipeline.stages.window import Failed, Steps, Takes, Window
from seec.pipeline.storage import Source, Store
from seec.schemas.archive import shard_name
from seec.schemas.commit import RunRecord, ShardRecord
from seec.schemas.errors import ModelError, SourceError, StorageError, UnreadableMask
from seec.schemas.plan import Plan, SourceFile
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.report import Timing

MAX_SHARD_ATTEMPTS = 3
_AHEAD = 8  # shards of one in work that may be begun before the first of them counts
_QUEUED = 2  # batches of an encoder: the one it is at, and the next
# Errors that are no file's fault.
_FATAL = (ModelError, StorageError, ImportError, ClusterLost)


@dataclass(eq=False)
class _Shard:
    """A shard in work: how many files are still to run, and what those that ran have left.

    names: further ones of its files, which need no work. entries: tickets of lists of entries.
    pictures: by pixel digest, the ticket of the entries of the first batch with this picture.
    small: images for stacks, each with the ticket of the drafts among which its own is. stacked:
    how many of them are still to be encoded. abandoned: whether it is made anew. shared_bytes:
    of files that share payloads of earlier runs.
    """

    index: int
    name: str
    names: list[SourceFile]
    files: int
    entries: list[Ticket] = field(default_factory=list)
    failed: list[QuarantineRow] = field(default_factory=list)
    pictures: dict[bytes, Ticket] = field(default_factory=dict)
    small: list[tuple[Small, Ticket]] = field(default_factory=list)
    stacked: int = 0
    abandoned: bool = False
    shared_bytes: int = 0
    read_s: float = 0.0
    segment_s: float = 0.0
    encode_s: float = 0.0


@dataclass(frozen=True)
class _Part:
    """A piece of work: a batch or a stack of a shard to encode, or neither to write the shard."""

    shard: _Shard
    batch: Batch | None = None
    stack: StackPart | None = None


@dataclass(frozen=True)
class _Encoded:
    """What comes of a batch. entries: tickets. refused: why images have no label map, by path."""

    entries: tuple[Ticket, ...]
    small: Ticket
    report: ReadReport
    refused: dict[str, UnreadableMask]
    segment_s: float
    encode_s: float


@dataclass(frozen=True)
class _Written:
    """What comes of a shard."""

    record: ShardRecord
    write_s: float


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
        executor: Executor,
        models: RunModels,
        on_files: Callable[[int], None] = lambda count: None,
        finish: Finish = write_shard,
        device: str = AUTO,
        on_choice: Callable[[str], None] = lambda line: None,
        known: KnownFiles | None = None,
    ) -> None:
        """models: those that the run encodes with. finish: writes a shard's objects.

        known: files of earlier runs, whose payloads files with the same bytes share.

        on_files: called with how many more files are done. device: of encoders, one of
        `pipeline.stages.devices`. on_choice: told where they run, if there was a choice. SeecError
        if there is no such device.
        """
        placement, chosen = choose(
            executor.placement, device, lambda: measure(executor, models.pixels)
        )
        if chosen:
            on_choice(chosen)
        self._placement = placement
        self._store, self._source = (
            store.shared_by(placement.cpus),
            source.shared_by(placement.cpus),
        )
        self._run, self._plan, self._executor, self._models = run, plan, executor, models
        self._on_files, self._finish_shard = on_files, finish
        self._known: Ticket = None if known is None else executor.share(known)
        starts = iter(range(placement.encoders))
        self._encoders = Pool(
            executor, placement.encoders, lambda: self._start_encoder(next(starts))
        )
        self._segmenters = self._start_segmenters() if needs_segmenter(plan.settings) else None
        self._max_shards = shards_in_work(placement.encoders)
        self._todo: deque[int] = deque()
        self._ordinals: dict[int, int] = {}
        self._yielded = 0
        self._needing: dict[int, bool] = {}
        self._in_work = 0  # shards that are begun and not written
        self._held: dict[_Shard, int] = {}  # bytes of theirs that wait to be written
        self._most_held = waiting_bytes(placement.encoders, plan.settings.shard_size_bytes)
        self._parts: deque[_Part] = deque()
        self._shard_attempts: dict[int, int] = {}
        self._window: Window[_Part, _Encoded | Stacked | _Written | None] = Window(
            executor,
            self._steps,
            split=_split,
            most_bytes=BUDGET_BYTES * placement.encoders,
            cost_bytes=lambda part: part.batch.cost_bytes if part.batch else 0,
            blames=lambda error: not isinstance(error, _FATAL),
        )

    def _start_encoder(self, number: int) -> Any:
        placement = self._placement
        on_gpu = number < placement.gpus
        options = placement.gpu_encoder_options if on_gpu else placement.encoder_options
        device = CUDA if on_gpu else CPU
        return self._executor.start(Encoding, options, device, *in_pieces(self._models))

    def _start_segmenters(self) -> Pool:
        placement = self._placement
        device = CUDA if placement.gpus else CPU
        entropy_models = self._models.pixels.profile.entropy_models
        what = (self._plan.settings, entropy_models, device)
        return Pool(
            self._executor,
            placement.segmenters,
            lambda: self._executor.start(Segmentation, placement.segmenter_options, *what),
        )

    def shards(self, indices: list[int]) -> Generator[tuple[ShardRecord, Timing]]:
        """Work on these shards of the plan; yield each once it and those before it are written.

        In this order whatever the timing: so are the commits that follow, and the archive digest.
        Once: at the end, whatever it is, the actors end.
        """
        self._todo = deque(indices)
        self._ordinals = {index: ordinal for ordinal, index in enumerate(indices)}
        written: dict[int, tuple[ShardRecord, Timing]] = {}
        try:
            for part, outcome in self._window.results(self._next_part):
                if part.batch is not None:
                    self._take_in(part.shard, part.batch, outcome)
                    if not part.shard.files:
                        self._finish(part.shard)
                elif part.stack is not None:
                    self._take_in_stack(part.shard, part.stack, outcome)
                elif isinstance(outcome, _Written):
                    self._in_work -= 1
                    self._held.pop(part.shard, None)
                    self._on_files(len(part.shard.names))
                    written[part.shard.index] = outcome.record, _timing(part.shard, outcome)
                    while written and (index := indices[self._yielded]) in written:
                        self._yielded += 1
                        yield written.pop(index)
                else:
                    self._begin_again(part.shard, outcome)
        finally:
            for pool in (self._encoders, self._segmenters):
                if pool is not None:
                    pool.close()

    def _next_part(self) -> _Part | None:
        """The next batch; of a shard that is begun now if that may be."""
        if self._window.is_busy and sum(self._held.values()) > self._most_held:
            return None
        if not self._parts and self._todo and self._may_begin(self._todo[0]):
            self._parts.extend(self._begin(self._todo.popleft(), not self._todo))
            self._in_work += 1
        return self._parts.popleft() if self._parts else None

    def _may_begin(self, index: int) -> bool:
        # What is written ahead of a slow shard does not count yet, and a crash would lose it.
        ahead = self._ordinals[index] - self._yielded
        if ahead and self._needs_pieces(index):
            return False
        return self._in_work < self._max_shards and ahead < _AHEAD * self._max_shards

    def _needs_pieces(self, index: int) -> bool:
        """Whether a shard can only be made once all before it count."""
        if index not in self._needing:
            self._needing[index] = any(file.is_whole for file in self._plan.shard(index))
        return self._needing[index]

    def _begin(self, index: int, is_last: bool) -> Iterator[_Part]:
        files = self._plan.shard(index)
        own = [file for file in files if file.same_file is None]
        names = [file for file in files if file.same_file is not None]
        shard = _Shard(index, shard_name(self._run.run_id, index), names, len(own))
        batches = list(cut_batches((file, None) for file in own))
        taper = _QUEUED * self._placement.encoders if is_last else 0
        yield from (_Part(shard, batch) for batch in tapered(batches, taper))
        if not own:
            yield _Part(shard)

    def _steps(self, part: _Part, suspect: bool) -> Steps[_Encoded | Stacked | _Written | None]:
        if part.stack is not None:
            return encode_stack(self._executor, self._encoders, _QUEUED, part.stack)
        if part.batch is None:
            return self._write(part.shard)
        return self._encode(part.shard, part.batch, suspect)

    def _encode(self, shard: _Shard, batch: Batch, suspect: bool) -> Steps[_Encoded]:
        what = (self._store, self._source, batch, suspect, self._run.run_id, self._plan.settings)
        read, drafts, small, stored = self._executor.submit(
            replace(READ, memory_bytes=batch.memory_bytes), *what, self._known
        )
        report: ReadReport = yield read
        yield Takes(report.held_bytes)
        if not report.encoded:
            return _Encoded((stored,), small, report, {}, 0.0, 0.0)
        # Not before: an encoder that starts late, or is slow, would leave its share to the end.
        encoder = yield self._encoders.place(_QUEUED)
        segmenter: Any = None
        entries: Ticket = None
        refused: dict[str, UnreadableMask] = {}
        segment_s, done = 0.0, False
        try:
            segmented = labelling = None
            others: list[Ticket] = []
            if self._segmenters is not None:
                segmenter = yield self._segmenters.place()
                segmented, *labelling = self._executor.call(segmenter, "segment", drafts, returns=3)
            elif not suspect:
                others = _known(shard, report)
            entries, seconds = self._executor.call(
                encoder, "encode", drafts, segmented, *others, returns=2
            )
            for digest in report.digests:
                shard.pictures.setdefault(digest, entries)
            encode_s: float = yield seconds
            if labelling is not None:
                refused = yield labelling[0]
                segment_s = yield labelling[1]
            done = True
        finally:
            if not done:
                _forget(shard, entries)
            self._encoders.give_back(encoder, failed=not done)
            if self._segmenters is not None and segmenter is not None:
                self._segmenters.give_back(segmenter, failed=not done)
        return _Encoded((stored, entries), small, report, refused, segment_s, encode_s)

    def _write(self, shard: _Shard) -> Steps[_Written | None]:
        """None if what the shard was made of is lost."""
        what = (shard.name, shard.failed, shard.names, self._finish_shard, self._plan.settings)
        record, seconds = self._executor.submit(WRITE, self._store, *what, *shard.entries)
        try:
            written: ShardRecord = yield record
            write_s: float = yield seconds
        except (NodeLost, WorkerCrashed):
            if not self._may_begin_again(shard):
                raise
            return None
        return _Written(written, write_s)

    def _may_begin_again(self, shard: _Shard) -> bool:
        """Whether to make a shard anew whose parts are lost: some losses are its own fault."""
        attempts = self._shard_attempts.get(shard.index, 0) + 1
        self._shard_attempts[shard.index] = attempts
        return attempts < MAX_SHARD_ATTEMPTS

    def _begin_again(self, shard: _Shard, outcome: object) -> None:
        """Make a shard anew whose parts are lost; raises what was raised on every attempt."""
        if isinstance(outcome, Failed):
            raise outcome.error
        if shard.abandoned:
            return
        shard.abandoned = True
        self._held.pop(shard, None)
        self._in_work -= 1
        self._todo.appendleft(shard.index)

    def _take_in(self, shard: _Shard, batch: Batch, outcome: object) -> None:
        """Keep what comes of a batch, and queue again the files that are left."""
        if isinstance(outcome, Failed):
            self._give_up(shard, batch, outcome)
            return
        assert isinstance(outcome, _Encoded)
        shard.entries += outcome.entries
        if not shard.abandoned:
            self._held[shard] = self._held.get(shard, 0) + outcome.report.held_bytes
        shard.small += [(one, outcome.small) for one in outcome.report.small]
        shard.failed += outcome.report.failed
        shard.failed += [
            quarantined(file, self._run.run_id, outcome.refused[file.path])
            for file in batch.files
            if file.path in outcome.refused
        ]
        shard.shared_bytes += outcome.report.shared_bytes
        shard.read_s += outcome.report.read_s
        shard.segment_s += outcome.segment_s
        shard.encode_s += outcome.encode_s
        again = [*cut_batches(outcome.report.deferred), *outcome.report.alone]
        self._window.add(_Part(shard, one) for one in again)
        self._count(shard, len(batch.files) - sum(len(one.files) for one in again))

    def _finish(self, shard: _Shard) -> None:
        """Go on with a shard all of whose files were read: its stacks first, if there are any."""
        parts = [_Part(shard, stack=stack) for stack in stack_parts(shard.small)]
        shard.stacked = len(shard.small)
        self._window.add(parts or [_Part(shard)])

    def _take_in_stack(self, shard: _Shard, stack: StackPart, outcome: object) -> None:
        """Keep what comes of a stack; store the images of one that no worker survives."""
        if isinstance(outcome, Failed):
            if isinstance(outcome.error, NodeLost) and self._may_begin_again(shard):
                self._begin_again(shard, None)
            elif stack.encode:
                self._window.add([_Part(shard, stack=replace(stack, encode=False))], suspect=True)
            else:
                raise outcome.error
            return
        assert isinstance(outcome, Stacked)
        shard.entries.append(outcome.entries)
        shard.encode_s += outcome.encode_s
        shard.stacked -= len(stack.paths)
        if not shard.stacked and not shard.abandoned:
            self._window.add([_Part(shard)])

    def _give_up(self, shard: _Shard, batch: Batch, outcome: Failed) -> None:
        """Store a file that no worker survives without looking inside; else put it aside."""
        if batch.decode:
            stored = _Part(shard, replace(batch, pixels=0, decode=False, passing_bytes=0))
            self._window.add([stored], suspect=True)
            return
        crashed = isinstance(outcome.error, WorkerCrashed | NodeLost)
        name = type(outcome.error).__name__
        reason = "took its worker down" if crashed else f"failed with {name}"
        failure = SourceError(f"{reason} on every attempt")
        shard.failed += [quarantined(file, self._run.run_id, failure) for file in batch.files]
        self._count(shard, len(batch.files))

    def _count(self, shard: _Shard, files: int) -> None:
        shard.files -= files
        self._on_files(files)


def _split(part: _Part) -> list[_Part]:
    if part.batch is not None:
        return [replace(part, batch=batch) for batch in part.batch.parts()]
    if part.stack is not None:
        return [replace(part, stack=stack) for stack in part.stack.parts()]
    return [part]


def _known(shard: _Shard, report: ReadReport) -> list[Ticket]:
    """Tickets of entries that have pictures of a batch, done or not."""
    found = (shard.pictures[digest] for digest in report.digests if digest in shard.pictures)
    return list(dict.fromkeys(found))


def _forget(shard: _Shard, entries: Ticket) -> None:
    """Leave out entries that will never be there."""
    for digest in [digest for digest, known in shard.pictures.items() if known is entries]:
        del shard.pictures[digest]


def _timing(shard: _Shard, outcome: _Written) -> Timing:
    done = outcome.record
    return Timing(
        shard=shard.name,
        files=done.files,
        quarantined=done.quarantined,
        source_size_bytes=done.source_size_bytes,
        blob_size_bytes=done.blob.size_bytes,
        shared_size_bytes=shard.shared_bytes,
        read_s=shard.read_s,
        segment_s=shard.segment_s,
        encode_s=shard.encode_s,
        write_s=outcome.write_s,
    )
