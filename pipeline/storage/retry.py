"""Transient errors are tried again, with growing pauses; permanent ones are named and raised."""

import asyncio
import errno
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fsspec.exceptions import FSTimeoutError  # pyright: ignore[reportMissingTypeStubs]

from schemas.errors import (
    ObjectExists,
    ObjectMissing,
    SeecError,
    StorageError,
    TransientStorageError,
)

T = TypeVar("T")

# EBUSY and EIO are how s3fs reports SlowDown, ServiceUnavailable and InternalError.
_TRANSIENT_ERRNO = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.EIO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
_TIMEOUTS = (TimeoutError, asyncio.TimeoutError, FSTimeoutError, ConnectionError)


@dataclass(frozen=True)
class Retry:
    """How often and how long: pauses grow from first_pause_s, doubling, with jitter."""

    attempts: int = 5
    first_pause_s: float = 0.2
    longest_pause_s: float = 10.0

    def call(self, what: str, action: Callable[[], T]) -> T:
        """The result of `action`, tried again while it fails in a transient way.

        what: the operation and its object, for messages. Raises ObjectExists, ObjectMissing,
        StorageError (permanent) or TransientStorageError (still failing after all attempts).
        """
        pause_s = self.first_pause_s
        for attempt in range(1, self.attempts + 1):
            try:
                return action()
            except SeecError as error:
                failure = error
            except (OSError, FSTimeoutError) as error:
                failure = classify(what, error)
            if not isinstance(failure, TransientStorageError) or attempt == self.attempts:
                raise failure
            time.sleep(random.uniform(pause_s / 2, pause_s))
            pause_s = min(2 * pause_s, self.longest_pause_s)
        raise AssertionError("at least one attempt")


def classify(what: str, error: Exception) -> StorageError:
    """Our error for one that a file system raised."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    message = f"{what}: {reason}"
    if isinstance(error, FileExistsError):
        return ObjectExists(message)
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(message)
    if isinstance(error, _TIMEOUTS) or getattr(error, "errno", None) in _TRANSIENT_ERRNO:
        return TransientStorageError(f"{message}; run again once the store answers")
    return StorageError(message)
