"""Route `seec-jpeg`: the coefficients of a JPEG file, coded by `pipeline.dct`."""

from collections.abc import Sequence
from dataclasses import replace

from seec.pipeline.dct.codec import comes_back, encode_file
from seec.pipeline.images import jpeg
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.pipeline.routes.writing.writer import RunModels, Work, Writer
from seec.schemas.errors import UnknownModel, UnreadableImage
from seec.schemas.manifest import ImageFacts, Row
from seec.schemas.routes import SEEC_JPEG


class SeecJpegWriter(Writer):
    """Whether coefficients give the file back is tried before it travels on to an encoder."""

    name = SEEC_JPEG
    reason = "smaller than its coded coefficients"

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        if not candidate.code_jpeg or not jpeg.matches(candidate.data):
            raise UnreadableImage("not a JPEG file, or none that the run codes")
        frame = jpeg.read_frame(candidate.data)
        candidate.check_limit(frame.pixels)
        return Work(passing_bytes=4 * frame.samples)

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`."""
        if not candidate.code_jpeg or not jpeg.matches(candidate.data):
            return None
        frame = jpeg.read_frame(candidate.data)
        candidate.check_limit(frame.pixels)
        if not comes_back(candidate.data):
            raise UnreadableImage("JPEG that its coefficients do not give back byte for byte")
        image = ImageFacts(frame.width, frame.height, frame.mode, jpeg.FORMAT)
        return Coded(candidate.row(SEEC_JPEG, image=image), layout=candidate.data)

    def pack(self, coded: Coded, codes: Sequence[bytes], models: RunModels) -> tuple[Row, bytes]:
        """As `Writer.pack`."""
        del codes
        if models.jpeg is None:
            raise UnknownModel(f"{coded.row.path}: no model of JPEG files at hand")
        payload = encode_file(coded.layout, models.jpeg)
        return replace(coded.row, model_id=models.jpeg.id), payload
