"""Route `seec-planes`: rasters of any kind, as `.seec` files and codes of runs in one payload."""

from collections.abc import Mapping, Sequence

from seec.pipeline import deep
from seec.pipeline.codec.decoder import decode
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.images import planes as images
from seec.pipeline.images.raster import Pixels, Raster, raster_digest
from seec.pipeline.routes.loss import stated_loss
from seec.pipeline.routes.reading.reader import Models, model_of
from seec.pipeline.routes.reading.samples import SamplesReader, samples_of
from seec.schemas.container import reader
from seec.schemas.errors import DigestMismatch, SectionCorrupt
from seec.schemas.planes import Plane, Shape, parse
from seec.schemas.routes import SEEC_PLANES
from seec.schemas.rows import Row


class SeecPlanesReader(SamplesReader):
    """A payload of `schemas.planes` decodes to the rasters of the row."""

    name = SEEC_PLANES

    def decode(self, row: Row, payload: bytes, models: Models) -> Sequence[Raster]:
        """As `SamplesReader.decode`."""
        model, samples = model_of(row, models, Model), samples_of(row)
        rasters = unpack(payload, samples.size_bytes, {model.id: model})
        if raster_digest(rasters) != samples.digest:
            raise DigestMismatch(f"{row.path}: decodes to samples that differ from their digest")
        return rasters


def unpack(data: bytes, sample_bytes: int, models: Mapping[str, Model]) -> list[Raster]:
    """The rasters of a payload.

    sample_bytes: what all their samples take; decides how much is allocated. models: by id, those
    that its `.seec` files may need. Raises FormatError or ModelError.
    """
    payload = parse(data)
    if sum(shape.size_bytes for shape in payload.shapes) != sample_bytes:
        raise SectionCorrupt("planes: its pictures have another size than its row says")
    decoded = [
        (plane, None if plane.value is not None else _decode(code, payload.shapes, plane, models))
        for plane, code in zip(payload.planes, payload.codes, strict=True)
    ]
    known = {
        number: samples
        for run in payload.runs
        for number, samples in zip(
            run.rasters, deep.decode(run.code, payload.shapes[run.first], run.count), strict=True
        )
    }
    return images.join(payload.shapes, decoded, known)


def _decode(
    code: bytes, shapes: Sequence[Shape], plane: Plane, models: Mapping[str, Model]
) -> Pixels:
    if stated_loss(reader(code)) is not None:
        raise SectionCorrupt("planes: a plane that has lost something")
    shape = shapes[plane.raster]
    return decode(code, models=models, max_pixels=shape.width * shape.height)
