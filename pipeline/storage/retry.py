"""Try again after transient errors, with growing pauses; name and raise permanent ones."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from seec.pipeline.storage.failures import classify
from seec.schemas.errors import SeecError, TransientStorageError

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How often to try, and how long to wait: pauses double from first_pause_s, with jitter.

    The defaults bridge about a minute without the store.
    """

    attempts: int = 10
    first_pause_s: float = 0.2
    longest_pause_s: float = 30.0

    def call(self, what: str, action: Callable[[], T]) -> T:
        """The result of `action`, which is tried again after each transient error.

        what: the operation and its object, for messages. Raises ObjectExists, ObjectMissing,
        StoreUnavailable, StorageError (permanent) or TransientStorageError (still failing after
        all attempts).
        """
        pause_s = self.first_pause_s
        for attempt in range(1, self.attempts + 1):
            try:
                return _named(what, action)
            except TransientStorageError:
                if attempt == self.attempts:
                    raise
            time.sleep(random.uniform(pause_s / 2, pause_s))
            pause_s = min(2 * pause_s, self.longest_pause_s)
        raise AssertionError("at least one attempt")


def _named(what: str, action: Callable[[], T]) -> T:
    """The result of `action`; its errors as ours.

    No variable may hold the error: error and frame would hold each other, and with them all callers
    and their values, such as actors that keep their CPUs until they are collected.
    """
    try:
        return action()
    except SeecError:
        raise
    except Exception as error:
        raise classify(what, error) from error
