"""Route `seec-planes`: rasters of any kind, as several `.seec` files in one payload."""

from collections.abc import Sequence
from dataclasses import replace

from seec.pipeline.images.planes import split
from seec.pipeline.images.raster import raster_digest
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.pipeline.routes.writing.writer import RunModels, Work, Writer
from seec.schemas.manifest import ImageFacts, Row, SampleFacts
from seec.schemas.planes import Payload, serialise
from seec.schemas.routes import SEEC_PLANES


class SeecPlanesWriter(Writer):
    """Each plane that is not one value everywhere is encoded by itself.

    No segmentation source knows alpha, indices or low bytes, and nothing of them is lost.
    """

    name = SEEC_PLANES
    reason = "smaller than its SEEC code"

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        return Work.of_pixels(candidate.header.pixels)

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`."""
        image = candidate.image
        shapes = tuple(raster.shape for raster in image.rasters)
        planes = tuple(split(image.rasters))
        mode = f"{shapes[0].samples}x{shapes[0].depth}"
        size_bytes = sum(shape.size_bytes for shape in shapes)
        row = candidate.row(
            SEEC_PLANES,
            image=ImageFacts(shapes[0].width, shapes[0].height, mode, image.format),
            samples=SampleFacts(raster_digest(image.rasters), size_bytes, image.envelope),
        )
        pictures = tuple(pixels for _, pixels in planes if pixels is not None)
        layout = shapes, tuple(plane for plane, _ in planes)
        return Coded(row, pictures=pictures, layout=layout)

    def digest(self, candidate: Candidate) -> bytes | None:
        """As `Writer.digest`."""
        return raster_digest(candidate.image.rasters)

    def pack(self, coded: Coded, codes: Sequence[bytes], models: RunModels) -> tuple[Row, bytes]:
        """As `Writer.pack`."""
        shapes, planes = coded.layout
        following = iter(codes)
        each = tuple(b"" if plane.value is not None else next(following) for plane in planes)
        row = replace(coded.row, model_id=models.pixels.id)
        return row, serialise(Payload(shapes, planes, each))
