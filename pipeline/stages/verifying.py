"""Verification: shards, then their images, with a bounded amount of work in flight."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from seec.pipeline.archive.models import archived_models
from seec.pipeline.stages.executor import Executor, Task
from seec.pipeline.stages.window import Failed, Steps, Window
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import mend
from seec.pipeline.verify.sample import sample
from seec.pipeline.verify.shards import (
    ShardCheck,
    check_images,
    check_shard,
    image_finding,
    without_model,
)
from seec.schemas.commit import ShardRecord
from seec.schemas.manifest import Row
from seec.schemas.report import Checked, Finding

CHECKSUM, DECODE, SAMPLE = MODES = ("checksum", "decode", "sample")
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


def _check_images(store: Store, blob: str, rows: list[Row]) -> Checked:
    return check_images(store, blob, rows, archived_models(store, rows))


_SHARD, _IMAGES = Task(check_shard), Task(_check_images)


@dataclass(frozen=True)
class _Check:
    """A piece of work: a shard's objects, or images of these rows."""

    shard: ShardRecord
    rows: list[Row] | None = None

    def parts(self) -> "list[_Check]":
        return [self] if self.rows is None else [replace(self, rows=[row]) for row in self.rows]


def verify_shards(
    store: Store,
    shards: Iterable[ShardRecord],
    scope: Scope,
    models: frozenset[str],
    executor: Executor,
) -> Iterator[Checked]:
    """Check shards and yield what was checked as it is done.

    models: ids of the archive's sound models. Objects come once; blobs come again for each group
    of images that was decoded.
    """
    cpus = executor.placement.cpus
    shared, todo = store.shared_by(cpus), iter(shards)

    def steps(check: _Check, suspect: bool) -> Steps[ShardCheck | Checked]:
        if check.rows is None:
            return (yield executor.submit(_SHARD, shared, check.shard))
        return (yield executor.submit(_IMAGES, shared, check.shard.blob.name, check.rows))

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
            ready = [row for row in chosen if row.model_id is None or row.model_id in models]
            window.add(_Check(check.shard, group) for group in group_rows(ready))


def _crashed(store: Store, check: _Check) -> Checked:
    """The finding about what no worker survives."""
    if check.rows is None:
        name, detail = check.shard.manifest.name, "checking the shard takes the worker down"
        return Checked(name, findings=(Finding("manifest-damaged", name, detail, mend(store)),))
    (row,), blob = check.rows, check.shard.blob.name
    detail = f"{row.path}: decoding it takes the worker down"
    found = image_finding(store, blob, row, "image-undecodable", detail)
    return Checked(blob, decoded=1, findings=(found,))


def group_rows(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Consecutive rows in groups of a bounded number of images and pixels."""
    group: list[Row] = []
    pixels = 0
    for row in rows:
        image, samples = row.image, row.samples
        size = max(image.pixels if image else 0, samples.size_bytes // 3 if samples else 0)
        if group and (len(group) == _MAX_ROWS or pixels + size > _MAX_PIXELS):
            yield group
            group, pixels = [], 0
        group.append(row)
        pixels += size
    if group:
        yield group
