"""Findings about objects that cannot be had, and what to do next."""

import shlex

from seec.pipeline.storage import Store
from seec.schemas.errors import (
    BlobMissing,
    BlobUnreadable,
    ObjectMissing,
    ObjectUnreadable,
    SeecError,
)
from seec.schemas.report import Finding

Paths = tuple[str, ...]


def copy_back(store: Store) -> str:
    """The next step for an object that only another copy of the archive can mend."""
    return f"seec repair {shlex.quote(store.url)} --from COPY"


def mend(store: Store) -> str:
    """The next step for a part of a shard, which the source may mend."""
    return f"seec repair {shlex.quote(store.url)}"


def fault(name: str, kind: str, error: SeecError, next_step: str, paths: Paths = ()) -> Finding:
    """The finding `<kind>-missing`, `<kind>-unreadable` or `<kind>-damaged`, by what was raised."""
    if isinstance(error, BlobMissing | ObjectMissing):
        return Finding(f"{kind}-missing", name, "is gone", next_step, paths)
    if isinstance(error, BlobUnreadable | ObjectUnreadable):
        return Finding(f"{kind}-unreadable", name, str(error), next_step, paths)
    return Finding(f"{kind}-damaged", name, str(error), next_step, paths)
