"""Route `seec-planes`: rasters of any kind, as `.seec` files and codes of runs in one payload."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from seec.pipeline import deep
from seec.pipeline.images.files import ImageFile
from seec.pipeline.images.planes import split
from seec.pipeline.images.raster import Raster, raster_digest
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.pipeline.routes.writing.writer import MadeRow, RunModels, Work, Writer
from seec.schemas.planes import Payload, Plane, Run, Shape, serialise
from seec.schemas.routes import SEEC_PLANES
from seec.schemas.rows import ImageFacts, Row, SampleFacts


@dataclass(frozen=True)
class _Layout:
    """runs: each instead of the planes of its rasters, if that is smaller."""

    shapes: tuple[Shape, ...]
    planes: tuple[Plane, ...]
    runs: tuple[Run, ...]


class SeecPlanesWriter(Writer):
    """Rasters of 9 bits or more are coded in runs. The others are cut in planes.

    Each plane that is not one value everywhere is encoded by itself. No segmentation source knows
    alpha, indices or low bytes, and nothing of them is lost. Rasters of less than 8 bits are coded
    both ways.
    """

    name = SEEC_PLANES
    reason = "smaller than its SEEC code"

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        return Work.of_pixels(candidate.header.pixels)

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`."""
        return self.of_image(candidate.row, candidate.image)

    def of_image(self, made_row: MadeRow, image: ImageFile) -> Coded | None:
        """As `Writer.of_image`."""
        shapes = tuple(raster.shape for raster in image.rasters)
        runs = tuple(_runs(image.rasters))
        # A byte of deep samples tells little of the others.
        sure = {n for run in runs if shapes[run.first].depth > 8 for n in run.rasters}
        planes = tuple(split(image.rasters, [n for n in range(len(shapes)) if n not in sure]))
        mode = f"{shapes[0].samples}x{shapes[0].depth}"
        size_bytes = sum(shape.size_bytes for shape in shapes)
        row = made_row(
            SEEC_PLANES,
            image=ImageFacts(shapes[0].width, shapes[0].height, mode, image.format),
            samples=SampleFacts(raster_digest(image.rasters), size_bytes, image.envelope),
        )
        pictures = tuple(pixels for _, pixels in planes if pixels is not None)
        layout = _Layout(shapes, tuple(plane for plane, _ in planes), runs)
        return Coded(row, pictures=pictures, layout=layout)

    def digest(self, candidate: Candidate) -> bytes | None:
        """As `Writer.digest`."""
        return raster_digest(candidate.image.rasters)

    def pack(self, coded: Coded, codes: Sequence[bytes], models: RunModels) -> tuple[Row, bytes]:
        """As `Writer.pack`."""
        layout: _Layout = coded.layout
        following = iter(codes)
        each = [(p, b"" if p.value is not None else next(following)) for p in layout.planes]
        runs = tuple(run for run in layout.runs if _is_smaller(run, each))
        gone = {number for run in runs for number in run.rasters}
        each = [(plane, code) for plane, code in each if plane.raster not in gone]
        planes, kept = tuple(plane for plane, _ in each), tuple(code for _, code in each)
        row = replace(coded.row, model_id=models.pixels.id)
        return row, serialise(Payload(layout.shapes, planes, kept, runs))


def _runs(rasters: Sequence[Raster]) -> Iterator[Run]:
    """The codes of rasters that have another depth than 8, those of one shape together."""
    if not deep.is_built():
        return
    first = 0
    for shape, group in groupby(rasters, key=lambda raster: raster.shape):
        samples = [raster.samples for raster in group]
        code = None if shape.depth == 8 else deep.encode(samples, shape.depth)
        if code is not None:
            yield Run(first, len(samples), code)
        first += len(samples)


def _is_smaller(run: Run, planes: Sequence[tuple[Plane, bytes]]) -> bool:
    others = [code for plane, code in planes if plane.raster in run.rasters]
    return not others or len(run.code) < sum(map(len, others))
