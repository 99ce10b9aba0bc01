"""What routes have in common whose payload holds the samples of an image file."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence

from seec.pipeline.images.files import ImageFile, is_exact, read_image, with_comment, write_image
from seec.pipeline.images.raster import Raster, raster_digest
from seec.pipeline.routes.reading.reader import Models, Reader, image_of
from seec.schemas import loss
from seec.schemas.errors import DigestMismatch, SectionCorrupt, UnreadableImage
from seec.schemas.manifest import Row, SampleFacts


class SamplesReader(Reader):
    """A route whose payload gives rasters; the row's envelope makes a file of them."""

    @abstractmethod
    def rasters(self, row: Row, payload: bytes, models: Models) -> Sequence[Raster]:
        """The rasters, compared with the digest of samples that the row records."""

    def restore(self, row: Row, payload: bytes, models: Models) -> bytes:
        """As `Reader.restore`."""
        data = _write(row, self.rasters(row, payload, models))
        if row.background_error is None:
            return data
        return with_comment(data, loss.note(row.background_error))

    def check(self, row: Row, payload: bytes, models: Models) -> None:
        """As `Reader.check`: the samples, and the file where it comes back byte for byte."""
        rasters = self.rasters(row, payload, models)
        if _is_exact(row):
            _write(row, rasters)


def samples_of(row: Row) -> SampleFacts:
    """What the row says of samples; SectionCorrupt if that is nothing."""
    if row.samples is None:
        raise SectionCorrupt(f"{row.path}: its row says nothing of samples")
    return row.samples


def _is_exact(row: Row) -> bool:
    return is_exact(_envelope(row)) and row.background_error is None


def _envelope(row: Row) -> bytes:
    envelope = samples_of(row).envelope
    if envelope is None:
        raise SectionCorrupt(f"{row.path}: its row has no envelope")
    return envelope


def _digests(rasters: Sequence[Raster]) -> list[bytes]:
    return sorted(raster_digest([raster]) for raster in rasters)


def _write(row: Row, rasters: Sequence[Raster]) -> bytes:
    """The file with these rasters, which are those of the row."""
    format_name = image_of(row).format
    try:
        data = write_image(ImageFile(format_name, rasters, _envelope(row)))
        if _is_exact(row):
            same = hashlib.sha256(data).digest() == row.source_digest
        else:
            # Compressed anew, they may come in another order.
            same = _digests(read_image(data).rasters) == _digests(rasters)
    except UnreadableImage as error:
        raise SectionCorrupt(f"{row.path}: {error}") from None
    if not same:
        raise DigestMismatch(f"{row.path}: the {format_name} file written back is another one")
    return data
