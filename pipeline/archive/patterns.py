"""Which paths are asked for, and which shards may hold them."""

import re
from collections.abc import Sequence
from fnmatch import translate

from seec.schemas.commit import ShardRecord

_WILD = re.compile(r"[*?[]")


class Patterns:
    """Shell patterns over paths, of which one must match (`*` matches `/`, too); none means all."""

    def __init__(self, include: Sequence[str]) -> None:
        self._pattern = re.compile("|".join(translate(one) for one in include)) if include else None
        self._prefixes = [_WILD.split(one, maxsplit=1)[0] for one in include]

    @property
    def all(self) -> bool:
        """Whether every path matches."""
        return self._pattern is None

    def __call__(self, path: str) -> bool:
        """Whether a path matches."""
        return self._pattern is None or self._pattern.match(path) is not None

    def among(self, paths: Sequence[str]) -> list[int]:
        """The indices of the paths that match."""
        if self._pattern is None:
            return list(range(len(paths)))
        match = self._pattern.match
        return [index for index, path in enumerate(paths) if match(path)]

    def may_be_in(self, shard: ShardRecord) -> bool:
        """Whether a path that matches may be among those of a shard, by what its record says."""
        if shard.path_range is None:
            return False
        if self._pattern is None:
            return True
        first, last = shard.path_range
        return any(
            last >= prefix and (first <= prefix or first.startswith(prefix))
            for prefix in self._prefixes
        )


def in_range(paths: Sequence[str], shard: ShardRecord) -> bool:
    """Whether the record of a shard says the truth of its paths, which are sorted."""
    return shard.path_range == ((paths[0], paths[-1]) if paths else None)
