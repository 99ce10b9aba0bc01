"""SIGTERM and SIGHUP end a job as Ctrl-C does: what is done counts, nothing is left running."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asks the job to end. number: of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def signal_of(error: KeyboardInterrupt) -> int:
    """The signal that an interruption came from; SIGINT, unless the error says another."""
    return error.number if isinstance(error, Interrupted) else signal.SIGINT


@contextmanager
def interruptible() -> Iterator[None]:
    """While the block runs, these signals raise Interrupted in the main thread.

    A signal that is ignored, as SIGHUP is below `nohup`, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {
        number: signal.signal(number, _interrupt)
        for number in _SIGNALS
        if signal.getsignal(number) == signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)
