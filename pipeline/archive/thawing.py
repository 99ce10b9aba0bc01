"""Blobs in cold storage: which ones rows need, and requests to thaw them."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.storage import Store
from seec.pipeline.storage.parts import FROZEN, THAWED
from seec.schemas.commit import ShardRecord


@dataclass(frozen=True)
class Cold:
    """An object that cannot be read now. state: `frozen`, or `thawing` where that was requested."""

    name: str
    size_bytes: int
    state: str


def cold_blobs(store: Store, shards: Iterable[ShardRecord]) -> dict[str, int]:
    """Sizes of the blobs of shards that are in a class of cold storage, by name; thawed or not.

    Lists the blobs of their runs, and only on S3.
    """
    wanted = {blob.name for shard in shards for blob in (shard.blob, *shard.referenced)}
    folders = sorted({name.rpartition("/")[0] for name in wanted})
    found: dict[str, int] = {}
    for part in each_ahead(store.cold, folders):
        found |= {name: size for name, size in part.items() if name in wanted}
    return found


def unreadable_now(store: Store, cold: dict[str, int]) -> list[Cold]:
    """The objects of cold storage that are not thawed."""
    states = each_ahead(store.thawing, cold)
    found = (Cold(name, cold[name], state) for name, state in zip(cold, states, strict=True))
    return [one for one in found if one.state != THAWED]


def request_thaw(store: Store, objects: Iterable[Cold], days: int, tier: str) -> None:
    """Request a thaw of all objects whose thaw was not requested yet."""
    frozen = [one.name for one in objects if one.state == FROZEN]
    for _ in each_ahead(lambda name: store.thaw(name, days, tier), frozen):
        pass


def wait_for(
    store: Store,
    objects: list[Cold],
    every_s: float,
    end_s: float,
    on_thawed: Callable[[int], None] = lambda _: None,
) -> list[Cold]:
    """Wait until all objects can be read, or until a time; those that cannot be read by then.

    end_s: by `time.monotonic`. on_thawed: told how many more can be read.
    """
    left = objects
    while left:
        still = unreadable_now(store, {one.name: one.size_bytes for one in left})
        on_thawed(len(left) - len(still))
        left = still
        left_s = end_s - time.monotonic()
        if not left or left_s <= 0:
            break
        time.sleep(min(every_s, left_s))
    return left
