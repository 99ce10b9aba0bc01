"""Files of one array or a few, of any size: npy, NIfTI, MRC, NRRD, IDX, FITS.

A file of up to 128 MiB is an image file, and is not looked into like this.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from seec.pipeline.containers.last import Last
from seec.pipeline.containers.members import Look
from seec.pipeline.containers.span import Span
from seec.pipeline.containers.strips import Index, Known, cut_strips, find_strips
from seec.pipeline.images.formats import FORMATS
from seec.pipeline.images.formats.fits import Fits, arrays
from seec.pipeline.images.formats.raw_samples import Array, ArrayFormat
from seec.pipeline.images.formats.tiff_parts import described_place
from seec.pipeline.images.ranges import Blocks, Ranges
from seec.schemas.errors import UnreadableImage

_HEAD_BYTES = 1 << 16
_MOST_SLICES = 1 << 16  # of a file
_FORMS = [form for form in FORMATS.values() if isinstance(form, ArrayFormat | Fits)]


def matches(head: bytes) -> bool:
    """Whether a file begins as one of these."""
    return any(form.matches(head) for form in _FORMS)


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterable[Span]:
    """As `containers.find`: small TIFF files of some rows or slices of an array."""
    del look
    return find_strips(_LAST, piece, start, ranges)


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`: between rows."""
    return cut_strips(_LAST, ranges, position)


def known_slices(
    array: Array, name: str, most: int, file_bytes: int, *, picture: bool
) -> list[Known]:
    """The slices of an array. name: of their members. most, picture: as in `Array.places`.

    UnreadableImage if the array is none that may be taken for pictures, or not all in the file.
    """
    if array.at + array.size_bytes > file_bytes:
        raise UnreadableImage("an array that is cut short")
    places = array.places(picture=picture, most_bytes=array.size_bytes, most_rasters=most)
    several = len(places) > 1
    return [
        Known(f"{name}-{number}" if several else name, described_place(place), place)
        for number, place in enumerate(places)
    ]


def _read_index(ranges: Ranges) -> Index:
    head = ranges.read(0, _HEAD_BYTES)
    reason = UnreadableImage("no array that is known")
    for form in _FORMS:
        if form.matches(head):
            try:
                return Index(_known(form, head, ranges))
            except UnreadableImage as error:
                reason = error
    raise reason


def _known(form: ArrayFormat | Fits, head: bytes, ranges: Ranges) -> Sequence[Known]:
    if isinstance(form, ArrayFormat):
        array = form.array(head)
        return known_slices(array, "slice", _MOST_SLICES, ranges.size_bytes, picture=form.picture)
    known: list[Known] = []
    for array in arrays(Blocks(ranges)):
        name, most = f"slice-{len(known)}", _MOST_SLICES - len(known)
        with suppress(UnreadableImage):
            known += known_slices(array, name, most, ranges.size_bytes, picture=True)
    return known


_LAST = Last(_read_index)
