"""Keep writers apart where the store does not: by a lease, a lock that ends by itself.

Where an exclusive write is refused if the name is taken, commits alone keep writers apart, and
nothing here is needed. Some stores replace silently. There each writer

- puts a lock of its own name, *then* lists all locks. Of two writers at least one sees the other,
  whatever the order, if the store lists what was written. Who sees another gives way.
- puts another lock beside its own every quarter of the lease and then removes the one before that:
  a listing that is made meanwhile sees one of them, even if it takes its time. It looks before and
  after each commit whether its lock is still there.
- takes no heed of a lock that was not written for a lease and a margin, and removes it. Ages are
  differences of times that the *store* gave, so the clocks of the writers do not matter. Whoever
  wakes up after its lease ended (a laptop that slept) finds its lock gone and stops.

What this cannot promise: a writer that stands still between its last look and the write that
follows, for longer than lease and margin, may replace a commit of its successor. Its look
afterwards says so.
"""

import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

from seec.pipeline.storage import Listed, Store
from seec.schemas.archive import LOCKS, lock_name
from seec.schemas.errors import ArchiveLocked, SeecError, StorageError
from seec.schemas.limits import MAX_HEADER_BYTES

# How often, and how far apart, a listing is asked for until it shows what was just written.
_LISTINGS = 5
_LISTING_PAUSE_S = 0.2


@dataclass(frozen=True)
class Terms:
    """Of a lease, in seconds: how long it lasts, what is added before others take over.

    attempts, pause_s: how often, and how far apart at most, a writer asks that met another.
    """

    lease_s: float = 300.0
    margin_s: float = 60.0
    attempts: int = 4
    pause_s: float = 2.0


class Lease:
    """The right to write, held by one process at a time."""

    def __init__(self, store: Store, terms: Terms | None = None) -> None:
        self._store = store
        self._terms = terms or Terms()
        self.name = ""
        self._before = ""
        self._renewed = float("-inf")
        self._guard = threading.Lock()
        self._released = threading.Event()

    def acquire(self) -> None:
        """Take the lease; ArchiveLocked if another writer has it."""
        for attempt in range(1, self._terms.attempts + 1):
            start = _now()
            self.name = self._put()
            try:
                self._give_way()
            except BaseException as error:
                with suppress(StorageError):
                    self._remove()
                if not isinstance(error, ArchiveLocked) or attempt == self._terms.attempts:
                    raise
                # Two that came at the same moment have both given way; chance decides.
                time.sleep(random.uniform(0, self._terms.pause_s))
            else:
                self._renewed = start
                return

    def check(self) -> None:
        """ArchiveLocked unless this writer still has the lease. Renews it where that is due."""
        with self._guard:
            if _now() - self._renewed > self._terms.lease_s / 4:
                self._renew()
            elif not self._store.exists(self.name):
                raise self._lost()

    def release(self) -> None:
        """Let the next writer in; without this it waits until the lease ends."""
        self._released.set()
        with self._guard, suppress(StorageError):
            self._remove()

    def keep(self) -> None:
        """Renew until released; errors are left to the next check."""
        while not self._released.wait(self._terms.lease_s / 8):
            with suppress(StorageError):
                self.check()

    def _renew(self) -> None:
        start = _now()
        if not self._store.exists(self.name):
            raise self._lost()
        # A new object, since some stores have neither the old nor the new one for a moment.
        new = self._put()
        if self._before:
            self._store.remove(self._before)
        self._before, self.name = self.name, new
        if _now() - self._renewed > self._terms.lease_s:
            # Another may have removed the lock, and begun, before the new one was there.
            try:
                self._give_way()
            except ArchiveLocked:
                self._remove()
                raise
        self._renewed = start

    def _give_way(self) -> None:
        """ArchiveLocked if there is a lock of another whose lease lasts; removes older ones."""
        locks = self._listed()
        mine = locks.pop(self.name)
        locks.pop(self._before, None)
        for other in locks.values():
            if not self._has_ended(other, mine):
                raise ArchiveLocked(
                    f"{self._store.url}: {_holder(self._store, other.name)} is writing to it; wait "
                    f"for that, then run again (it was killed? its lock {other.name} ends by "
                    f"itself {self._terms.lease_s + self._terms.margin_s:.0f} s later)"
                )
        for other in locks.values():
            self._store.remove(other.name)

    def _listed(self) -> dict[str, Listed]:
        """All locks by name, this one among them."""
        for _ in range(_LISTINGS):
            listing = self._store.listed(LOCKS)
            locks = {item.name: item for item in listing if item.name.endswith(".json")}
            if self.name in locks:
                return locks
            time.sleep(_LISTING_PAUSE_S)
        raise StorageError(
            f"{self._store.url}: does not list {self.name}, which was just written; such a store "
            "cannot keep writers apart: use another"
        )

    def _has_ended(self, other: Listed, mine: Listed) -> bool:
        if other.modified_s is None or mine.modified_s is None:
            return False
        return mine.modified_s - other.modified_s > self._terms.lease_s + self._terms.margin_s

    def _lost(self) -> ArchiveLocked:
        return ArchiveLocked(
            f"{self._store.url}: another writer took over, since this one was not heard of for "
            "longer than its lease; run again, and seec verify if this happened during a commit"
        )

    def _remove(self) -> None:
        for name in filter(None, (self.name, self._before)):
            self._store.remove(name)

    def _put(self) -> str:
        """Write a lock under a new name, and return that."""
        name = lock_name(secrets.token_hex(8))
        holder = {"host": socket.gethostname(), "pid": os.getpid()}
        self._store.put_new(name, json.dumps(holder).encode())
        return name


@contextmanager
def writer(store: Store, terms: Terms | None = None) -> Generator[Lease | None]:
    """The right to write while the block runs; None where the store itself keeps writers apart.

    ArchiveLocked if another writer has it.
    """
    if store.refuses_to_replace(LOCKS):
        yield None
        return
    with holding(store, terms) as lease:
        yield lease


@contextmanager
def holding(store: Store, terms: Terms | None = None) -> Generator[Lease]:
    """A lease of the store while the block runs, whatever the store refuses.

    ArchiveLocked if another has it.
    """
    lease = Lease(store, terms)
    lease.acquire()
    keeper = threading.Thread(target=lease.keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        lease.release()
        keeper.join()


def _holder(store: Store, name: str) -> str:
    try:
        found: Any = json.loads(store.get(name, MAX_HEADER_BYTES))
    except (ValueError, RecursionError, SeecError):
        return "another writer"
    holder = cast(dict[str, Any], found) if isinstance(found, dict) else {}
    return f"process {holder.get('pid')} on {holder.get('host')}"


def _now() -> float:
    """Seconds, also those that the machine slept."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
