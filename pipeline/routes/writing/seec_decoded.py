"""Route `seec-decoded`: pixels that were decoded from JPEG, as its coefficients."""

from collections.abc import Sequence
from dataclasses import replace

from seec.pipeline.decoded import coding
from seec.pipeline.decoded.coding import Decoded
from seec.pipeline.decoded.finding import find_jpeg
from seec.pipeline.images.digest import pixel_digest
from seec.pipeline.images.files import ImageFile
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.pipeline.routes.writing.stacks import MOST_PIXELS
from seec.pipeline.routes.writing.writer import MadeRow, RunModels, Work, Writer, row_of_pixels
from seec.schemas.errors import UnknownModel, UnreadableImage
from seec.schemas.routes import SEEC_DECODED
from seec.schemas.rows import Row

# Of pixels. An exception takes about a byte; with more the payload might be larger than what
# route `seec` makes of the pixels, of which nothing is known here.
_MOST_EXCEPTIONS = 0.1
_STRIP_BYTES = 192 << 20  # what recovery takes at a time, whatever the image's size


class SeecDecodedWriter(Writer):
    """Coefficients are recovered before the image travels on to an encoder, which codes them."""

    name = SEEC_DECODED
    reason = "smaller than its coded coefficients"

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        pixels, shapes = candidate.header.pixels, candidate.header.shapes
        if not candidate.code_jpeg or len(shapes) > 1 or shapes[0].depth != 8:
            raise UnreadableImage("not of 8 bits, or the run has no model of JPEG files")
        plain = Work.of_pixels(pixels)
        return plain._replace(passing_bytes=plain.passing_bytes + _STRIP_BYTES)

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`; None of images that were no JPEG file, as far as one sees."""
        if not candidate.code_jpeg:
            return None
        return self.of_image(candidate.row, candidate.image)

    def of_image(self, made_row: MadeRow, image: ImageFile) -> Coded | None:
        """As `Writer.of_image`."""
        pixels = image.pixels
        if pixels is None:
            return None
        height, width = pixels.shape[:2]
        # Small ones save more in a stack of others.
        if not MOST_PIXELS < height * width <= coding.MAX_PIXELS:
            return None
        samples = pixels.reshape(height, width, -1)
        jpeg = find_jpeg(samples)
        if jpeg is None:
            return None
        decoded = coding.apart(samples, jpeg)
        if decoded.differing > _MOST_EXCEPTIONS * height * width:
            return None
        row = row_of_pixels(made_row, SEEC_DECODED, pixels, image)
        return Coded(row, layout=decoded)

    def pack(self, coded: Coded, codes: Sequence[bytes], models: RunModels) -> tuple[Row, bytes]:
        """As `Writer.pack`; decodes again, and compares."""
        del codes
        decoded: Decoded = coded.layout
        row, model = coded.row, models.jpeg
        if model is None:
            raise UnknownModel(f"{row.path}: no model of JPEG files at hand")
        payload = coding.encode(decoded, model)
        image, samples = row.image, row.samples
        assert image is not None
        assert samples is not None
        shape = image.height, image.width, samples.size_bytes // image.pixels
        back = coding.decode(payload, {model.short_id: model}.get, shape)
        if pixel_digest(back) != samples.digest:
            raise UnreadableImage("pixels that coefficients do not give back")
        return replace(row, model_id=model.id), payload
