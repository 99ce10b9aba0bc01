"""The shards that a verification checks, and their order."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

from seec.schemas.commit import ShardRecord


def subset(shards: Iterable[ShardRecord], part: int, parts: int) -> list[ShardRecord]:
    """Part number `part`, from 1, of a fixed partition into `parts`."""
    return [s for s in shards if int.from_bytes(_digest(s.shard)[:8]) % parts == part - 1]


def share(shards: Sequence[ShardRecord], fraction: float, seed: int) -> list[ShardRecord]:
    """A random share of the shards, at least one, in their order. Depends on the seed only."""
    count = max(1, math.ceil(fraction * len(shards)))
    ranked = sorted(shards, key=lambda s: _digest(f"{seed}/{s.shard}"))
    chosen = {shard.shard for shard in ranked[:count]}
    return [shard for shard in shards if shard.shard in chosen]


def not_in(shards: Iterable[ShardRecord], before: Mapping[str, ShardRecord]) -> list[ShardRecord]:
    """The shards that an earlier state lacks or holds with other objects."""
    return [shard for shard in shards if before.get(shard.shard) != shard]


def oldest_first(shards: Iterable[ShardRecord], verified: Mapping[str, str]) -> list[ShardRecord]:
    """Sort shards by the time of their last verification; never verified ones come first.

    verified: time of the last verification by name of a blob; times sort as text.
    """
    return sorted(shards, key=lambda shard: verified.get(shard.blob.name, ""))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
