"""Which time-stamps count, and since when a commit and the files beside it were there.

Whoever can break an algorithm can make time-stamps of any day with it. So one whose algorithm has
ended counts only if a newer one, from before that end, covers its file: that was there by then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

# Object identifiers of hashes, and since when nobody should rely on them.
ENDS = {
    "1.2.840.113549.2.5": ("MD5", datetime(2009, 1, 1, tzinfo=UTC)),
    "1.3.14.3.2.26": ("SHA-1", datetime(2017, 1, 1, tzinfo=UTC)),
}


@dataclass(frozen=True)
class Stamp:
    """A sound time-stamp. name: of its file. algorithms: object identifiers of the hashes in it.

    covers: the hex SHA-512 of files beside the commit that it is of, by their names.
    """

    name: str
    time_s: float
    algorithms: Collection[str]
    covers: Mapping[str, str]

    @property
    def end_s(self) -> float:
        """Until when its algorithms are to be trusted."""
        return min((end.timestamp() for _, end in self._ends()), default=float("inf"))

    def why_ended(self) -> str:
        """In words, which algorithm has ended, and when."""
        return ", ".join(
            f"{name} is not trusted since {end:%Y-%m-%d}" for name, end in self._ends()
        )

    def _ends(self) -> list[tuple[str, datetime]]:
        return [ENDS[one] for one in self.algorithms if one in ENDS]


@dataclass
class Since:
    """Since when things were there at the latest, in seconds since 1970.

    commit_s: None if no time-stamp counts. files_s: of files beside the commit, by name. ended:
    time-stamps that do not count, and why not.
    """

    commit_s: float | None = None
    files_s: dict[str, float] = field(default_factory=dict[str, float])
    ended: dict[str, str] = field(default_factory=dict[str, str])


def since(stamps: Sequence[Stamp], digests: Mapping[str, str], now_s: float) -> Since:
    """What the time-stamps of a commit say. digests: the hex SHA-512 of files beside the commit."""
    found, counting = Since(), list[Stamp]()
    for stamp in sorted(stamps, key=lambda one: -one.time_s):
        renewed = any(
            newer.time_s < stamp.end_s and newer.covers.get(stamp.name) == digests[stamp.name]
            for newer in counting
        )
        if now_s < stamp.end_s or renewed:
            counting.append(stamp)
        else:
            found.ended[stamp.name] = (
                f"{stamp.why_ended()}, and no time-stamp from before that covers this one"
            )
    found.commit_s = min((stamp.time_s for stamp in counting), default=None)
    for stamp in counting:
        for name, digest in stamp.covers.items():
            if digests.get(name) == digest:
                known = found.files_s.get(name, stamp.time_s)
                found.files_s[name] = min(known, stamp.time_s)
    return found
