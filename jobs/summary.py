"""What a job hands back, and how that is printed: as text, or as one JSON value."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from io import TextIOWrapper
from typing import Any, Protocol, cast, runtime_checkable

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.logs import printable


class Summary(Protocol):
    """What a job hands back."""

    @property
    def exit_code(self) -> int:
        """An ExitCode."""
        ...

    def as_dict(self) -> Any:
        """What --json prints: JSON values only; a dict, or a list where the result is a table."""
        ...

    def lines(self) -> Iterable[str]:
        """What a person reads."""
        ...


@runtime_checkable
class LongSummary(Summary, Protocol):
    """A summary that is printed while it is made, since all of it may be more than memory holds."""

    def members(self) -> Iterator[tuple[str, Any]]:
        """The members of `as_dict`; the items of a list may come from an iterator, one by one."""
        ...


def figures(summary: Any) -> dict[str, Any]:
    """All fields of a dataclass summary but its exit code, which the process ends with."""
    return {name: value for name, value in asdict(summary).items() if name != "exit_code"}


def print_summary(summary: Summary, json_output: bool) -> int:
    """Print it to stdout; its exit code."""
    with suppress(BrokenPipeError), _writing_to_stdout():
        if json_output:
            for piece in _json(summary):
                sys.stdout.write(piece)
        else:
            if isinstance(sys.stdout, TextIOWrapper):  # whose encoding may lack letters of names
                sys.stdout.reconfigure(errors="backslashreplace")
            for line in summary.lines():
                sys.stdout.write(f"{printable(line)}\n")  # not `echo`, which flushes every line
        sys.stdout.flush()
    return summary.exit_code


def write_out(data: bytes) -> None:
    """Write bytes to stdout, for commands whose result they are."""
    try:
        with _writing_to_stdout():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise click.exceptions.Exit(ExitCode.OK) from None


@contextmanager
def _writing_to_stdout() -> Iterator[None]:
    """BrokenPipeError where the reader has seen enough (`| head`); other OSErrors name stdout."""
    try:
        yield
    except OSError as error:
        # Python flushes stdout once more when it exits, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, "stdout") from error


def _json(summary: Summary) -> Iterator[str]:
    """The JSON text of a summary, in pieces; of a long one, while its members are made."""
    if not isinstance(summary, LongSummary):
        yield f"{json.dumps(summary.as_dict(), indent=2)}\n"
        return
    begin = "{"
    for name, value in summary.members():
        yield f"{begin}\n  {json.dumps(name)}: "
        begin = ","
        if not isinstance(value, Iterator):
            yield _indented(value, "  ")
            continue
        bracket = "["
        for item in cast(Iterator[Any], value):
            yield f"{bracket}\n    {_indented(item, '    ')}"
            bracket = ","
        yield "[]" if bracket == "[" else "\n  ]"
    yield "\n}\n"


def _indented(value: Any, indent: str) -> str:
    return json.dumps(value, indent=2).replace("\n", f"\n{indent}")
