"""What all commands share: where options come from, and how a command runs.

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

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from seec.jobs import logs
from seec.jobs.exit_codes import MEANINGS, ExitCode, exit_code_of
from seec.jobs.interruption import interruptible, signal_of
from seec.jobs.lazy_group import LazyGroup
from seec.jobs.messages import keep_json_option
from seec.jobs.streams import open_closed_streams
from seec.jobs.summary import Summary, print_summary
from seec.schemas.errors import SeecError


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
            open_closed_streams()
            context = click.get_current_context()
            keep_json_option(context, json_output)

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
            formatter.write_dl([(str(int(c)), text) for c, text in MEANINGS.items()])


class _Group(_Command, LazyGroup):
    """Commands below one name, in a help that ends with examples and exit codes."""


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
    import tomllib  # few have such a file

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
            return print_summary(summary, json_output)
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


def _fail(error: BaseException, text: str, code: ExitCode, debug: bool) -> ExitCode:
    if debug:
        traceback.print_exc()
    message = f"seec: error: {' '.join(text.split())}"
    classes = [kind.__name__ for kind in type(error).__mro__[:-2]]
    logs.current().event(logs.ERROR, "error", message, error=classes, exit_code=int(code))
    return code


def _os_error_text(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
