"""Measure SEEC next to its peers: `python -m seec.jobs.bench FOLDER`."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.model_options import check_profiles, read_jpeg_model, read_model
from seec.jobs.options import plot_target
from seec.jobs.progress import progress
from seec.pipeline.codec import packaged_model, packaged_profiles
from seec.pipeline.codec.search.plan import ColourSetChoice
from seec.pipeline.dct import packaged as jpeg_models
from seec.pipeline.images.split import is_validation
from seec.pipeline.lab.benchmark.codecs import (
    CODEC_NAMES,
    OURS,
    Codec,
    check_names,
    make_codecs,
    our_codec,
)
from seec.pipeline.lab.benchmark.jpeg_codecs import (
    JPEG_CODEC_NAMES,
    JpegCodec,
    make_jpeg_codecs,
    our_jpeg_codec,
)
from seec.pipeline.lab.benchmark.jpeg_files import JpegRow, is_jpeg, jpeg_lines, measure_jpegs
from seec.pipeline.lab.benchmark.measure import image_paths, measure_folder
from seec.pipeline.lab.benchmark.parallel import Arrangement, measure_parallel
from seec.pipeline.lab.benchmark.plot import plot
from seec.pipeline.lab.benchmark.results import FolderResult, Row
from seec.pipeline.lab.benchmark.table import table_lines

_NAMES = tuple(dict.fromkeys((*CODEC_NAMES, *JPEG_CODEC_NAMES)))
_COLOUR_SETS: dict[str, tuple[ColourSetChoice, ...]] = {
    "auto": ("auto",),
    "none": ("none",),
    "both": ("auto", "none"),
}


@dataclass(frozen=True)
class Settings:
    """What to measure, on which folders.

    split: what of `folders` counts; of `validation`, the validation split does. limit: images of
    each folder. codecs: by name, OURS for SEEC with each of `profiles` (None is all packaged
    ones), or with the weights file `model`, and on JPEG files with the model file `jpeg_model`.
    colour_set: auto, none or both. threads: numbers of them that SEEC is timed with on pixels,
    beside one. plot, save: a picture of the rows of pixels, and JSON of all rows.
    """

    folders: tuple[Path, ...]
    validation: tuple[Path, ...] = ()
    split: Literal["all", "validation"] = "all"
    limit: int | None = None
    codecs: tuple[str, ...] = _NAMES
    profiles: tuple[str, ...] | None = None
    model: Path | None = None
    jpeg_model: Path | None = None
    colour_set: str = "auto"
    threads: tuple[int, ...] = (1,)
    plot: Path | None = None
    save: Path | None = None


@dataclass(frozen=True)
class Summary:
    """The results of each folder: of images by their pixels, and of JPEG files."""

    results: tuple[FolderResult, ...]
    jpeg_rows: tuple[JpegRow, ...]
    exit_code: int = ExitCode.OK

    @property
    def rows(self) -> list[Row]:
        """One row for each folder and codec of pixels."""
        return [row for result in self.results for row in result.rows()]

    def as_dict(self) -> list[dict[str, Any]]:
        """The rows. kind: pixels, or jpeg for those of JPEG files, which have other fields."""
        pixels = [{"kind": "pixels", **row.as_dict()} for row in self.rows]
        return [*pixels, *({"kind": "jpeg", **row.as_dict()} for row in self.jpeg_rows)]

    def lines(self) -> Iterator[str]:
        """Tables for each folder, in Markdown."""
        yield from table_lines(self.results)
        yield from jpeg_lines(self.jpeg_rows)


def run(settings: Settings) -> Summary:
    """Run every codec on every image, of JPEG files on the file itself.

    Raises DigestMismatch if one loses pixels, or if threads change bytes; ModelError.
    """
    if not (settings.folders or settings.validation):
        raise click.UsageError("no folder to measure")
    variants = list(_variants(settings)) if OURS in settings.codecs else []
    codecs = make_codecs(
        [name for name in settings.codecs if name in CODEC_NAMES],
        [variant() for variant in variants],
    )
    jpeg_codecs = make_jpeg_codecs(settings.codecs, list(_our_jpeg_codecs(settings)))
    arrangements = list(_arrangements(variants, settings.threads))
    sets = _image_sets(settings)
    passes = sum((1 + len(arrangements)) * len(s.images) + len(s.jpegs) for s in sets)
    with progress("bench", passes, "images") as shown:
        results = tuple(
            _measure(s.name, s.images, codecs, arrangements, shown.advance)
            for s in sets
            if s.images or not s.jpegs
        )
        jpeg_rows = tuple(
            row for s in sets for row in measure_jpegs(s.name, s.jpegs, jpeg_codecs, shown.advance)
        )
    summary = Summary(results, jpeg_rows)
    if settings.save:
        settings.save.write_text(json.dumps(summary.as_dict(), indent=2) + "\n", encoding="utf-8")
    if settings.plot and summary.rows:
        plot(summary.rows, settings.plot)
    return summary


def _variants(settings: Settings) -> Iterator[partial[Codec]]:
    """SEEC with each of the weights and choices asked for; called with `threads`, it is a codec."""
    if settings.model and settings.profiles is not None:
        raise click.UsageError("--profiles and --model each say which weights to use: give one")
    if settings.model:
        models = {OURS: read_model(settings.model)}
    else:
        profiles = packaged_profiles() if settings.profiles is None else settings.profiles
        models = {f"{OURS}-{profile}": packaged_model(profile) for profile in profiles}
    for name, model in models.items():
        for choice in _COLOUR_SETS[settings.colour_set]:
            full_name = name if choice == "auto" else f"{name}-no-colour-set"
            yield partial(our_codec, model, full_name, colour_set=choice)


def _our_jpeg_codecs(settings: Settings) -> Iterator[JpegCodec]:
    """SEEC with the coefficient models asked for; not every profile has one."""
    if settings.jpeg_model:
        yield our_jpeg_codec(read_jpeg_model(settings.jpeg_model))
        return
    for profile in jpeg_models.packaged_profiles():
        if settings.profiles is None or profile in settings.profiles:
            yield our_jpeg_codec(jpeg_models.packaged_model(profile), f"{OURS}-{profile}")


def _arrangements(
    variants: Sequence[partial[Codec]], threads: Sequence[int]
) -> Iterator[Arrangement]:
    for variant in variants:
        for count in threads:
            if count > 1:
                yield Arrangement(variant(threads=count), codec_threads=count)
                yield Arrangement(variant(), images=count)


@dataclass(frozen=True)
class _ImageSet:
    """What is measured of a folder."""

    name: str
    images: list[Path]
    jpegs: list[Path]


def _image_sets(settings: Settings) -> list[_ImageSet]:
    """The images of each folder, and what to call them."""
    everything = (lambda _: True) if settings.split == "all" else is_validation
    whole = [(f.resolve().name, f, everything) for f in settings.folders]
    held_out = [(f"{f.resolve().name}, validation", f, is_validation) for f in settings.validation]
    found: list[_ImageSet] = []
    for name, folder, keep in whole + held_out:
        paths = image_paths(folder, keep, settings.limit)
        jpegs = [path for path in paths if is_jpeg(path)]
        images = sorted(set(paths).difference(jpegs))
        found.append(_ImageSet(name, images, jpegs))
    return found


def _measure(
    name: str,
    paths: Sequence[Path],
    codecs: Sequence[Codec],
    arrangements: Sequence[Arrangement],
    advance: Callable[[], None],
) -> FolderResult:
    result = measure_folder(name, paths, codecs, advance)
    if not result.samples:
        return result
    parallel = [measure_parallel(result, paths, a, advance) for a in arrangements]
    return replace(result, parallel=tuple(parallel))


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(","))


def _codec_names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    names = _names(value)
    try:
        check_names(names, _NAMES)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return names


def _profiles(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    check_profiles(_names(value))
    return _names(value)


def _threads(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    counts = tuple(int(text) if text.isdecimal() else 0 for text in _names(value))
    if min(counts) < 1:
        raise click.BadParameter(f"{value!r}: whole numbers of at least 1, as in 1,2,4")
    return counts


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@command(
    "bench",
    examples=[
        "seec bench photos/",
        "seec bench photos/ --codecs seec,jpegxl-e9 --limit 20 --plot rate.png",
        "seec bench kodak/ --validation photos/ --profiles fast,lite --threads 1,2",
        "seec bench photos/ --json > rows.json",
        "seec bench camera/ --codecs seec,jpegxl-e7,packjpg",
    ],
)
@click.argument("folders", nargs=-1, metavar="FOLDER...", type=_FOLDER)
@click.option(
    "--validation",
    multiple=True,
    type=_FOLDER,
    help="Folder of which to measure only the images that training sets aside by file name. "
    "Repeat the option for several.",
)
@click.option(
    "--split",
    type=click.Choice(["all", "validation"]),
    default="all",
    help="validation: treat each FOLDER like one of --validation.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Measure only the first N images of each folder."
)
@click.option(
    "--codecs",
    default=",".join(_NAMES),
    callback=_codec_names,
    show_default="all",
    metavar="NAME,...",
    help=f"Codecs to measure, of images: {', '.join(CODEC_NAMES)}; of JPEG files: "
    f"{', '.join(JPEG_CODEC_NAMES)}. Those of JPEG files are measured if their programs are "
    "installed.",
)
@click.option(
    "--profiles",
    callback=_profiles,
    show_default="all",
    metavar="NAME,...",
    help=f"Packaged weights for {OURS}: {', '.join(packaged_profiles())}.",
)
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Weights file for {OURS}, instead of --profiles.",
)
@click.option(
    "--jpeg-model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Coefficient model for {OURS} on JPEG files, instead of --profiles.",
)
@click.option(
    "--colour-set",
    type=click.Choice([*_COLOUR_SETS]),
    default="auto",
    help=f"auto: {OURS} looks for a colour set. none: it does not. both: measure both.",
)
@click.option(
    "--threads",
    default="1",
    callback=_threads,
    metavar="N,...",
    help=f"Numbers of threads to measure {OURS} with: first tiles of one image in parallel, then "
    "whole images in parallel.",
)
@click.option(
    "--plot",
    type=_FILE,
    callback=plot_target,
    metavar="PICTURE.svg",
    help="Draw size against speed into an SVG, PNG or PDF file.",
)
@click.option(
    "--save", type=_FILE, metavar="FILE.json", help="Write the output of --json to a file."
)
def main(**options: Any) -> Summary:
    """Measure size and speed of SEEC and other codecs on folders of images and JPEG files.

    bench reads the images into memory first and compares every decoded image with its pixels. Each
    codec runs on one thread unless you use --threads. bpsp is the mean over images of coded bits /
    (3 H W), or / (H W) for gray. Measure wall-clock speeds on an idle machine; speeds by CPU time
    depend less on other load. The tables are Markdown.

    JPEG files are measured as files, which come back byte for byte, in a table of their own: per
    cent of bytes saved, and speed by CPU time. JPEG XL at effort 9, packJPG, Brunsli and Lepton
    take part if cjxl and djxl, packJPG, cbrunsli and dbrunsli, lepton or lepton_jpeg_util are on
    PATH.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
