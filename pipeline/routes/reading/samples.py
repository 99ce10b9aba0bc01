"""What routes have in common whose payload holds the samples of an image file."""

import hashlib
import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from seec.pipeline.images.files import ImageFile, is_exact, read_image, with_comment, write_image
from seec.pipeline.images.raster import Raster, raster_digest
from seec.pipeline.routes.reading.reader import Models, Reader, image_of
from seec.schemas import loss
from seec.schemas.errors import DigestMismatch, SectionCorrupt, UnreadableImage
from seec.schemas.rows import Row, SampleFacts


class SamplesReader(Reader):
    """A route whose payload gives rasters; the row's envelope makes a file of them."""

    @abstractmethod
    def decode(self, row: Row, payload: bytes, models: Models) -> Sequence[Raster]:
        """What the payload holds, compared with the digest of samples that the row records."""

    def rasters(self, row: Row, payload: bytes, models: Models) -> Sequence[Raster]:
        """The rasters of the row's file: all that the payload holds, or a part of the stack there.

        payload: the bytes whose digest is `row.blob_digest`. Raises as `Reader.restore`.
        """
        if samples_of(row).top is None:
            return self.decode(row, payload, models)
        return [_part(row, _stacks.get(row, lambda: self.decode(row, payload, models)))]

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


class _Stacks:
    """The stacks decoded last: who reads an image of one mostly reads the others, too."""

    def __init__(self, most: int) -> None:
        self._most, self._guard = most, threading.Lock()
        self._kept: OrderedDict[object, Sequence[Raster]] = OrderedDict()

    def get(self, row: Row, decode: Callable[[], Sequence[Raster]]) -> Sequence[Raster]:
        """What `decode` gives for the payload of a row, or gave before.

        The payload has the digest that the row says.
        """
        samples = samples_of(row)
        key = row.route, row.blob_digest, samples.digest, samples.size_bytes, row.model_id
        with self._guard:
            found = self._kept.get(key)
        found = found or decode()
        with self._guard:
            self._kept[key] = found
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found


_stacks = _Stacks(16)


def _part(row: Row, stack: Sequence[Raster]) -> Raster:
    """The image of a row, which is a part of a stack."""
    image, top = image_of(row), samples_of(row).top or 0
    samples = stack[0].samples[top : top + image.height]
    if len(stack) != 1 or samples.shape[:2] != (image.height, image.width):
        raise SectionCorrupt(f"{row.path}: its row asks for more than is in its stack")
    return replace(stack[0], samples=np.ascontiguousarray(samples))


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
