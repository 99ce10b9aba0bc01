"""Decode one image: `python -m seec.jobs.decode IN.seec OUT.png`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from seec.jobs import files
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import warn
from seec.jobs.model_options import read_model
from seec.jobs.options import access_option
from seec.pipeline.codec import Region, decode, decode_region
from seec.pipeline.images import pillow
from seec.pipeline.images.files import with_comment
from seec.pipeline.routes.loss import stated_loss
from seec.schemas.errors import FormatError, UnknownModel
from seec.schemas.limits import MAX_PIXELS
from seec.schemas.loss import describe, note

_FORMATS = {
    ".png": "PNG",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pnm": "PPM",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}


@dataclass(frozen=True)
class Settings:
    """What to decode.

    source, target: paths or URLs. models: weights files beside the packaged one. region: a
    rectangle instead of the whole image; only the tiles it touches are read.
    """

    source: str
    target: str
    models: tuple[Path, ...] = ()
    threads: int = 1
    max_pixels: int = MAX_PIXELS
    region: Region | None = None
    force: bool = False


@dataclass(frozen=True)
class Summary:
    """What was written. background_error: as in `seec.schemas.loss`, None where nothing is lost."""

    target: str
    width: int
    height: int
    channels: int
    whole: bool = True
    background_error: int | None = None
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return {
            "target": self.target,
            "width": self.width,
            "height": self.height,
            "channels": self.channels,
            "background_error": self.background_error,
        }

    def lines(self) -> Iterator[str]:
        """One line, and one more where something is lost."""
        proof = "digest checked" if self.whole else "checksums of the tiles read are right"
        yield f"{self.target}: {self.width} x {self.height}, pixels as encoded ({proof})"
        if self.background_error is not None:
            yield f"lossy: {describe(self.background_error)}, the region of interest exact"


def run(settings: Settings) -> Summary:
    """Decode one file. Raises FormatError, UnknownModel, ObjectExists or StorageError."""
    target_format = _target_format(settings.target)
    if not settings.force:
        files.refuse_to_replace(settings.target)
    try:
        lost = stated_loss(files.range_reader(settings.source))
        pixels = _pixels(settings)
    except UnknownModel as error:
        raise UnknownModel(f"{settings.source}: {error} (--model FILE)") from None
    except FormatError as error:
        raise type(error)(f"{settings.source}: {error}") from None
    data = pillow.encode(pixels, target_format)
    if lost is not None:
        noted = with_comment(data, note(lost))
        if noted == data:
            warn(f"{settings.target}: {describe(lost)}, and a {target_format} file cannot say so")
        data = noted
    files.write(settings.target, data, force=settings.force)
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3
    return Summary(settings.target, width, height, channels, settings.region is None, lost)


def _pixels(settings: Settings) -> NDArray[np.uint8]:
    options: dict[str, Any] = {
        "models": {m.id: m for m in map(read_model, settings.models)},
        "threads": settings.threads,
        "max_pixels": settings.max_pixels,
    }
    if settings.region is None:
        return decode(files.read(settings.source), **options)
    try:
        return decode_region(files.range_reader(settings.source), settings.region, **options)
    except ValueError as error:
        raise click.UsageError(f"{settings.source}: {error}") from None


def _parse_region(_: click.Context, option: click.Parameter, text: str | None) -> Region | None:
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter("four whole numbers X,Y,WIDTH,HEIGHT", param=option) from None
    return Region(x, y, width, height)


def _target_format(target: str) -> str:
    suffix = PurePosixPath(target).suffix.lower()
    if suffix not in _FORMATS:
        raise click.UsageError(f"{target}: name it {', '.join(_FORMATS)}, all lossless")
    return _FORMATS[suffix]


@command(
    "decode",
    examples=[
        "seec decode photo.seec photo.png",
        "seec decode s3://bucket/photo.seec photo.ppm",
        "seec decode huge.seec corner.png --region 0,0,256,256",
    ],
)
@click.argument("source", metavar="IN.seec")
@click.argument("target", metavar="OUT.png")
@click.option(
    "--model",
    "models",
    envvar="SEEC_DECODE_MODEL",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights file of the encoding, if the weights are not packaged.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    help="Number of threads. All give equal pixels.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    help="Refuse larger images, before allocating memory for them.",
)
@click.option(
    "--region",
    metavar="X,Y,WIDTH,HEIGHT",
    callback=_parse_region,
    help="Decode only this rectangle, in pixels. Only the tiles that overlap are read.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@access_option
def main(**options: Any) -> Summary:
    """Decode one .seec file. Every machine gives the same pixels.

    IN.seec and OUT.png are paths or URLs. The suffix of OUT chooses the format: PNG, PPM, PGM, BMP
    or TIFF.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
