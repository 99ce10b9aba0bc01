"""Route `seec-jpeg`: the coefficients of a JPEG file, coded by `pipeline.dct`."""

from collections.abc import Sequence
from dataclasses import replace

from seec.pipeline.dct.codec import comes_back, encode_file, look_bytes
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.pipeline.routes.writing.writer import RunModels, Work, Writer
from seec.schemas.errors import UnknownModel, UnreadableImage
from seec.schemas.routes import SEEC_JPEG
from seec.schemas.rows import Row


class SeecJpegWriter(Writer):
    """Whether coefficients give the file back is tried before it travels on to an encoder."""

    name = SEEC_JPEG
    reason = "smaller than its coded coefficients"

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        frame = candidate.jpeg_frame if candidate.code_jpeg else None
        if frame is None:
            raise UnreadableImage("not a JPEG file, or none that the run codes")
        return Work(passing_bytes=look_bytes(frame, len(candidate.data)))

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`."""
        frame = candidate.jpeg_frame if candidate.code_jpeg else None
        if frame is None:
            return None
        if not comes_back(candidate.data):
            raise UnreadableImage("JPEG that its coefficients do not give back byte for byte")
        return Coded(candidate.jpeg_row(SEEC_JPEG, frame), layout=candidate.data)

    def pack(self, coded: Coded, codes: Sequence[bytes], models: RunModels) -> tuple[Row, bytes]:
        """As `Writer.pack`."""
        del codes
        if models.jpeg is None:
            raise UnknownModel(f"{coded.row.path}: no model of JPEG files at hand")
        payload = encode_file(coded.layout, models.jpeg)
        return replace(coded.row, model_id=models.jpeg.id), payload
