"""Options that several commands take."""

import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from seec.pipeline.extras import missing
from seec.pipeline.storage.access import Access, using
from seec.pipeline.storage.limits import Limits
from seec.schemas.errors import StorageError
from seec.schemas.limits import PARITY_WHOLE
from seec.schemas.loss import MAX_BACKGROUND_ERROR, SKIP
from seec.schemas.quantities import parse_duration, parse_rate

F = TypeVar("F", bound=Callable[..., Any])

include_option = click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Only paths that match this pattern, in which * also matches /, and folders of this name "
    "with all that is in them. Repeat the option for several patterns. The exit code is 6 if one "
    "of them matches nothing.",
)


members_option = click.option(
    "--members",
    is_flag=True,
    help="Images within files, too, as if the files were folders: train.tar/0001.jpg.",
)


def name_option(help_text: str) -> Callable[[F], F]:
    """--as, for commands that take one of the sources of an archive."""
    return click.option("--as", "name", metavar="NAME", default="", help=help_text)


at_option = click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="COMMIT",
    help="The state after this commit. seec ls --commits lists commits. [default: the last one]",
)


def _known_source(_: click.Context, __: click.Parameter, value: str) -> str:
    from seec.pipeline.segmentation import check_name  # few commands take one

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
        help="Source of label maps: rate (the encoder takes the cheapest labels), none, salient "
        "(the packaged network), masks:DIR (pictures at the same paths, of values 0 to 15 or "
        "masks), birefnet:PATH or onnx:FILE (your own weights). Append +rate to let a source "
        "propose regions for which the encoder takes the cheapest labels.",
    )


colour_set_option = click.option(
    "--colour-set",
    type=click.Choice(["auto", "none"]),
    default="auto",
    show_default=True,
    help="auto: detect that pixels were computed from luma and chroma or from fewer levels "
    "(decoded JPEG or video, Photo CD, stretched contrast), and code those. none: code pixels "
    "only.",
)


class _BackgroundError(click.ParamType[int]):
    """1 to 127, or `skip`, which is SKIP."""

    name = "TAU|skip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "skip":
            return SKIP
        if not str(value).isdecimal() or not 1 <= int(value) <= MAX_BACKGROUND_ERROR:
            self.fail(f"{value!r} is neither 1 to {MAX_BACKGROUND_ERROR} nor skip", param, ctx)
        return int(value)


class Duration(click.ParamType[float]):
    """A number and a unit, or 0; seconds."""

    name = "DURATION"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Wrong use if it is no duration."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[float]):
    """A day or a time in UTC, as ISO 8601 has it; seconds since 1970."""

    name = "DATE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Wrong use if it is no time."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not like 2026-01-31, 2026-01-31T18:00", param, ctx)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


