"""Route `seec`: one picture of 8-bit gray or RGB, as a `.seec` file."""

from collections.abc import Sequence

from seec.pipeline.codec.decoder import decode
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.images.digest import pixel_digest
from seec.pipeline.images.raster import Raster, pixel_raster
from seec.pipeline.routes.loss import stated_loss
from seec.pipeline.routes.reading.reader import Models, image_of, model_of
from seec.pipeline.routes.reading.samples import SamplesReader, samples_of
from seec.schemas.container import reader
from seec.schemas.errors import DigestMismatch, SectionCorrupt
from seec.schemas.limits import MAX_STACK_PIXELS
from seec.schemas.routes import SEEC
from seec.schemas.rows import Row


class SeecReader(SamplesReader):
    """A `.seec` file decodes to the pixels of the row."""

    name = SEEC

    def decode(self, row: Row, payload: bytes, models: Models) -> Sequence[Raster]:
        """As `SamplesReader.decode`."""
        model = model_of(row, models, Model)
        if stated_loss(reader(payload)) != row.background_error:
            raise SectionCorrupt(f"{row.path}: row and .seec file disagree on what was lost")
        samples = samples_of(row)
        most = image_of(row).pixels if samples.top is None else MAX_STACK_PIXELS
        pixels = decode(payload, models={model.id: model}, max_pixels=most)
        if pixel_digest(pixels) != samples.digest:
            raise DigestMismatch(f"{row.path}: decodes to pixels that differ from their digest")
        return [pixel_raster(pixels)]
