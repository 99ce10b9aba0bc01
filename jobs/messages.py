"""What a command says on stderr beside its result."""

import click

from seec.jobs import logs

_JSON = "seec.json"  # in the context of a command: whether it was given --json


def keep_json_option(context: click.Context, json_output: bool) -> None:
    """Keep whether a command was given --json."""
    context.meta[_JSON] = json_output


def prints_json() -> bool:
    """Whether the command that runs was given --json."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_JSON))


def warn(text: str) -> None:
    """One line on stderr, also under --json."""
    logs.current().event(logs.WARNING, "message", f"seec: warning: {text}")


def inform(text: str) -> None:
    """One line on stderr that is no warning, also under --json."""
    logs.current().event(logs.INFO, "message", f"seec: {text}")
