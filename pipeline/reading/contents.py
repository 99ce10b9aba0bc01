"""From a row and its place in a blob to the file, its pixels, or a rectangle of them."""

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.shard import payloads
from seec.pipeline.reading.cache import DiskCache
from seec.pipeline.reading.pieces import contents
from seec.pipeline.routes.reading import READERS, check_payload, restore
from seec.pipeline.storage import Store
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import FormatError, SectionCorrupt, Truncated, UnreadableImage
from seec.schemas.routes import PIECES, SEEC, SEEC_DECODED
from seec.schemas.rows import Row

if TYPE_CHECKING:
    from seec.pipeline.images.ranges import Ranges

Pixels = NDArray[Any]
# x, y, width and height, in pixels from the top left corner.
RegionOfPixels = tuple[int, int, int, int]

# Below this, one request for all of a payload is faster than several for parts of it.
_WHOLE_BYTES = 1 << 20
# Routes whose payload is of one image, 8 bits gray or RGB.
_PIXELS = (SEEC, SEEC_DECODED)
# Formats whose samples Pillow gives as they are: no palette, orientation or colour is applied.
_PLAIN = ("PNG", "BMP", "NETPBM", "QOI")


@dataclass(frozen=True)
class Held:
    """A file that an archive holds: its row, where its payload is, and what keeps its content.

    payload: the bytes whose digest is `row.blob_digest`, where they were read already. holders: the
    shards that may hold pieces of a file in pieces.
    """

    store: Store
    shard: ShardRecord
    row: Row
    cache: DiskCache | None = None
    payload: bytes | None = None
    holders: tuple[ShardRecord, ...] = ()

    def file(self) -> bytes:
        """The file as `seec restore` writes it.

        Raises ObjectMissing, Lost, FixityError, FormatError, ModelError or StorageError.
        """
        key = self._key("file")
        kept = None if self.cache is None else self.cache.get(key)
        if kept is not None:
            return kept
        if self.row.route == PIECES:
            return b"".join(contents(self.store, self.holders, self.row, self._payload()))
        data = restore(self.row, self._payload(), archived_models(self.store, [self.row]))
        if self.cache is not None:
            self.cache.put(key, data)
        return data

    def pixels(self, mode: str | None = None) -> Pixels:
        """The pixels: [H, W] or [H, W, C], in the depth that Pillow decodes to.

        mode: a mode of Pillow to convert to, such as `RGB` or `L`. Raises UnreadableImage if Pillow
        cannot decode or convert the file; else as `file`.
        """
        if not self._is_plain:
            return _decoded(self.row.path, io.BytesIO(self.file()), mode)
        key = self._key("pixels")
        kept = None if self.cache is None else self.cache.get(key)
        if kept is not None:
            return _converted(_load(kept), mode)
        pixels = self._samples()
        if self.cache is not None:
            self.cache.put(key, _dump(pixels))
        return _converted(pixels, mode)

    def page(self, page: int, region: RegionOfPixels | None = None) -> Pixels:
        """A picture of a TIFF file, or a rectangle of it, as `read_page` gives it.

        Of a file in pieces only what holds the strips or tiles is read and decoded. Raises as
        `read_page`; else as `file`.
        """
        from seec.pipeline.images.formats.tiff_regions import read_page

        try:
            return read_page(self.ranges(), page, region)
        except UnreadableImage as error:
            raise UnreadableImage(f"{self.row.path}: {error}") from None

    def ranges(self) -> "Ranges":
        """The file by ranges of its bytes: of one in pieces, only what is read is decoded.

        Any other file is read as a whole, now. Raises as `file`, and so does reading.
        """
        # Imports the formats, which who reads whole files does without.
        from seec.pipeline.images.ranges import Held as InMemory
        from seec.pipeline.reading.parts import InPieces

        if self.row.route == PIECES:
            return InPieces(self.store, self.holders, self.row, self._payload())
        return InMemory(self.file())

    def region(self, region: RegionOfPixels, mode: str | None = None) -> Pixels:
        """A rectangle of the pixels. ValueError if it is not inside the image; else as `pixels`.

        Of route `seec` only the groups of tiles that it touches are decoded, and of large files
        only these are read.
        """
        kept = None if self.cache is None else self.cache.get(self._key("pixels"))
        if kept is not None or self.row.route != SEEC or not self._is_plain:
            x, y, width, height = region
            pixels = self.pixels(mode) if kept is None else _load(kept)
            _check_inside(region, pixels.shape[1], pixels.shape[0])
            part = pixels[y : y + height, x : x + width]
            return part if kept is None else _converted(part, mode)
        from seec.pipeline.codec.decoder import Region, decode_region
        from seec.schemas.container import reader

        read = self._read_part
        if self.payload is not None or self.row.length <= _WHOLE_BYTES:
            read = reader(self._payload()[: self.row.payload_length])
        x, y, width, height = region
        if self.row.samples is not None and self.row.samples.top is not None:
            assert self.row.image is not None
            _check_inside(region, self.row.image.width, self.row.image.height)
            y += self.row.samples.top
        models: Any = archived_models(self.store, [self.row])
        try:
            return _converted(decode_region(read, Region(x, y, width, height), models=models), mode)
        except FormatError as error:
            raise type(error)(f"{self.row.path}: {error}") from None

    @property
    def _is_plain(self) -> bool:
        """Whether decoding gives the pixels that Pillow finds in the file."""
        image = self.row.image
        return self.row.route in _PIXELS and image is not None and image.format in _PLAIN

    def _samples(self) -> Pixels:
        from seec.pipeline.routes.reading.samples import SamplesReader

        payload = self._payload()
        check_payload(self.row, payload)
        decoder = READERS[self.row.route]
        assert isinstance(decoder, SamplesReader)
        models = archived_models(self.store, [self.row])
        (raster,) = decoder.rasters(self.row, payload[: self.row.payload_length], models)
        pixels = raster.pixels
        if pixels is None:
            raise SectionCorrupt(f"{self.row.path}: not the pixels that its row promises")
        return pixels

    @property
    def _blob(self) -> str:
        return self.row.blob or self.shard.blob.name

    def _payload(self) -> bytes:
        if self.payload is not None:
            return self.payload
        [(_, payload)] = payloads(self.store, self._blob, [self.row])
        return payload

    def _read_part(self, offset: int, size: int) -> bytes:
        """Some bytes of the payload, or fewer where it ends first."""
        if offset < 0 or size < 0:
            raise Truncated("a section outside of its file")
        size = max(0, min(size, self.row.payload_length - offset))
        return self.store.get_range(self._blob, self.row.offset + offset, size)

    def _key(self, what: str) -> str:
        row = self.row
        # The digest of the payload alone would do if no two files had one payload.
        name = (what, row.route, row.source_digest.hex(), row.blob_digest.hex(), row.model_id)
        envelope = b"" if row.samples is None else row.samples.envelope or b""
        return hashlib.sha256(repr(name).encode() + envelope).hexdigest()


def _decoded(path: str, data: io.BytesIO, mode: str | None) -> Pixels:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(data) as image:
            if mode is None or image.mode == mode:
                return np.asarray(image)
            if image.mode.startswith("I;16"):  # which Pillow would cut off at 255
                return _converted((np.asarray(image) >> 8).astype(np.uint8), mode)
            return np.asarray(image.convert(mode))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImage(f"{path}: {error}") from None


def _converted(pixels: Pixels, mode: str | None) -> Pixels:
    """8-bit gray or RGB pixels in a mode of Pillow."""
    if mode is None or mode == ("L" if pixels.ndim == 2 else "RGB"):
        return pixels
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert(mode))


def _check_inside(region: RegionOfPixels, width: int, height: int) -> None:
    x, y, wide, high = region
    if min(x, y) < 0 or min(wide, high) < 1 or x + wide > width or y + high > height:
        raise ValueError(f"{region} is not inside an image of {width} x {height} pixels")


def _dump(pixels: Pixels) -> bytes:
    import numpy as np

    sink = io.BytesIO()
    np.save(sink, pixels, allow_pickle=False)
    return sink.getvalue()


def _load(data: bytes) -> Pixels:
    import numpy as np

    return np.load(io.BytesIO(data), allow_pickle=False)
