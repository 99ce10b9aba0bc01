"""How far a command is, on stderr: a live bar, a line now and then, or nothing."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from seec.jobs import logs
from seec.jobs.messages import prints_json

_PATIENCE_S = 1.0  # work that is done sooner shows no progress
_LINE_INTERVAL_S = 15.0  # without a terminal; doubles after each line
_LONGEST_INTERVAL_S = 300.0


class Progress(Protocol):
    """How far the work is. Not safe to share between threads."""

    def advance(self, count: int = 1) -> None:
        """`count` more units are done."""
        ...

    def update(self, done: int, total: int | None = None) -> None:
        """`done` units are done, of `total` if that has changed."""
        ...


@contextmanager
def progress(label: str, total: int | None, unit: str) -> Iterator[Progress]:
    """Show progress on stderr while the block runs.

    total: units of work, None if not known yet. A live bar on a terminal, a line now and
    then elsewhere, nothing under --json or when the work is done within a second.
    """
    if prints_json():
        shown: _Counter = _Counter(label, total, unit)
    elif sys.stderr.isatty() and logs.current().format == logs.TEXT:
        shown = _Bar(label, total, unit)
    else:
        shown = _Lines(label, total, unit)
    try:
        yield shown
    finally:
        shown.close()


class _Counter:
    """Counts and shows nothing."""

    def __init__(self, label: str, total: int | None, unit: str):
        self._label, self._total, self._unit = label, total, unit
        self._done = 0
        self._start = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self.update(self._done + count)

    def update(self, done: int, total: int | None = None) -> None:
        self._done = done
        self._total = self._total if total is None else total
        elapsed_s = time.monotonic() - self._start
        if elapsed_s >= _PATIENCE_S:
            self._show(elapsed_s)

    def close(self) -> None:
        """The work is over, well or not."""

    def _show(self, elapsed_s: float) -> None:
        """Bring what the user sees up to date."""


class _Lines(_Counter):
    """A line now and then, for logs."""

    _next_s = _LINE_INTERVAL_S
    _interval_s = _LINE_INTERVAL_S
    _printed = -1

    def close(self) -> None:
        if self._printed not in (-1, self._done):
            self._print(time.monotonic() - self._start)

    def _show(self, elapsed_s: float) -> None:
        if elapsed_s >= self._next_s:
            self._interval_s = min(2 * self._interval_s, _LONGEST_INTERVAL_S)
            self._next_s = elapsed_s + self._interval_s
            self._print(elapsed_s)

    def _print(self, elapsed_s: float) -> None:
        self._printed = self._done
        of = f" of {self._total}" if self._total else ""
        speed = self._done / elapsed_s
        logs.current().event(
            logs.INFO,
            "progress",
            f"{self._label}: {self._done}{of} {self._unit}, {elapsed_s:.0f} s, {speed:.3g} "
            f"{self._unit}/s",
            done=self._done,
            total=self._total,
            unit=self._unit,
        )


class _Bar(_Counter):
    """A live bar on a terminal."""

    _bar: Any = None

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _show(self, elapsed_s: float) -> None:
        if self._bar is None:
            self._bar = _rich_progress(self._unit)
            self._task = self._bar.add_task(self._label, total=self._total)
            self._bar.start()
        self._bar.update(self._task, completed=self._done, total=self._total)


def _rich_progress(unit: str) -> Any:
    # rich takes longer to import than most commands take to say --help.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
