"""Encode one image: `python -m seec.jobs.encode IN OUT.seec`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from seec.jobs import files
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.model_options import chosen_model, model_options
from seec.jobs.options import (
    access_option,
    check_region,
    colour_set_option,
    region_options,
    segmentation_option,
)
from seec.jobs.summary import figures
from seec.pipeline.codec import Background, encode
from seec.pipeline.codec.coding.labels import map_from_blocks
from seec.pipeline.codec.encoder import BLOCK_SHIFT
from seec.pipeline.codec.search.plan import ColourSetChoice
from seec.pipeline.images.files import read_pixels
from seec.pipeline.images.mask import read_mask
from seec.pipeline.images.raster import Pixels
from seec.pipeline.routes.loss import stated_loss
from seec.pipeline.routes.region import background_of, check_region_source, make_background
from seec.pipeline.segmentation import check_labels, label_image, make_segmenter
from seec.schemas.container import reader
from seec.schemas.errors import UnreadableImage
from seec.schemas.loss import describe
from seec.schemas.names import escape


@dataclass(frozen=True)
class Settings:
    """source, target: paths or URLs.

    profile: of packaged weights; model: a file of weights. At most one; None is the default.
    segmentation: where the label map comes from. roi: a mask, or a segmentation source;
    background_error: what may be lost outside of it, as in `seec.schemas.loss`. Both or neither.
    colour_set: as in `seec.pipeline.codec.encode`.
    """

    source: str
    target: str
    profile: str | None = None
    model: Path | None = None
    segmentation: str = "rate"
    roi: str | None = None
    background_error: int | None = None
    colour_set: ColourSetChoice = "auto"
    threads: int = 1
    force: bool = False


@dataclass(frozen=True)
class Summary:
    """What was written.

    background_error: as in `seec.schemas.loss`; exact_share: of the pixels, those that come back.
    """

    target: str
    width: int
    height: int
    channels: int
    source_size_bytes: int
    size_bytes: int
    background_error: int | None
    exact_share: float
    exit_code: int = ExitCode.OK

    @property
    def rate_bpsp(self) -> float:
        """Coded bits per sub-pixel."""
        return 8 * self.size_bytes / (self.width * self.height * self.channels)

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self) | {"rate_bpsp": self.rate_bpsp}

    def lines(self) -> Iterator[str]:
        """One line, and one more where something is lost."""
        share = self.size_bytes / self.source_size_bytes
        yield (
            f"{self.target}: {self.width} x {self.height}, {self.size_bytes:,} bytes, "
            f"{self.rate_bpsp:.3f} bpsp, {share:.1%} of the source file"
        )
        if self.background_error is not None:
            yield (
                f"lossy background: {describe(self.background_error)}, outside the region "
                f"({self.exact_share:.1%} of the pixels exact)"
            )


def run(settings: Settings) -> Summary:
    """Encode one image file; losslessly if no region of interest is given, or an empty one.

    Raises UnreadableImage, UnreadableMask, ObjectExists, StorageError, ModelError.
    """
    check_region(settings.roi, settings.background_error)
    model = chosen_model(settings.model, settings.profile)
    if not settings.force:
        files.refuse_to_replace(settings.target)
    source = files.read(settings.source)
    try:
        pixels = read_pixels(source)
    except UnreadableImage as error:
        raise UnreadableImage(
            f"{settings.source}: {error}; `seec archive` keeps such a file byte for byte"
        ) from None
    entropy_models = model.profile.entropy_models
    segmenter = make_segmenter(settings.segmentation)
    check_labels(segmenter, entropy_models)
    name = escape(os.fsencode(settings.source.rpartition("/")[2]))
    background = _background(settings, pixels, name)
    blob = encode(
        pixels,
        labels=label_image(segmenter, pixels, name, entropy_models),
        regions=segmenter.proposes,
        background=background,
        model=model,
        colour_set=settings.colour_set,
        threads=settings.threads,
    )
    files.write(settings.target, blob, force=settings.force)
    height, width = pixels.shape[:2]
    lost = stated_loss(reader(blob))
    return Summary(
        target=settings.target,
        width=width,
        height=height,
        channels=1 if pixels.ndim == 2 else 3,
        source_size_bytes=len(source),
        size_bytes=len(blob),
        background_error=lost,
        exact_share=1.0 if lost is None or background is None else _exact_share(background),
    )


def _background(settings: Settings, pixels: Pixels, name: str) -> Background | None:
    """What may be lost. A mask is a file; all else is a segmentation source."""
    roi, error = settings.roi, settings.background_error
    if roi is None or error is None:
        return None
    try:
        check_region_source(roi)
    except ValueError as unknown:
        if not files.exists(roi):
            raise click.UsageError(f"--roi {roi}: no such file, and {unknown}") from None
        return make_background(read_mask(roi, files.read(roi), *pixels.shape[:2]), error)
    return background_of(make_segmenter(roi), pixels, name, error)


def _exact_share(background: Background) -> float:
    """Share of the pixels in blocks that the region touches."""
    exact = background.widths(BLOCK_SHIFT) == 1
    return float(map_from_blocks(exact, BLOCK_SHIFT, *background.region.shape).mean())


@command(
    "encode",
    examples=[
        "seec encode photo.png photo.seec",
        "seec encode photo.png photo.seec --profile fast",
        "seec encode s3://bucket/photo.png photo.seec",
        "seec encode photo.png photo.seec --roi mask.png --background-error 8",
    ],
)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT.seec")
@model_options
@segmentation_option(default=Settings.segmentation)
@region_options(
    "MASK|SOURCE",
    "Region of interest, which stays lossless: a picture of the same size that is not 0 inside, "
    "or a segmentation source.",
)
@colour_set_option
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    help="Number of threads. All give equal bytes.",
)
@click.option("--force", is_flag=True, help="Replace OUT.seec if it exists.")
@access_option
def main(**options: Any) -> Summary:
    """Encode the pixels of one image, without loss unless you use --roi.

    IN and OUT.seec are paths or URLs. IN is an image of 8-bit RGB or gray in a lossless format
    (PNG, lossless WebP, PPM, PGM, BMP, TIFF). OUT.seec holds the pixels alone; use seec archive to
    keep metadata. To decode a file that was encoded with --model, use the same weights file.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
