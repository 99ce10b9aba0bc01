"""Which shards a verification looks at, and which first."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

from seec.schemas.commit import ShardRecord


def subset(shards: Iterable[ShardRecord], part: int, parts: int) -> list[ShardRecord]:
    """Part number `part`, from 1, of a partition that is the same at all times."""
    return [s for s in shards if int.from_bytes(_digest(s.shard)[:8]) % parts == part - 1]


def share(shards: Sequence[ShardRecord], fraction: float, seed: int) -> list[ShardRecord]:
    """A share of the shards, at least one: the same ones for the same seed. In their order."""
    count = max(1, math.ceil(fraction * len(shards)))
    ranked = sorted(shards, key=lambda s: _digest(f"{seed}/{s.shard}"))
    chosen = {shard.shard for shard in ranked[:count]}
    return [shard for shard in shards if shard.shard in chosen]


def not_in(shards: Iterable[ShardRecord], before: Mapping[str, ShardRecord]) -> list[ShardRecord]:
    """Those that an earlier state does not have, or has other objects for."""
    return [shard for shard in shards if before.get(shard.shard) != shard]


def oldest_first(shards: Iterable[ShardRecord], verified: Mapping[str, str]) -> list[ShardRecord]:
    """First those that were never verified, then by the time when they last were.

    verified: when a blob last was, by its name; times sort as text.
    """
    return sorted(shards, key=lambda shard: verified.get(shard.blob.name, ""))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
