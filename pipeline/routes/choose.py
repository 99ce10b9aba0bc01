"""The way into the archive: what a file is, and which payload it ends up with.

`draft` looks at the bytes, decodes them where the codec can take them, and transcodes JPEG;
`settle` compares what the codec made of it with the stored file and keeps the smaller.
"""

import hashlib
from dataclasses import dataclass, replace

from seec.pipeline.codec import Model, decode
from seec.pipeline.images import jpeg
from seec.pipeline.images.composite import read_composite, read_shapes
from seec.pipeline.images.digest import pixel_digest
from seec.pipeline.images.picture import EXACT_FORMATS, Pixels, read_header, read_picture
from seec.pipeline.images.raster import raster_digest
from seec.pipeline.routes import planes, store
from seec.pipeline.routes.loss import stated_loss
from seec.pipeline.routes.transcode import transcode
from seec.schemas.container import reader
from seec.schemas.errors import UnreadableImage
from seec.schemas.manifest import (
    JPEGXL_JPEG,
    SEEC,
    SEEC_PLANES,
    STORE,
    Entry,
    ImageFacts,
    Row,
    SampleFacts,
)
from seec.schemas.plan import SourceFile
from seec.schemas.planes import Shape


@dataclass(frozen=True)
class Draft:
    """A file on its way: the row it gets if it is kept byte for byte, and if SEEC codes it.

    Place in the shard and model are still open in both. payload: of stored, whose route is `store`
    or, for JPEG that this makes smaller, `jpegxl-jpeg`. coded is None where SEEC cannot take the
    file; for route `store`, stored.reason says why. cut: where coded has route `seec-planes`.
    """

    stored: Row
    payload: bytes
    coded: Row | None = None
    cut: planes.Cut | None = None

    @property
    def is_picture(self) -> bool:
        """Whether SEEC is to code one picture, which travels beside the draft."""
        return self.coded is not None and self.cut is None

    @property
    def picture_digest(self) -> bytes | None:
        """The pixel digest of that picture; None where there is none."""
        samples = self.coded.samples if self.coded and self.is_picture else None
        return samples and samples.digest


def pixels_in(data: bytes) -> int:
    """What SEEC has to code, in pixels; 0 if it does not take this file. Does not decode."""
    try:
        return read_header(data).pixels
    except UnreadableImage:
        pass
    try:
        return _pixels_of(read_shapes(data))
    except UnreadableImage:
        return 0


def jpeg_pixels_in(data: bytes) -> int:
    """Width times height if the file may be JPEG that is transcoded, else 0. Does not decode."""
    try:
        return jpeg.read_frame(data).pixels if jpeg.matches(data) else 0
    except UnreadableImage:
        return 0


def samples_digest(data: bytes, max_pixels: int) -> bytes | None:
    """The same for files of which SEEC codes the same samples; None for those it does not take.

    Decodes. `draft` may store the file all the same.
    """
    try:
        _check_limit(read_header(data).pixels, max_pixels)
        return pixel_digest(read_picture(data).pixels)
    except UnreadableImage:
        pass
    try:
        _check_limit(_pixels_of(read_shapes(data)), max_pixels)
        return raster_digest(read_composite(data).rasters)
    except UnreadableImage:
        return None


def draft(
    file: SourceFile, data: bytes, max_pixels: int, *, keep_file: bool = False
) -> tuple[Draft, Pixels | None]:
    """Look at a file, decode it if SEEC may take it, transcode it if it is JPEG.

    keep_file: SEEC takes it only if it comes back byte for byte.
    Returns the draft and, where draft.is_picture, the pixels.
    """
    if jpeg.matches(data):
        return _draft_jpeg(file, data, max_pixels), None
    try:
        header = read_header(data)
        _check_limit(header.pixels, max_pixels)
        if keep_file and header.format not in EXACT_FORMATS:
            return _draft_planes(file, data, max_pixels, keep_file), None
        picture = read_picture(data)
    except UnreadableImage:
        return _draft_planes(file, data, max_pixels, keep_file), None
    stored = draft_stored(file, data, "smaller than its SEEC code")
    coded = replace(
        stored.stored,
        route=SEEC,
        reason=None,
        image=ImageFacts(
            header.width,
            header.height,
            "L" if picture.pixels.ndim == 2 else "RGB",
            picture.format,
        ),
        samples=SampleFacts(pixel_digest(picture.pixels), picture.pixels.size, picture.envelope),
    )
    return replace(stored, coded=coded), picture.pixels


