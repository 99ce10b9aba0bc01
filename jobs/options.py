"""Options that several commands take."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

include_option = click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Only paths that match; may be given several times. * matches / too.",
)


def ray_options(function: F) -> F:
    """--ray-address and --cpus, for commands that run on Ray."""
    address = click.option(
        "--ray-address", help="A running Ray cluster. [default: RAY_ADDRESS, else none]"
    )
    cpus = click.option(
        "--cpus", type=click.IntRange(min=1), help="CPUs to use. [default: all that are up]"
    )
    return address(cpus(function))


def plot_target(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """Callback of an option that names a picture to draw; wrong use without matplotlib."""
    if value and find_spec("matplotlib") is None:
        raise click.BadParameter("needs matplotlib: pip install 'seec[demo]'")
    return value
