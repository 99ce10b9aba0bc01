"""Route `seec-decoded`: pixels that were decoded from JPEG, as its coefficients."""

from collections.abc import Sequence

from seec.pipeline.dct.weights import DctModel
from seec.pipeline.decoded.coding import decode
from seec.pipeline.images.digest import pixel_digest
from seec.pipeline.images.raster import Raster, pixel_raster
from seec.pipeline.routes.reading.reader import Models, image_of, model_of
from seec.pipeline.routes.reading.samples import SamplesReader, samples_of
from seec.schemas.errors import DigestMismatch, SectionCorrupt
from seec.schemas.routes import SEEC_DECODED
from seec.schemas.rows import Row

_CHANNELS = {"L": 1, "RGB": 3}


class SeecDecodedReader(SamplesReader):
    """A coded JPEG file gives the pixels of the row, but for exceptions."""

    name = SEEC_DECODED

    def decode(self, row: Row, payload: bytes, models: Models) -> Sequence[Raster]:
        """As `SamplesReader.decode`."""
        model, image, samples = model_of(row, models, DctModel), image_of(row), samples_of(row)
        channels = _CHANNELS.get(image.mode)
        if channels is None or samples.size_bytes != channels * image.pixels:
            raise SectionCorrupt(f"{row.path}: a mode or size that no JPEG file is decoded to")
        shape = image.height, image.width, channels
        pixels = decode(payload, {model.short_id: model}.get, shape)
        if pixel_digest(pixels) != samples.digest:
            raise DigestMismatch(f"{row.path}: decodes to pixels that differ from their digest")
        return [pixel_raster(pixels)]
