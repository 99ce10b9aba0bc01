"""The rows of a shard in a sample, which depend on the seed only."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence

from seec.schemas.rows import Row


def sample(rows: Sequence[Row], fraction: float, seed: int) -> list[Row]:
    """A share of the rows of every stratum (route, format, mode), at least one of each.

    fraction: 0 to 1. The choice depends on seed and path alone. In the order of `rows`.
    """
    strata: defaultdict[tuple[str, str | None, str | None], list[Row]] = defaultdict(list)
    for row in rows:
        kind = (row.image.format, row.image.mode) if row.image else (None, None)
        strata[row.route, *kind].append(row)
    chosen: set[str] = set()
    for members in strata.values():
        ranked = sorted(members, key=lambda row: _rank(row.path, seed))
        count = max(1, math.ceil(fraction * len(members)))
        chosen.update(row.path for row in ranked[:count])
    return [row for row in rows if row.path in chosen]


def _rank(path: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{path}".encode()).digest()
