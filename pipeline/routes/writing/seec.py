"""Route `seec`: one picture of 8-bit gray or RGB, as a `.seec` file."""

from collections.abc import Sequence
from dataclasses import replace

from seec.pipeline.codec import decode
from seec.pipeline.images.digest import pixel_digest
from seec.pipeline.images.files import ImageFile
from seec.pipeline.routes.loss import stated_loss
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.pipeline.routes.writing.writer import MadeRow, RunModels, Work, Writer, row_of_pixels
from seec.schemas.container import reader
from seec.schemas.routes import SEEC
from seec.schemas.rows import Row


class SeecWriter(Writer):
    """The encoder's own file is the payload."""

    name = SEEC
    reason = "smaller than its SEEC code"

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        return Work.of_pixels(candidate.header.pixels)

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`."""
        return self.of_image(candidate.row, candidate.image)

    def of_image(self, made_row: MadeRow, image: ImageFile) -> Coded | None:
        """As `Writer.of_image`."""
        pixels = image.pixels
        if pixels is None:
            return None
        row = row_of_pixels(made_row, SEEC, pixels, image)
        # Nothing may be lost of a signed picture, or of a piece, whatever is of interest in it.
        return Coded(row, pictures=(pixels,), labelled=not image.signed and row.piece is None)

    def digest(self, candidate: Candidate) -> bytes | None:
        """As `Writer.digest`."""
        pixels = candidate.image.pixels
        return None if pixels is None else pixel_digest(pixels)

    def pack(self, coded: Coded, codes: Sequence[bytes], models: RunModels) -> tuple[Row, bytes]:
        """As `Writer.pack`; the row of a code that has lost something says so.

        Its pixel digest becomes that of what decoding gives: that is what can be proved later.
        """
        (code,), model = codes, models.pixels
        row = replace(coded.row, model_id=model.id)
        loss = stated_loss(reader(code))
        if loss is None or row.samples is None:
            return row, code
        digest = pixel_digest(decode(code, models={model.id: model}))
        return replace(
            row, samples=replace(row.samples, digest=digest, background_error=loss)
        ), code
