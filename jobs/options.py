"""Options that several commands take."""

from collections.abc import Callable
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