class Rate(click.ParamType[float]):
    """Bytes a second, with a unit."""

    name = "RATE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Wrong use if it is no rate, or 0."""
        try:
            return parse_rate(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Percentage(click.ParamType[float]):
    """More than 0 % and at most 100 %; a fraction."""

    name = "PERCENT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Wrong use if it is no percentage."""
        text = str(value)
        try:
            number = float(text.removesuffix("%"))
        except ValueError:
            number = math.nan
        if not text.endswith("%") or not 0 < number <= 100:
            self.fail(f"{text!r} is no percentage, such as 1% or 0.5%", param, ctx)
        return number / 100


class ParityShare(click.ParamType[int]):
    """0 % to 100 %; in ten-thousandths."""

    name = "PERCENT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Wrong use if it is no such percentage."""
        number, text = str(value).removesuffix("%"), str(value)
        known = text != number and number.replace(".", "", 1).isdecimal()
        share = round(float(number) * 100) if known else -1
        if not 0 <= share <= PARITY_WHOLE or (not share and float(number)):
            self.fail(f"{text!r} is no percentage from 0% to 100%, such as 5%", param, ctx)
        return share


class Part(click.ParamType[tuple[int, int]]):
    """K/N: part K of N, from 1."""

    name = "K/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Wrong use if it is no such part."""
        first, _, second = str(value).partition("/")
        if not (first + second).isdecimal() or not 1 <= int(first or 0) <= int(second or 0):
            self.fail(f"{value!r} is not like 3/7", param, ctx)
        return int(first), int(second)


class Digest(click.ParamType[str]):
    """An archive digest, or its first 16 hexadecimal digits or more."""

    name = "DIGEST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Wrong use if it is none."""
        text = str(value).lower()
        if not 16 <= len(text) <= 64 or set(text) - set("0123456789abcdef"):
            self.fail(f"{value!r} is not 16 to 64 hexadecimal digits", param, ctx)
        return text


parity_option = click.option(
    "--parity",
    "parity_share",
    type=ParityShare(),
    help="Write parity beside each shard of the run, such as 5%: from it seec repair makes up to "
    "this share of the bytes of a shard again. 0% writes none. [default: as the last shard has]",
)

allow_unfinished_option = click.option(
    "--allow-unfinished",
    is_flag=True,
    help="End with exit code 0, not 3, if files are missing in the archive: because a run is not "
    "finished, because they are in quarantine, or because they are lost.",
)

descends_option = click.option(
    "--expect",
    type=Digest(),
    help="An archive digest that a command printed, or at least 16 digits of its beginning. If "
    "ARCHIVE has another one, and does not descend from the commit after which it had this one, "
    "verify ends with exit code 4.",
)

expect_option = click.option(
    "--expect",
    type=Digest(),
    help="The archive digest that a command printed last, or at least 16 digits of its beginning. "
    "If the archive has another one, the command ends with exit code 4.",
)


def region_options(metavar: str, help_text: str) -> Callable[[F], F]:
    """--roi and --background-error, for commands that may lose what is not of interest.

    metavar, help_text: what --roi takes.
    """

    def wrap(function: F) -> F:
        region = click.option("--roi", metavar=metavar, help=help_text)
        error = click.option(
            "--background-error",
            type=_BackgroundError(),
            help="Largest error of a sub-pixel outside the region. skip: code nothing there.",
        )
        return region(error(function))

    return wrap


def check_region(roi: str | None, background_error: int | None) -> None:
    """Wrong use unless both are given or neither."""
    if (roi is None) != (background_error is None):
        raise click.UsageError("--roi and --background-error belong together")


def ray_options(function: F) -> F:
    """--ray-address and --cpus, for commands that run on Ray."""
    address = click.option(
        "--ray-address",
        help="Address of a running Ray cluster. [default: RAY_ADDRESS; without it, this machine]",
    )
    cpus = click.option(
        "--cpus", type=click.IntRange(min=1), help="Number of CPUs to use. [default: all]"
    )
    return address(cpus(function))


class _SharedOption(click.Option):
    """Has a variable for all commands, `envvar`; that of a single command wins over it."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Empty counts as not set, as everywhere in click."""
        own = os.environ.get(f"{ctx.auto_envvar_prefix}_{(self.name or '').upper()}")
        return own or super().resolve_envvar_value(ctx)


def _read_stores(_: click.Context, __: click.Parameter, path: Path | None) -> Access:
    try:
        return Access() if path is None else Access.read(path)
    except StorageError as error:
        raise click.BadParameter(str(error)) from None


def access_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--stores, for commands that take URLs; what it says is in use while the function runs."""

    @wraps(function)
    def with_access(*, stores: Access, **options: Any) -> Any:
        with using(stores):
            return function(**options)

    return click.option(
        "--stores",
        cls=_SharedOption,
        envvar="SEEC_STORES",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=_read_stores,
        metavar="FILE",
        help="TOML file with options for stores: one table per URL, such as "
        '["s3://bucket/folder"], '
        "with endpoint_url, profile, key, secret, anon or other options of fsspec. The longest "
        "matching prefix wins; tables are not merged. Other URLs use fsspec's defaults. [default: "
        "SEEC_STORES]",
    )(with_access)


def store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How stores are used and reached, for commands that read or write them in bulk.

    --store-concurrency and --bandwidth, which the function gets as `limits`, and --stores.
    """

    @wraps(function)
    def limited(*, store_concurrency: int, bandwidth: float | None, **options: Any) -> Any:
        return function(limits=Limits(store_concurrency, bandwidth), **options)

    concurrency = click.option(
        "--store-concurrency",
        type=click.IntRange(min=1),
        default=Limits.requests,
        show_default=True,
        help="Maximum number of requests that a process has open to one store at a time.",
    )
    bandwidth = click.option(
        "--bandwidth",
        type=Rate(),
        help="Maximum average transfer rate between the run and one store, such as 50MB/s or "
        "8MiB/s. Each CPU gets an equal part of the rate. [default: no limit]",
    )
    return concurrency(bandwidth(access_option(limited)))


def plot_target(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """Callback of an option that names a picture to draw; wrong use without matplotlib."""
    if value and find_spec("matplotlib") is None:
        raise click.BadParameter(str(missing("demo", "a plot", "matplotlib")))
    return value
