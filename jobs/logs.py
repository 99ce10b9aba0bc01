"""What a command says beside its result: lines for people, or one JSON object a line.

An object has `time` (UTC), `run_id`, `command`, `level`, `event`, `message`, and what the event
has of its own. All processes that one run starts share its run id, by SEEC_RUN_ID.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from seec.jobs import clock

TEXT, JSON = FORMATS = ("text", "json")
INFO, WARNING, ERROR = "info", "warning", "error"
RUN_ID = "SEEC_RUN_ID"


@dataclass(frozen=True)
class Log:
    """How a command speaks, who it is, and of which run."""

    format: str = TEXT
    command: str = ""
    run_id: str = ""

    def event(self, level: str, event: str, message: str, **fields: Any) -> None:
        """One line on stderr. fields: JSON values, for machines alone."""
        if self.format == TEXT:
            click.echo(printable(message), err=True)
            return
        entry = {
            "time": clock.now().isoformat(timespec="milliseconds"),
            "run_id": self.run_id,
            "command": self.command,
            "level": level,
            "event": event,
            "message": message,
            **fields,
        }
        click.echo(json.dumps(entry), err=True)


_current = Log()


def current() -> Log:
    """The log of the command that runs."""
    return _current


def new_run_id() -> str:
    """16 hexadecimal digits: of the run that started this process, or new ones."""
    return os.environ.get(RUN_ID) or secrets.token_hex(8)


@contextmanager
def logging_to(log: Log) -> Iterator[None]:
    """Speak by this log while the block runs."""
    global _current
    before, _current = _current, log
    try:
        yield
    finally:
        _current = before


def printable(line: str) -> str:
    """A line that stays one, and does nothing to a terminal, whatever names are in it."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
