"""Verification on Ray: shards, then their images, with a bounded amount of work in flight."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from seec.pipeline.archive.models import archived_model
from seec.pipeline.stages.cluster import CRASHES, fetch
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


@ray.remote
def _check_shard(store: Store, shard: ShardRecord) -> ShardCheck:
    return check_shard(store, shard)


@ray.remote
def _check_images(store: Store, blob: str, rows: list[Row]) -> Checked:
    ids = {row.model_id for row in rows if row.model_id is not None}
    return check_images(store, blob, rows, {i: archived_model(store, i) for i in ids})


def verify_shards(
    store: Store, shards: Iterable[ShardRecord], scope: Scope, models: frozenset[str], cpus: int
) -> Iterator[Checked]:
    """Check shards and yield what was checked as it is done.

    models: ids of the archive's sound models. cpus: of the cluster; twice as many tasks are in
    flight. Objects come once; blobs come again for each group of images that was decoded.
    """
    store, todo = store.shared_by(cpus), iter(shards)
    images: deque[tuple[ShardRecord, list[Row]]] = deque()
    flights: dict[Any, tuple[ShardRecord, list[Row] | None]] = {}
    more = True
    while more or images or flights:
        while len(flights) < 2 * cpus:
            if images:
                shard, rows = images.popleft()
                flights[_check_images.remote(store, shard.blob.name, rows)] = (shard, rows)
            elif more and (shard := next(todo, None)) is not None:
                flights[_check_shard.remote(store, shard)] = (shard, None)
            else:
                more = more and shard is not None
                break
        if not flights:
            continue
        (ref,), _ = ray.wait(list(flights), num_returns=1)
        shard, rows = flights.pop(ref)
        if rows is None:
            check = _landed_shard(store, shard, ref)
            yield from check.checked
            chosen = scope.choose(check.sound)
            blob = shard.blob.name
            if lacking := tuple(without_model(store, blob, chosen, models)):
                yield Checked(blob, findings=lacking)
            ready = [r for r in chosen if r.model_id is None or r.model_id in models]
            images.extend((shard, group) for group in group_rows(ready))
        else:
            yield from _land(store, shard, rows, ref, images)


def _landed_shard(store: Store, shard: ShardRecord, ref: Any) -> ShardCheck:
    try:
        return fetch(ref)
    except CRASHES:
        name, detail = shard.manifest.name, "checking the shard takes the worker down"
        found = Finding("manifest-damaged", name, detail, mend(store))
        return ShardCheck([Checked(name, findings=(found,))], [])


def _land(
    store: Store,
    shard: ShardRecord,
    rows: list[Row],
    ref: Any,
    images: deque[tuple[ShardRecord, list[Row]]],
) -> Iterator[Checked]:
    try:
        yield fetch(ref)
    except RayError as error:
        if not isinstance(error, CRASHES):
            raise
        if len(rows) > 1:
            images.extend((shard, [row]) for row in rows)
            return
        detail = f"{rows[0].path}: decoding it takes the worker down"
        found = image_finding(store, shard.blob.name, rows[0], "image-undecodable", detail)
        yield Checked(shard.blob.name, decoded=1, findings=(found,))


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
