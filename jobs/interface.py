"""What all commands share: where options come from, what is printed, how they end.

A job is a module with a frozen `Settings`, `run(settings) -> Summary` and one command:

    @command("encode", examples=["seec encode photo.png photo.seec"])
    @click.argument("source")
    @click.option("--force", is_flag=True, help="Overwrite the target.")
    def main(**options) -> Summary:
        \"\"\"Encode one image.\"\"\"
        return run(Settings(**options))

Options come from the command line, then the environment (SEEC_ENCODE_FORCE), then the TOML
file named by --config (`force = true`), then their defaults. The summary goes to stdout, as
text or with --json as one JSON value; everything else goes to stderr.
"""

import importlib
import json
import os
import sys
import time
import tomllib
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import IntEnum
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import click

from seec.jobs import logs
from seec.jobs.interruption import interruptible, signal_of
from seec.jobs.logs import printable
from seec.schemas.errors import (
    ArchiveLocked,
    FixityError,
    FormatError,
    LimitExceeded,
    MissingPackage,
    NotAnArchive,
    ObjectFrozen,
    SecondSource,
    SeecError,
    TargetError,
    UnknownCommit,
    UnsupportedVersion,
)


class ExitCode(IntEnum):
    """How a command ends. Stable: scripts rely on them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    INCOMPLETE = 3
    DAMAGE = 4
    REFUSED = 5
    UNMATCHED = 6
    FROZEN = 7
    NOT_AN_ARCHIVE = 10
    LOCKED = 11
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


_EXIT_CODE_MEANING = {
    ExitCode.OK: "success",
    ExitCode.UNEXPECTED: "unexpected error",
    ExitCode.USAGE: "wrong options or arguments",
    ExitCode.INCOMPLETE: "finished, but the archive does not hold every file",
    ExitCode.DAMAGE: "damage found",
    ExitCode.REFUSED: "finished, but the target refused some files",
    ExitCode.UNMATCHED: "finished, but nothing matched one of --include",
    ExitCode.FROZEN: "objects are in cold storage and have to be thawed first",
    ExitCode.NOT_AN_ARCHIVE: "not an archive",
    ExitCode.LOCKED: "another writer holds the archive",
    ExitCode.HUNG_UP: "interrupted by SIGHUP",
    ExitCode.INTERRUPTED: "interrupted by SIGINT (Ctrl-C)",
    ExitCode.TERMINATED: "interrupted by SIGTERM",
}

# The first class that matches decides. A file that asks for a newer build or for more than
# the limits allow is not damaged, so these two stand before FormatError.
_EXIT_CODE_OF_ERROR: tuple[tuple[type[SeecError], ExitCode], ...] = (
    (NotAnArchive, ExitCode.NOT_AN_ARCHIVE),
    (ArchiveLocked, ExitCode.LOCKED),
    (TargetError, ExitCode.REFUSED),
    (ObjectFrozen, ExitCode.FROZEN),
    (UnknownCommit, ExitCode.USAGE),
    (MissingPackage, ExitCode.USAGE),
    (SecondSource, ExitCode.USAGE),
    (UnsupportedVersion, ExitCode.UNEXPECTED),
    (LimitExceeded, ExitCode.UNEXPECTED),
    (FormatError, ExitCode.DAMAGE),
    (FixityError, ExitCode.DAMAGE),
    (SeecError, ExitCode.UNEXPECTED),
)


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


def command(
    name: str, *, examples: Sequence[str]
) -> Callable[[Callable[..., Summary]], click.Command]:
    """Make a click command of a function that returns a Summary.

    name: of a command, or of a group and its command ("jobs run"). The docstring is the help
    text. Adds --json, --config, --log-format and --debug, the environment variables
    SEEC_<NAME>_<OPTION>, and to the help the examples and the exit codes.
    SeecErrors end the command with one line on stderr and the exit code of their class.
    """

    def wrap(function: Callable[..., Summary]) -> click.Command:
        @wraps(function)
        def callback(*, json_output: bool, log_format: str, debug: bool, **options: Any) -> None:
            context = click.get_current_context()
            context.meta[_QUIET] = json_output

            def job() -> Summary:
                _refuse_passwords(options.values())
                return function(**options)

            with logs.logging_to(logs.Log(log_format, name, logs.new_run_id())):
                context.exit(_run(job, json_output, debug))

        prefix = f"SEEC_{name.upper().replace('-', '_').replace(' ', '_')}"
        made = click.command(
            name.rpartition(" ")[2],
            cls=_Command,
            context_settings={"auto_envvar_prefix": prefix, "show_default": True},
        )(callback)
        made.examples = tuple(examples)
        made.params += _common_options(prefix)
        return made

    return wrap


class _Command(click.Command):
    """A command whose help ends with examples and exit codes."""

    examples: tuple[str, ...] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(c)), text) for c, text in _EXIT_CODE_MEANING.items()])


class _Group(_Command, click.Group):
    """Commands below one name, each `main` of the module of its name, imported when it is used."""

    package: str = ""
    one_line: Mapping[str, str] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.one_line)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.one_line:
            return None
        return importlib.import_module(f"{self.package}.{cmd_name}").main

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.one_line.items()))


def group(
    name: str,
    package: str,
    commands: Mapping[str, str],
    *,
    help_text: str,
    examples: Sequence[str],
) -> click.Group:
    """A command that has commands: a module of each name in the package, and what it does."""
    made = _Group(name, help=help_text)
    made.package, made.one_line, made.examples = package, commands, tuple(examples)
    return made


def _common_options(prefix: str) -> list[click.Parameter]:
    return [
        click.Option(
            ["--json", "json_output"],
            envvar=f"{prefix}_JSON",
            is_flag=True,
            help="Print the result as one JSON value. Hide progress.",
        ),
        click.Option(
            ["--config"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            is_eager=True,
            expose_value=False,
            callback=_read_config,
            help=f"TOML file with options. {prefix}_<OPTION> and the command line take precedence.",
        ),
        click.Option(
            ["--log-format"],
            envvar="SEEC_LOG_FORMAT",
            type=click.Choice(logs.FORMATS),
            default=logs.TEXT,
            help="What stderr gets: text for people, or json, one object a line, with the id of "
            "the run.",
        ),
        click.Option(
            ["--debug"],
            envvar="SEEC_DEBUG",
            is_flag=True,
            help="Print a traceback with errors.",
        ),
    ]


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}") from error
    names = {
        spelling.removeprefix("--"): parameter.name
        for parameter in ctx.command.params
        if isinstance(parameter, click.Option) and parameter.name != "config"
        for spelling in parameter.opts
    }
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise click.BadParameter(f"{path}: no option {', '.join(unknown)} in {ctx.command_path}")
    defaults: Mapping[str, Any] = {names[key]: value for key, value in values.items()}  # pyright: ignore[reportAssignmentType]
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _refuse_passwords(values: Iterable[Any]) -> None:
    """Before anything is done with a URL that could show it."""
    from seec.pipeline.storage.access import refuse_password  # takes longer than --help

    for value in values:
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, str):
                refuse_password(one)


def _run(job: Callable[[], Summary], json_output: bool, debug: bool) -> int:
    try:
        with interruptible():
            summary = job()
            return _print(summary, json_output)
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt as error:
        return _fail(error, "interrupted", ExitCode(128 + signal_of(error)), debug)
    except SeecError as error:
        return _fail(error, str(error) or type(error).__name__, exit_code_of(error), debug)
    except OSError as error:
        return _fail(error, _os_error_text(error), ExitCode.UNEXPECTED, debug)
    except Exception as error:  # noqa: BLE001, the last resort of a command
        text = f"{type(error).__name__}: {error} (--debug prints a traceback)"
        return _fail(error, text, ExitCode.UNEXPECTED, debug)


def warn(text: str) -> None:
    """One line on stderr, also under --json."""
    logs.current().event(logs.WARNING, "message", f"seec: warning: {text}")


def inform(text: str) -> None:
    """One line on stderr that is no warning, also under --json."""
    logs.current().event(logs.INFO, "message", f"seec: {text}")


def prints_json() -> bool:
    """Whether the command that runs was given --json."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def write_out(data: bytes) -> None:
    """Write bytes to stdout, for commands whose result they are."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _give_up_stdout()
        raise click.exceptions.Exit(ExitCode.OK) from None


def exit_code_of(error: SeecError) -> ExitCode:
    """The exit code that an error ends a command with."""
    return next(code for kind, code in _EXIT_CODE_OF_ERROR if isinstance(error, kind))


def _print(summary: Summary, json_output: bool) -> int:
    try:
        if json_output:
            for piece in _json(summary):
                sys.stdout.write(piece)
        else:
            if isinstance(sys.stdout, TextIOWrapper):  # whose encoding may lack letters of names
                sys.stdout.reconfigure(errors="backslashreplace")
            for line in summary.lines():
                sys.stdout.write(f"{printable(line)}\n")  # not `echo`, which flushes every line
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
    return summary.exit_code


def _give_up_stdout() -> None:
    """The reader has seen enough (`| head`)."""
    # Python flushes stdout once more when it exits, which must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _fail(error: BaseException, text: str, code: ExitCode, debug: bool) -> ExitCode:
    if debug:
        traceback.print_exc()
    message = f"seec: error: {' '.join(text.split())}"
    classes = [kind.__name__ for kind in type(error).__mro__[:-2]]
    logs.current().event(logs.ERROR, "error", message, error=classes, exit_code=int(code))
    return code


def _os_error_text(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


_QUIET = "seec.quiet"
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
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(_QUIET):
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
