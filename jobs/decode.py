"""Decode one image: `python -m jobs.decode IN.seec OUT.png`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import click

from jobs import files
from jobs.interface import ExitCode, command
from pipeline.codec import decode, load_model
from pipeline.images import pillow
from schemas.container import MAX_PIXELS
from schemas.errors import FormatError, UnknownModel

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
    """source, target: paths or URLs. models: weights files beside the packaged one."""

    source: str
    target: str
    models: tuple[Path, ...] = ()
    threads: int = 1
    max_pixels: int = MAX_PIXELS
    force: bool = False


@dataclass(frozen=True)
class Summary:
    """What was written."""

    target: str
    width: int
    height: int
    channels: int
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return {
            "target": self.target,
            "width": self.width,
            "height": self.height,
            "channels": self.channels,
        }

    def lines(self) -> Iterator[str]:
        """One line."""
        yield f"{self.target}: {self.width} x {self.height}, pixels as encoded (digest checked)"


def run(settings: Settings) -> Summary:
    """Decode one file. Raises FormatError, UnknownModel, ObjectExists or StorageError."""
    target_format = _target_format(settings.target)
    if not settings.force:
        files.refuse_to_replace(settings.target)
    blob = files.read(settings.source)
    models = {m.id: m for m in (load_model(path.read_bytes()) for path in settings.models)}
    try:
        pixels = decode(
            blob, models=models, threads=settings.threads, max_pixels=settings.max_pixels
        )
    except UnknownModel as error:
        raise UnknownModel(f"{settings.source}: {error} (--model FILE)") from None
    except FormatError as error:
        raise type(error)(f"{settings.source}: {error}") from None
    files.write(settings.target, pillow.encode(pixels, target_format), force=settings.force)
    height, width = pixels.shape[:2]
    return Summary(settings.target, width, height, 1 if pixels.ndim == 2 else 3)


def _target_format(target: str) -> str:
    suffix = PurePosixPath(target).suffix.lower()
    if suffix not in _FORMATS:
        raise click.UsageError(f"{target}: name it {', '.join(_FORMATS)}, all lossless")
    return _FORMATS[suffix]


@command(
    "decode",
    examples=["seec decode photo.seec photo.png", "seec decode s3://bucket/photo.seec photo.ppm"],
)
@click.argument("source", metavar="IN.seec")
@click.argument("target", metavar="OUT.png")
@click.option(
    "--model",
    "models",
    envvar="SEEC_DECODE_MODEL",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights file it was encoded with, if not the packaged one.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, help="They do not change the pixels."
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    help="Refuse larger images before any memory is set aside for them.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def main(**options: Any) -> Summary:
    """Decode one .seec file to the same pixels on every machine.

    IN.seec and OUT.png are paths or URLs; the suffix of OUT decides its format (PNG, PPM, PGM,
    BMP, TIFF).
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
