"""Measure SEEC next to its peers: `python -m jobs.bench FOLDER`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from jobs.interface import ExitCode, command, progress
from jobs.options import plot_target
from pipeline.benchmark.codecs import CODEC_NAMES, OURS, check_names, make_codecs
from pipeline.benchmark.measure import FolderResult, Row, image_paths, measure_folder
from pipeline.benchmark.plot import plot
from pipeline.benchmark.table import table_lines
from pipeline.codec import default_model, load_model
from pipeline.images.split import is_validation


@dataclass(frozen=True)
class Settings:
    """What to measure. model: a weights file; None is the packaged one."""

    folders: tuple[Path, ...]
    codecs: tuple[str, ...] = CODEC_NAMES
    split: Literal["all", "validation"] = "all"
    limit: int | None = None
    model: Path | None = None
    plot: Path | None = None


@dataclass(frozen=True)
class Summary:
    """The results of each folder."""

    results: tuple[FolderResult, ...]
    exit_code: int = ExitCode.OK

    @property
    def rows(self) -> list[Row]:
        """One row for each folder and codec."""
        return [row for result in self.results for row in result.rows()]

    def as_dict(self) -> list[dict[str, Any]]:
        """The rows."""
        return [row.as_dict() for row in self.rows]

    def lines(self) -> Iterator[str]:
        """A table for each folder."""
        yield from table_lines(self.results)


def run(settings: Settings) -> Summary:
    """Run every codec on every image. Raises DigestMismatch if one is not lossless."""
    model = load_model(settings.model.read_bytes()) if settings.model else default_model()
    codecs = make_codecs(settings.codecs, model)
    keep = is_validation if settings.split == "validation" else lambda _: True
    paths = {f: image_paths(f, keep, settings.limit) for f in settings.folders}
    with progress("bench", sum(map(len, paths.values())), "images") as shown:
        results = tuple(
            measure_folder(folder.resolve().name, found, codecs, shown.advance)
            for folder, found in paths.items()
        )
    summary = Summary(results)
    if settings.plot and summary.rows:
        plot(summary.rows, settings.plot)
    return summary


def _codec_names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    try:
        check_names(names)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return names


@command(
    "bench",
    examples=[
        "seec bench photos/",
        "seec bench photos/ --codecs seec,jpegxl-e9 --limit 20 --plot rate.png",
        "seec bench photos/ --json > rows.json",
    ],
)
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="FOLDER...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--codecs",
    default=",".join(CODEC_NAMES),
    callback=_codec_names,
    show_default="all",
    metavar="NAME,...",
    help=f"Which codecs run: {', '.join(CODEC_NAMES)}.",
)
@click.option(
    "--split",
    type=click.Choice(["all", "validation"]),
    default="all",
    help="All images, or those that training by file name sets aside.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many images per folder.")
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Weights file for {OURS} instead of the packaged one.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=plot_target,
    metavar="FILE.png",
    help="Draw rate against speed.",
)
def main(**options: Any) -> Summary:
    """Measure rate and speed of SEEC and its peers on folders of images.

    One thread each, images in memory, every decode compared with the pixels. bpsp is the mean
    over images of coded bits / (3 H W), or / (H W) for gray.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
