"""Which weights encode: options of several commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from seec.pipeline.codec import Model, load_model, packaged_model, packaged_profiles
from seec.pipeline.codec.model.packaged import DEFAULT_PROFILE
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.dct.weights import load_model as load_jpeg_model
from seec.schemas.errors import ModelError

F = TypeVar("F", bound=Callable[..., Any])


def model_options(function: F) -> F:
    """--profile and --model, for commands that encode; see `chosen_model`."""
    profile = click.option(
        "--profile",
        metavar="|".join(packaged_profiles()),
        callback=_packaged,
        show_default=DEFAULT_PROFILE,
        help="Packaged weights. Larger profiles make smaller files and take longer.",
    )
    model = click.option(
        "--model",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Your own weights file, instead of --profile.",
    )
    return profile(model(function))


def check_profiles(names: tuple[str, ...]) -> None:
    """Wrong use that lists the profiles there are, if there are no weights of one of these."""
    known = packaged_profiles()
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(
            f"no weights of {', '.join(unknown)} are packaged; there are {', '.join(known)}"
        )


def chosen_model(model: Path | None, profile: str | None) -> Model:
    """The model that these options name, without either the packaged default.

    Wrong use if both are given; ModelError, which names the file, if it is not a model.
    """
    if model is None:
        return packaged_model(profile or DEFAULT_PROFILE)
    if profile is not None:
        raise click.UsageError(
            "--profile and --model both choose the weights: use only one of them"
        )
    return read_model(model)


def read_model(path: Path) -> Model:
    """The model in a file. Raises ModelError, which names it, if there is none in it."""
    try:
        return load_model(path.read_bytes())
    except ModelError as error:
        raise type(error)(f"{path}: {error}") from None


def read_jpeg_model(path: Path) -> DctModel:
    """The coefficient model in a file. Raises ModelError, which names it, if there is none."""
    try:
        return load_jpeg_model(path.read_bytes())
    except ModelError as error:
        raise type(error)(f"{path}: {error}; seec train --jpeg makes such files") from None


def _packaged(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    check_profiles(() if value is None else (value,))
    return value
