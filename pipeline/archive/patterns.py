"""Which paths are asked for, and which shards may hold them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from typing import TypeVar
from unicodedata import normalize

from seec.schemas.commit import ShardRecord
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.rows import Row

T = TypeVar("T", Row, QuarantineRow)

# Up to here a path begins as the pattern does: what follows is wild, or has several Unicode forms.
_OPEN = re.compile(r"[*?[]|[^\x00-\x7f]")


class Patterns:
    """Shell patterns over paths, of which one must match (`*` matches `/`, too); none means all.

    A pattern is also the name of a file that has these very letters, brackets included, and of a
    folder with all that is in it. `./` before it says nothing. Unicode normal forms are not told
    apart.
    """

    def __init__(self, include: Sequence[str]) -> None:
        self._pattern = re.compile("|".join(map(_regex, include))) if include else None
        self._prefixes = [_OPEN.split(_tidy(one), maxsplit=1)[0] for one in include]

    @property
    def all(self) -> bool:
        """Whether every path matches."""
        return self._pattern is None

    def __call__(self, path: str) -> bool:
        """Whether a path matches."""
        return self._pattern is None or _matches(self._pattern, path)

    def among(self, paths: Sequence[str]) -> list[int]:
        """The indices of the paths that match."""
        if self._pattern is None:
            return list(range(len(paths)))
        return [index for index, path in enumerate(paths) if _matches(self._pattern, path)]

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


class MemberPatterns(Patterns):
    """The same for files: those that match, and those of which members may."""

    def among(self, paths: Sequence[str]) -> list[int]:
        """The indices of the files that may be, or hold, what is asked for."""
        if self._pattern is None:
            return list(range(len(paths)))
        return [index for index, path in enumerate(paths) if self._may_hold(path)]

    def may_be_in(self, shard: ShardRecord) -> bool:
        """As `Patterns.may_be_in`, for files that may hold what is asked for."""
        above = (one for prefix in self._prefixes for one in folders(prefix))
        return super().may_be_in(shard) or any(may_hold(shard, one) for one in above)

    def _may_hold(self, path: str) -> bool:
        if self(path):
            return True
        normal = path if path.isascii() else normalize("NFC", path)
        return any(
            prefix.startswith(f"{normal}/") or normal.startswith(prefix)
            for prefix in self._prefixes
        )


def folders(path: str) -> Iterator[str]:
    """What a path may be below: all that stands before one of its slashes."""
    return (path[:place] for place, letter in enumerate(path) if letter == "/")


class Unmatched:
    """Which of several patterns have matched no path so far."""

    def __init__(self, include: Sequence[str]) -> None:
        self._left = {one: re.compile(_regex(one)) for one in include}

    def see(self, path: str) -> None:
        """A path that is there."""
        if self._left:
            self._left = {k: v for k, v in self._left.items() if not _matches(v, path)}

    def seen(self, rows: Iterable[T]) -> Iterator[T]:
        """The rows, whose paths are there."""
        for row in rows:
            self.see(row.path)
            yield row

    @property
    def left(self) -> list[str]:
        """The patterns, as they were given."""
        return list(self._left)


def in_range(paths: Sequence[str], shard: ShardRecord) -> bool:
    """Whether the record of a shard says the truth of its paths, which are sorted."""
    return shard.path_range == ((paths[0], paths[-1]) if paths else None)


def may_hold(shard: ShardRecord, path: str) -> bool:
    """Whether a path may be among those of a shard, by what its record says."""
    return shard.path_range is not None and shard.path_range[0] <= path <= shard.path_range[1]


def _tidy(pattern: str) -> str:
    """A pattern without what says nothing, in one Unicode normal form."""
    return normalize("NFC", re.sub(r"^(\./+)+|^\.$|/+$", "", pattern))


def _regex(pattern: str) -> str:
    tidy = _tidy(pattern)
    if not tidy:
        return translate("*")
    folder = translate(f"{tidy}/*")
    letters = f"(?s:{re.escape(tidy)}(?:/.*)?)\\Z"
    # Letters that match as they are written, too: `cafe*` finds a name that has an accent apart.
    return "|".join(map(str, (translate(pattern), translate(tidy), folder, letters)))


def _matches(pattern: re.Pattern[str], path: str) -> bool:
    if pattern.match(path) is not None:
        return True
    return not path.isascii() and pattern.match(normalize("NFC", path)) is not None
