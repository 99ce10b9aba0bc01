"""Files of instruments within one member of gzip: `.nii.gz`, `.fits.gz`, `.npy.gz` and others.

Envelope: a byte, the length of the name of the format within, this name, uint32 little-endian
length of the recipe, the recipe (see `deflate.Gzip`), then the envelope of the file within.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

from seec.pipeline.deflate import Gzip
from seec.pipeline.images.formats.fits import Fits
from seec.pipeline.images.formats.format import Content, Format, ReadAt
from seec.pipeline.images.formats.idx import Idx
from seec.pipeline.images.formats.mrc import Mrc
from seec.pipeline.images.formats.nifti import Nifti
from seec.pipeline.images.formats.npy import Npy
from seec.pipeline.images.formats.nrrd import Nrrd
from seec.pipeline.images.formats.spliced import SplicedFormat, check_places
from seec.pipeline.images.raster import Raster
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from seec.schemas.limits import MAX_RECIPE_BYTES, MAX_SAMPLE_BYTES
from seec.schemas.planes import Shape

_MAGIC = b"\x1f\x8b\x08"
_WITHIN: dict[str, SplicedFormat] = {
    one.name: one for one in (Nifti(), Fits(), Npy(), Mrc(), Nrrd(), Idx())
}
_GZIP_BITS = 31  # of zlib's window, with a header of gzip
_HEAD_BYTES = 4096
_HEADERS_BYTES = 1 << 20  # in which all headers of the file within have to be
_MAX_BYTES = MAX_SAMPLE_BYTES + (1 << 26)
_COUNT = struct.Struct("<I")


class Gzipped(Format):
    """One member whose content holds samples as they are."""

    name = "GZIP"

    def matches(self, data: bytes) -> bool:
        """As `Format.matches`."""
        return data.startswith(_MAGIC) and _format_of(_head(data, _HEAD_BYTES)) is not None

    def shapes(self, data: bytes) -> list[Shape]:
        """As `Format.shapes`."""
        head = _head(data, _HEADERS_BYTES)
        places = _within(head).places(head)
        return [place.shape for place in check_places(places, _content_bytes(data))]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """As `Format.read`: exact, or not at all."""
        del keep_file
        plain, recipe = Gzip().unpack(data, _content_bytes(data))
        form = _within(plain)
        name = form.name.encode()
        head = bytes([len(name)]) + name + _COUNT.pack(len(recipe)) + recipe
        for content in form.read(plain, keep_file=True):
            yield Content(content.rasters, head + content.envelope, content.exact)

    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """As `Format.write`."""
        del exact, quick
        try:
            at = 1 + envelope[0]
            form = _WITHIN.get(envelope[1:at].decode("latin-1"))
            (length,) = _COUNT.unpack_from(envelope, at)
            at += _COUNT.size
            if form is None or length > MAX_RECIPE_BYTES:
                raise UnreadableImage("envelope of a gzip file of no format that we know")
            plain = form.write(rasters, envelope[at + length :], exact=True)
            return Gzip().pack(plain, envelope[at : at + length])
        except (IndexError, struct.error, SectionCorrupt):
            raise UnreadableImage("damaged envelope of a gzip file") from None

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """As `Format.extent`."""
        plain = _head(head, _HEADERS_BYTES)
        return _within(plain).extent(plain, read_at)


def _content_bytes(data: bytes) -> int:
    """Of the content, as the end of the file says."""
    (size,) = _COUNT.unpack(data[-_COUNT.size :])
    if size > _MAX_BYTES:
        raise UnreadableImage(f"gzip file with {size} bytes of content, too many for pictures")
    return size


def _head(data: bytes, size_bytes: int) -> bytes:
    """The beginning of the content; nothing if it is damaged."""
    try:
        return zlib.decompressobj(_GZIP_BITS).decompress(data[:size_bytes], size_bytes)
    except zlib.error:
        return b""


def _within(content: bytes) -> SplicedFormat:
    form = _format_of(content)
    if form is None:
        raise UnreadableImage("gzip file of something else than pictures")
    return form


def _format_of(content: bytes) -> SplicedFormat | None:
    return next((form for form in _WITHIN.values() if form.matches(content)), None)
