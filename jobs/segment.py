"""Write label maps: `python -m seec.jobs.segment IN... OUTDIR`."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.jobs import files
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import access_option, segmentation_option
from seec.jobs.places import check_apart
from seec.jobs.progress import progress
from seec.jobs.summary import figures
from seec.pipeline.codec import default_model
from seec.pipeline.codec.coding.labels import map_from_blocks
from seec.pipeline.codec.encoder import BLOCK_SHIFT
from seec.pipeline.images.files import read_pixels
from seec.pipeline.lab.benchmark.label_maps import chosen_blocks
from seec.pipeline.segmentation import (
    LabelMap,
    Segmenter,
    check_labels,
    label_image,
    make_segmenter,
)
from seec.pipeline.storage import Source, Store
from seec.schemas.errors import SourceError
from seec.schemas.kinds import FILE
from seec.schemas.names import escape, unescape
from seec.schemas.plan import SourceFile

Read = Callable[[], bytes]


@dataclass(frozen=True)
class Settings:
    """sources: images or folders of images, as paths or URLs. target: folder of the label maps.

    visible: stretch labels over black to white, for people.
    """

    sources: tuple[str, ...]
    target: Path
    segmentation: str = "salient"
    visible: bool = False


@dataclass(frozen=True)
class Summary:
    """How many maps there are, how often each label stands in them, and what failed."""

    target: str
    maps: int
    label_shares: list[float]
    failed: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """UNEXPECTED where an image could not be labelled."""
        return ExitCode.UNEXPECTED if self.failed else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """One line, and one for each file that failed."""
        shares = ", ".join(f"{label}: {share:.1%}" for label, share in enumerate(self.label_shares))
        yield f"{self.target}: {self.maps} label maps ({shares})"
        yield from self.failed


def run(settings: Settings) -> Summary:
    """Label all images. Raises ModelError, StorageError; files that fail are in the summary."""
    segmenter = make_segmenter(settings.segmentation)
    check_labels(segmenter, default_model().profile.entropy_models)
    found = [entry for url in settings.sources for entry in _images(url, settings.target)]
    counts = np.zeros(256, np.int64)
    failed: list[str] = []
    with progress("segment", len(found), "images") as shown:
        for path, read in found:
            try:
                labels = _labels(segmenter, path, read)
            except SourceError as error:
                failed.append(f"{path}: {str(error).removeprefix(f'{path}: ')}")
            else:
                counts += np.bincount(labels.ravel(), minlength=256)
                _write(settings, path, labels)
            shown.advance()
    shares = np.trim_zeros(counts, "b") / max(1, counts.sum())
    return Summary(str(settings.target), len(found) - len(failed), shares.tolist(), failed)


def _images(url: str, target: Path) -> Iterator[tuple[str, Read]]:
    """Paths, escaped, and how to read each: one file, or all below a folder."""
    if files.exists(url):
        path = escape(os.fsencode(url.rpartition("/")[2]))
        check_apart("the label map", Store(str(_place(target, path))), "the image", Store(url))
        yield path, partial(files.read, url)
        return
    source = Source(url)
    check_apart("the target", Store(str(target)), "the source", source.store)
    for file in source.files():
        if file.kind == FILE:
            yield file.path, partial(_read, source, file)


def _read(source: Source, file: SourceFile) -> bytes:
    if file.problem is not None:
        raise SourceError(file.problem)
    return source.read(file)


def _labels(segmenter: Segmenter, path: str, read: Read) -> LabelMap:
    """The labels that an encoder would use for an image."""
    pixels, model = read_pixels(read()), default_model()
    labels = label_image(segmenter, pixels, path, model.profile.entropy_models)
    if labels is not None and not segmenter.proposes:
        return labels
    blocks = chosen_blocks(pixels, labels, model, regions=segmenter.proposes)
    return map_from_blocks(blocks, BLOCK_SHIFT, *pixels.shape[:2])


def _write(settings: Settings, path: str, labels: LabelMap) -> None:
    target = _place(settings.target, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_stretched(labels) if settings.visible else labels).save(target)


def _place(target: Path, path: str) -> Path:
    """Where the label map of an image is written."""
    return target / PurePosixPath(os.fsdecode(unescape(path))).with_suffix(".png")


def _stretched(labels: LabelMap) -> NDArray[np.uint8]:
    return (labels * (255 // max(1, int(labels.max())))).astype(np.uint8)


@command(
    "segment",
    examples=[
        "seec segment photos/ masks/",
        "seec segment photos/ maps/ --segmentation rate --visible",
    ],
)
@click.argument("sources", metavar="IN...", nargs=-1, required=True)
@click.argument("target", metavar="OUTDIR", type=click.Path(file_okay=False, path_type=Path))
@segmentation_option(default=Settings.segmentation)
@click.option(
    "--visible", is_flag=True, help="Stretch labels to the range from black to white, for viewing."
)
@access_option
def main(**options: Any) -> Summary:
    """Write the label map of each image as a PNG file whose values are the labels.

    IN are images, or folders of images, of 8-bit RGB or gray in lossless formats. Maps have the
    same paths below OUTDIR. You can edit the maps, and encode with them by --segmentation
    masks:OUTDIR, unless you made them with --visible.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
