"""How much an archiving run holds at a time, whatever the number of files."""

# Memory that files and pixels on their way may take, per encoder.
BUDGET_BYTES = 96 << 20


def shards_in_work(encoders: int) -> int:
    """How many shards may be begun and not written."""
    return 2 + encoders // 4


def waiting_bytes(encoders: int, shard_bytes: int) -> int:
    """What shards in work may hold that waits for the rest of its shard, until no more is begun.

    shard_bytes: about so large are shards.
    """
    return shards_in_work(encoders) * shard_bytes


def store_bytes(encoders: int, shard_bytes: int) -> int:
    """What the store of objects has to hold: what is on its way, and what waits to be written."""
    return encoders * BUDGET_BYTES + waiting_bytes(encoders, shard_bytes)
