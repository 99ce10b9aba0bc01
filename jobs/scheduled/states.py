"""Where it is kept how each job stands: one folder for each job, with a state and a lease.

This is a place of its own, and not the archive: what failed must be kept when the store of the
archive is down, an account that archives may be one that replaces nothing there, and `seec gc`
names whatever is no part of an archive.
"""

from collections.abc import Generator
from contextlib import contextmanager

from seec.jobs.messages import warn
from seec.pipeline.archive.lease import Terms, holding
from seec.pipeline.storage import Store
from seec.schemas.archive import LOCKS
from seec.schemas.errors import FormatError, ObjectMissing, ObjectUnreadable
from seec.schemas.job_state import MAX_BYTES, JobState, parse, serialise

_STATE = "state.json"


class States:
    """The states of the jobs of one file."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> JobState:
        """How a job stands; as one that never ran if that cannot be read, with a warning.

        Raises StorageError if the store does not answer.
        """
        where = f"{name}/{_STATE}"
        try:
            return parse(where, self._store.get(where, MAX_BYTES))
        except ObjectMissing:
            return JobState()
        except (FormatError, ObjectUnreadable) as error:
            warn(f"{self._store.url}: {error}: job {name} counts as one that never ran")
            return JobState()

    def put(self, name: str, state: JobState) -> None:
        """Keep how a job stands. Raises StorageError."""
        self._store.put(f"{name}/{_STATE}", serialise(state))

    @contextmanager
    def held(self, name: str, terms: Terms | None = None) -> Generator[None]:
        """The right to run a job while the block runs; ArchiveLocked if another process has it.

        A process that was killed has it for six minutes more.
        """
        self._store.make_root(0o777)
        with holding(self._job(name), terms):
            yield

    def is_held(self, name: str) -> bool:
        """Whether a process runs the job, or was killed a short time ago."""
        return any(item.endswith(".json") for item in self._job(name).names(LOCKS))

    def _job(self, name: str) -> Store:
        make, (url, retry, limits, options) = self._store.__reduce__()
        return make(f"{url.rstrip('/')}/{name}", retry, limits, options)
