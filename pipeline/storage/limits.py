"""Limits on the use of a store: requests in flight at once, and bytes a second."""

import os
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

T = TypeVar("T")

_SMALL_BYTES = 64 << 10


@dataclass(frozen=True)
class Limits:
    """Limits of one process on one store.

    requests: in flight at once. bytes_per_s: read and written, on average; None is no limit.
    """

    requests: int = 16
    bytes_per_s: float | None = None

    def shared_by(self, processes: int) -> "Limits":
        """The limits of each process, so that all together keep the bytes a second."""
        if self.bytes_per_s is None:
            return self
        return replace(self, bytes_per_s=self.bytes_per_s / processes)


class Gate:
    """Lets requests to one store pass within the limits. Safe for many threads."""

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """clock, sleep: of seconds."""
        self._limits, self._clock, self._sleep = limits, clock, sleep
        self._slots = threading.BoundedSemaphore(limits.requests)
        self._guard = threading.Lock()
        self._free_at_s = float("-inf")

    def let(self, action: Callable[[], T], size_bytes: int = 0) -> T:
        """Make one request, and return what it returns.

        size_bytes: bytes that the request sends; returned bytes count, too. A large request returns
        no sooner than a line with the allowed bytes a second would have carried all bytes so far.
        """
        with self._slots:
            start_s = self._clock()
            try:
                result = action()
            finally:
                self._count(size_bytes, start_s)
        received = len(result) if isinstance(result, bytes) else 0
        self._count(received, start_s)
        # Small requests do not wait: a lease must be renewed in time, even while large ones run.
        if size_bytes + received > _SMALL_BYTES:
            self._wait()
        return result

    def _count(self, size_bytes: int, start_s: float) -> None:
        if self._limits.bytes_per_s is not None:
            with self._guard:
                free_at_s = max(self._free_at_s, start_s)
                self._free_at_s = free_at_s + size_bytes / self._limits.bytes_per_s

    def _wait(self) -> None:
        wait_s = self._free_at_s - self._clock()
        if wait_s > 0:
            self._sleep(wait_s)


@cache
def gate_of(store: Hashable, limits: Limits) -> Gate:
    """The gate of a store with these limits, one for the whole process.

    store: identifies the store.
    """
    return Gate(limits)


# A thread that is not in the new process may hold a gate.
os.register_at_fork(after_in_child=gate_of.cache_clear)
