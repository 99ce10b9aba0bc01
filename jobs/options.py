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


def _known_source(_: click.Context, __: click.Parameter, value: str) -> str:
    # Label sources need torch, which takes seconds to import: not for --help.
    from pipeline.segmentation import check_name

    try:
        check_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


def segmentation_option(default: str) -> Callable[[F], F]:
    """--segmentation, for commands that label images."""
    return click.option(
        "--segmentation",
        metavar="SOURCE",
        default=default,
        show_default=True,
        callback=_known_source,
        help="Where label maps come from: rate (the encoder picks the cheapest), none, salient "
        "(the packaged network), masks:DIR (pictures at the same paths, values 0 to 15 or "
        "masks), birefnet:PATH or onnx:FILE (weights of yours). With +rate behind it, a source "
        "only proposes regions and the encoder picks what is cheapest for each.",
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
