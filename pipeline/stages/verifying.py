"""Verification: shards, then their images, with a bounded amount of work in flight."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.pieces import holders
from seec.pipeline.archive.shard import by_blob, models_of
from seec.pipeline.stages.executor import Executor, Task
from seec.pipeline.stages.process import give_memory_back
from seec.pipeline.stages.window import Failed, Steps, Window
from seec.pipeline.storage import Store
from seec.pipeline.verify.faults import mend
from seec.pipeline.verify.sample import sample
from seec.pipeline.verify.shards import (
    ShardCheck,
    check_images,
    check_shard,
    image_finding,
    without_model,
)
from seec.schemas.commit import ShardRecord
from seec.schemas.report import CHECKSUM, DECODE, Checked, Finding
from seec.schemas.routes import PIECES
from seec.schemas.rows import Row

# One unit of work: enough to be worth a task, little enough to spread.
_MAX_ROWS = 16
_MAX_PIXELS = 4_000_000


@dataclass(frozen=True)
class Scope:
    """What to check: mode, and for `sample` the fraction of images and the seed that picks them."""

    mode: str = DECODE
    fraction: float = 0.05
    seed: int = 0

    def choose(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of a shard that are decoded."""
        if self.mode == CHECKSUM:
            return []
        return list(rows) if self.mode == DECODE else sample(rows, self.fraction, self.seed)


def _check_images(store: Store, blob: str, rows: list[Row], shards: list[ShardRecord]) -> Checked:
    checked = check_images(store, blob, rows, archived_models(store, rows), shards)
    give_memory_back()
    return checked


_SHARD, _IMAGES = Task(check_shard), Task(_check_images)


@dataclass(frozen=True)
class _Check:
    """A piece of work: a shard's objects, or images of these rows, which are of one blob."""

    shard: ShardRecord
    rows: list[Row] | None = None

    @property
    def blob(self) -> str:
        """That has the payloads of the rows."""
        row = self.rows[0] if self.rows else None
        return (row and row.blob) or self.shard.blob.name

    def parts(self) -> "list[_Check]":
        return [self] if self.rows is None else [replace(self, rows=[row]) for row in self.rows]


def verify_shards(
    store: Store,
    shards: Iterable[ShardRecord],
    scope: Scope,
    models: frozenset[str],
    executor: Executor,
    kept: Sequence[ShardRecord] = (),
) -> Iterator[Checked]:
    """Check shards and yield what was checked as it is done.

    models: ids of the archive's sound models. kept: all shards of the archive, among which those
    with pieces of files are. Objects come once; blobs come again for each group
    of images that was decoded.
    """
    cpus = executor.placement.cpus
    shared, todo = store.shared_by(cpus), iter(shards)
    own = {shard.blob for shard in kept}

    def steps(check: _Check, suspect: bool) -> Steps[ShardCheck | Checked]:
        if check.rows is None:
            alone = [blob for blob in check.shard.referenced if blob not in own]
            return (yield executor.submit(_SHARD, shared, check.shard, alone))
        cut = (row.path for row in check.rows if row.route == PIECES)
        others = [shard for path in cut for shard in holders(kept, path)]
        return (yield executor.submit(_IMAGES, shared, check.blob, check.rows, others))

    def next_check() -> _Check | None:
        shard = next(todo, None)
        return None if shard is None else _Check(shard)

    window = Window(executor, steps, split=_Check.parts, most=2 * cpus)
    for check, outcome in window.results(next_check):
        if isinstance(outcome, Failed):
            yield _crashed(store, check)
        elif isinstance(outcome, Checked):
            yield outcome
        else:
            yield from outcome.checked
            chosen, blob = scope.choose(outcome.sound), check.shard.blob.name
            if lacking := tuple(without_model(store, blob, chosen, models)):
                yield Checked(blob, findings=lacking)
            ready = [row for row in chosen if models.issuperset(models_of([row]))]
            for _, some in by_blob(check.shard, ready):
                window.add(_Check(check.shard, group) for group in group_rows(some))


def _crashed(store: Store, check: _Check) -> Checked:
    """The finding about what no worker survives."""
    if check.rows is None:
        name, detail = check.shard.manifest.name, "checking the shard takes the worker down"
        return Checked(name, findings=(Finding("manifest-damaged", name, detail, mend(store)),))
    (row,), blob = check.rows, check.blob
    detail = f"{row.path}: decoding it takes the worker down"
    found = image_finding(store, blob, row, "image-undecodable", detail)
    return Checked(blob, decoded=1, findings=(found,))


def group_rows(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Consecutive rows in groups of a bounded number of images and pixels."""
    group: list[Row] = []
    pixels = 0
    for row in rows:
        size = sum(map(_pixels, row.tree()))
        alone = row.route == PIECES  # it asks for other shards, and may take long
        if group and (alone or len(group) == _MAX_ROWS or pixels + size > _MAX_PIXELS):
            yield group
            group, pixels = [], 0
        group.append(row)
        pixels += _MAX_PIXELS if alone else size
    if group:
        yield group


def _pixels(row: Row) -> int:
    image, samples = row.image, row.samples
    return max(image.pixels if image else 0, samples.size_bytes // 3 if samples else 0)
