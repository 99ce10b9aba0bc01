"""Arguments that the commands on a jobs file share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def file_argument(function: F) -> F:
    """FILE, the jobs file."""
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.argument("file", metavar="FILE", type=kind)(function)
