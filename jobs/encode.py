"""Encode one image: `python -m jobs.encode IN OUT.seec`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from jobs import files
from jobs.interface import ExitCode, command, figures
from jobs.options import segmentation_option
from pipeline.codec import default_model, encode, load_model
from pipeline.images.picture import read_picture
from pipeline.segmentation import check_labels, label_image, make_segmenter
from schemas.errors import UnreadableImage
from schemas.names import escape


@dataclass(frozen=True)
class Settings:
    """source, target: paths or URLs. model: a weights file; None is the packaged one.

    segmentation: where the label map comes from.
    """

    source: str
    target: str
    model: Path | None = None
    segmentation: str = "rate"
    threads: int = 1
    force: bool = False


@dataclass(frozen=True)
class Summary:
    """What was written."""

    target: str
    width: int
    height: int
    channels: int
    source_size_bytes: int
    size_bytes: int
    exit_code: int = ExitCode.OK

    @property
    def rate_bpsp(self) -> float:
        """Coded bits per sub-pixel."""
        return 8 * self.size_bytes / (self.width * self.height * self.channels)

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self) | {"rate_bpsp": self.rate_bpsp}

    def lines(self) -> Iterator[str]:
        """One line."""
        share = self.size_bytes / self.source_size_bytes
        yield (
            f"{self.target}: {self.width} x {self.height}, {self.size_bytes:,} bytes, "
            f"{self.rate_bpsp:.3f} bpsp, {share:.1%} of the source file"
        )


def run(settings: Settings) -> Summary:
    """Encode one image file.

    Raises UnreadableImage, UnreadableMask, ObjectExists, StorageError, ModelError.
    """
    if not settings.force:
        files.refuse_to_replace(settings.target)
    source = files.read(settings.source)
    try:
        pixels = read_picture(source).pixels
    except UnreadableImage as error:
        raise UnreadableImage(
            f"{settings.source}: {error}; `seec archive` keeps such a file byte for byte"
        ) from None
    model = load_model(settings.model.read_bytes()) if settings.model else default_model()
    experts = model.profile.experts
    segmenter = make_segmenter(settings.segmentation)
    check_labels(segmenter, experts)
    name = escape(os.fsencode(settings.source.rpartition("/")[2]))
    blob = encode(
        pixels,
        labels=label_image(segmenter, pixels, name, experts),
        regions=segmenter.proposes,
        model=model,
        threads=settings.threads,
    )
    files.write(settings.target, blob, force=settings.force)
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3
    return Summary(settings.target, width, height, channels, len(source), len(blob))


@command(
    "encode",
    examples=["seec encode photo.png photo.seec", "seec encode s3://bucket/photo.png photo.seec"],
)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT.seec")
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights file instead of the packaged one; decoding will need it, too.",
)
@segmentation_option(default=Settings.segmentation)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, help="They do not change the bytes."
)
@click.option("--force", is_flag=True, help="Replace OUT.seec if it exists.")
def main(**options: Any) -> Summary:
    """Encode the pixels of one image, losslessly.

    IN and OUT.seec are paths or URLs. IN is 8-bit RGB or gray, losslessly stored (PNG, lossless
    WebP, PPM, PGM, BMP, TIFF). A .seec file holds pixels only: metadata travels in archives.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