def _draft_planes(file: SourceFile, data: bytes, max_pixels: int, keep_file: bool) -> Draft:
    """A draft of a file that is no single 8-bit picture: as planes if it can be had again so."""
    try:
        _check_limit(_pixels_of(read_shapes(data)), max_pixels)
        composite = read_composite(data, keep_file=keep_file)
    except UnreadableImage as error:
        return draft_stored(file, data, str(error))
    stored = draft_stored(file, data, "smaller than its SEEC code")
    cut = planes.cut(composite.rasters)
    first = cut.shapes[0]
    coded = replace(
        stored.stored,
        route=SEEC_PLANES,
        reason=None,
        image=ImageFacts(
            first.width, first.height, f"{first.samples}x{first.depth}", composite.format
        ),
        samples=SampleFacts(
            raster_digest(composite.rasters),
            sum(shape.size_bytes for shape in cut.shapes),
            composite.envelope,
        ),
    )
    return replace(stored, coded=coded, cut=cut)


def _pixels_of(shapes: list[Shape]) -> int:
    """Pixels of all rasters, or how many of RGB take as much memory, if those are more."""
    pixels = sum(shape.width * shape.height for shape in shapes)
    return max(pixels, -(-sum(shape.size_bytes for shape in shapes) // 3))


def _draft_jpeg(file: SourceFile, data: bytes, max_pixels: int) -> Draft:
    """A draft without pixels: as JPEG XL where that gives the file back and is smaller."""
    stored = draft_stored(file, data, "smaller than as JPEG XL")
    try:
        frame = jpeg.read_frame(data)
        _check_limit(frame.pixels, max_pixels)
        code = transcode(data, frame)
    except UnreadableImage as error:
        return replace(stored, stored=replace(stored.stored, reason=str(error)))
    if len(code) >= len(stored.payload):
        return stored
    row = replace(
        stored.stored,
        route=JPEGXL_JPEG,
        reason=None,
        image=ImageFacts(
            frame.width,
            frame.height,
            {1: "L", 3: "RGB"}.get(frame.components, f"{frame.components}x8"),
            jpeg.FORMAT,
        ),
    )
    return Draft(row, code)


def _check_limit(pixels: int, max_pixels: int) -> None:
    if pixels > max_pixels:
        raise UnreadableImage(f"{pixels} pixels, over the limit of {max_pixels}")


def draft_stored(file: SourceFile, data: bytes, reason: str | None) -> Draft:
    """A draft for the store route alone: nothing is decoded.

    data: of a link, where it points to; of a directory, nothing.
    """
    payload = store.pack(data)
    row = Row(
        path=file.path,
        source_size_bytes=len(data),
        source_mtime_ns=file.mtime_ns,
        source_digest=hashlib.sha256(data).digest(),
        route=STORE,
        reason=reason,
        kind=file.kind,
        permissions=file.permissions,
    )
    return Draft(row, payload)


def admit_loss(draft: Draft, code: bytes, model: Model) -> Draft:
    """The draft of a code that has lost something says so; any other stays as it is.

    Its pixel digest becomes that of what decoding gives: that is what can be proved later.
    """
    loss = stated_loss(reader(code))
    if draft.coded is None or draft.coded.samples is None or loss is None:
        return draft
    digest = pixel_digest(decode(code, models={model.id: model}))
    samples = replace(draft.coded.samples, digest=digest, background_error=loss)
    return replace(draft, coded=replace(draft.coded, samples=samples))


def settle(draft: Draft, code: bytes | None, model_id: str) -> Entry:
    """Keep the smaller of code and stored file; None if there is no code.

    code: the payload of draft.coded, for route `seec-planes` as `planes.pack` makes it.
    """
    row = draft.coded
    if row is None or row.samples is None or code is None:
        return _place(draft.stored, draft.payload)
    if len(code) + len(row.samples.envelope) >= len(draft.payload):
        return _place(draft.stored, draft.payload)
    return _place(replace(row, model_id=model_id), code)


def _place(row: Row, payload: bytes) -> Entry:
    digest = hashlib.sha256(payload).digest()
    return Entry(replace(row, length=len(payload), blob_digest=digest), payload)
