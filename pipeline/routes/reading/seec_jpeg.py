"""Route `seec-jpeg`: the coefficients of a JPEG file, coded by `pipeline.dct`."""

from seec.pipeline.dct.codec import Claims, decode_file
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.routes.reading.reader import Models, WholeFileReader, image_of, model_of
from seec.schemas.routes import SEEC_JPEG
from seec.schemas.rows import Row


class SeecJpegReader(WholeFileReader):
    """Coefficients and recipe give the file back byte for byte."""

    name = SEEC_JPEG

    def unpack(self, row: Row, payload: bytes, models: Models) -> bytes:
        """As `WholeFileReader.unpack`."""
        model, image = model_of(row, models, DctModel), image_of(row)
        return decode_file(payload, model, Claims(image.width, image.height, row.source_size_bytes))
