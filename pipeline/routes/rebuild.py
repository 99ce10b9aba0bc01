"""The way back: from a manifest row and its payload to pixels, and to a file."""

import hashlib
from collections.abc import Mapping

from seec.pipeline.codec.decoder import decode
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.images.composite import Composite, is_exact, read_composite, write_composite
from seec.pipeline.images.digest import pixel_digest
from seec.pipeline.images.picture import Picture, Pixels, read_picture, with_note, write_picture
from seec.pipeline.images.raster import Raster, raster_digest
from seec.pipeline.routes import jpegxl, planes, store
from seec.pipeline.routes.loss import stated_loss
from seec.schemas import loss
from seec.schemas.container import reader
from seec.schemas.errors import DigestMismatch, Lost, SectionCorrupt, UnknownModel, UnreadableImage
from seec.schemas.kinds import LINK
from seec.schemas.manifest import JPEGXL_JPEG, LOST, SEEC, SEEC_PLANES, ImageFacts, Row, SampleFacts

Models = Mapping[str, Model]


def check_payload(row: Row, payload: bytes) -> None:
    """DigestMismatch unless these are the bytes that the row describes."""
    if hashlib.sha256(payload).digest() != row.blob_digest:
        raise DigestMismatch(f"{row.path}: its bytes in {row.shard} differ from their digest")


def prove(row: Row, payload: bytes, models: Models) -> None:
    """Decode a payload and compare with the recorded digest of pixels or file.

    Raises DigestMismatch, FormatError or ModelError.
    """
    if row.route == SEEC:
        _pixels(row, payload, models)
    elif row.route == SEEC_PLANES:
        rasters = _rasters(row, payload, models)
        if is_exact(_samples(row).envelope):
            _write_planes(row, rasters)
    else:
        _whole(row, payload)


def rebuild(row: Row, payload: bytes, models: Models) -> bytes:
    """The file: the same samples and envelope for routes seec, seec-planes; else byte for byte.

    Of a link, where it points to.

    A row with a lossy background gives the decoded pixels, and a PNG file says so in a comment.
    Raises SectionCorrupt, DigestMismatch, FormatError, ModelError or UnreadableImage.
    """
    if row.route == SEEC_PLANES:
        return _write_planes(row, _rasters(row, payload, models))
    if row.route != SEEC:
        return _whole(row, payload)
    pixels = _pixels(row, payload, models)
    image, samples = _image(row), _samples(row)
    data = write_picture(Picture(image.format, pixels, samples.envelope))
    if pixel_digest(read_picture(data).pixels) != samples.digest:
        raise DigestMismatch(f"{row.path}: the {image.format} file written back has other pixels")
    if samples.background_error is None:
        return data
    return with_note(data, loss.note(samples.background_error))


def _image(row: Row) -> ImageFacts:
    if row.image is None:
        raise SectionCorrupt(f"{row.path}: its row says nothing of an image")
    return row.image


def _samples(row: Row) -> SampleFacts:
    if row.samples is None:
        raise SectionCorrupt(f"{row.path}: its row says nothing of samples")
    return row.samples


def _write_planes(row: Row, rasters: list[Raster]) -> bytes:
    image, samples = _image(row), _samples(row)
    try:
        data = write_composite(Composite(image.format, rasters, samples.envelope))
        if is_exact(samples.envelope):
            same = hashlib.sha256(data).digest() == row.source_digest
        else:
            same = raster_digest(read_composite(data).rasters) == samples.digest
    except UnreadableImage as error:
        raise SectionCorrupt(f"{row.path}: {error}") from None
    if not same:
        raise DigestMismatch(f"{row.path}: the {image.format} file written back is another one")
    return data


def _rasters(row: Row, payload: bytes, models: Models) -> list[Raster]:
    check_payload(row, payload)
    model = _model(row, models)
    samples = _samples(row)
    rasters = planes.unpack(payload, samples.size_bytes, {model.id: model})
    if raster_digest(rasters) != samples.digest:
        raise DigestMismatch(f"{row.path}: decodes to samples that differ from their digest")
    return rasters


def _model(row: Row, models: Models) -> Model:
    model = models.get(row.model_id or "")
    if model is None:
        raise UnknownModel(f"{row.path}: no model {row.model_id} at hand")
    return model


def _pixels(row: Row, payload: bytes, models: Models) -> Pixels:
    check_payload(row, payload)
    model, samples = _model(row, models), _samples(row)
    if stated_loss(reader(payload)) != samples.background_error:
        raise SectionCorrupt(f"{row.path}: row and .seec file disagree on what was lost")
    pixels = decode(payload, models={model.id: model}, max_pixels=_image(row).pixels)
    if pixel_digest(pixels) != samples.digest:
        raise DigestMismatch(f"{row.path}: decodes to pixels that differ from their digest")
    return pixels


def _whole(row: Row, payload: bytes) -> bytes:
    """The file byte for byte, out of a row that keeps it so."""
    if row.route == LOST:
        raise Lost(f"{row.path}: is lost: {row.reason}; seec repair --from or --source may find it")
    check_payload(row, payload)
    if row.route == JPEGXL_JPEG:
        image = _image(row)
        data = jpegxl.unpack(payload, row.source_size_bytes, image.width, image.height)
    else:
        data = store.unpack(payload, row.source_size_bytes)
    if hashlib.sha256(data).digest() != row.source_digest:
        raise DigestMismatch(f"{row.path}: unpacks to a file that differs from its digest")
    if row.kind == LINK and (not data or b"\0" in data):
        raise SectionCorrupt(f"{row.path}: a symbolic link that can point nowhere")
    return data
