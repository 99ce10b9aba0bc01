"""HDF5 files: small TIFF files of rows, slices or chunks of their arrays, and images in between.

Chunks that are compressed by deflate are strips of these TIFF files as they are. Where their bytes
were shuffled before, no other program reads the TIFF file.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from seec.pipeline.containers import carving
from seec.pipeline.containers.arrays import known_slices
from seec.pipeline.containers.last import Last
from seec.pipeline.containers.members import Look
from seec.pipeline.containers.span import Span
from seec.pipeline.containers.strips import Index, Known, cut_strips, find_strips
from seec.pipeline.images.formats.codings import SHUFFLED, Coding
from seec.pipeline.images.formats.hdf5 import (
    CHECKSUM,
    CHECKSUM_BYTES,
    DEFLATE,
    MAGIC,
    SHUFFLE,
    STARTS,
    Chunk,
    Dataset,
    datasets,
)
from seec.pipeline.images.formats.piece_methods import ZLIB
from seec.pipeline.images.formats.raw_samples import LEAST_SLICE, Array
from seec.pipeline.images.formats.spliced import Place
from seec.pipeline.images.formats.tiff_parts import described_place
from seec.pipeline.images.ranges import Ranges
from seec.schemas.errors import UnreadableImage
from seec.schemas.names import escape

_MOST_SLICES = 1 << 16  # of a file
# Filters of chunks, but for checksums: the predictor of a coding; 0 where there is none.
_FILTERS: dict[tuple[int, ...], int] = {(): 0, (DEFLATE,): 1, (SHUFFLE, DEFLATE): SHUFFLED}


def matches(head: bytes) -> bool:
    """Whether a file begins as HDF5, perhaps behind a block of its user's."""
    return any(head.startswith(MAGIC, start) for start in STARTS)


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterable[Span]:
    """As `containers.find`: small TIFF files, and images that lie between them."""
    del look
    return find_strips(_LAST, piece, start, ranges)


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`: at rows or chunks of an array, elsewhere where no image is cut."""
    place = cut_strips(_LAST, ranges, position)
    return place if place != position else cut_strips(_LAST, ranges, carving.cut(ranges, position))


def _read_index(ranges: Ranges) -> Index:
    known: list[Known] = []
    for dataset in datasets(ranges):
        with suppress(UnreadableImage):
            known += _known(dataset, _MOST_SLICES - len(known), ranges.size_bytes)
    return Index(known)


def _known(dataset: Dataset, most: int, file_bytes: int) -> Iterator[Known]:
    """What is to be known of a dataset. most: how many rasters of their own it may have."""
    name = escape(dataset.name.encode())
    checked = CHECKSUM in dataset.filters
    # Numbers of one byte are not shuffled.
    without = (CHECKSUM, SHUFFLE) if dataset.type.size_bytes == 1 else (CHECKSUM,)
    predictor = _FILTERS.get(tuple(one for one in dataset.filters if one not in without))
    if predictor is None:
        raise UnreadableImage("chunks with filters in an order that is not known")
    extra = CHECKSUM_BYTES if checked else 0
    first = Array(0, dataset.sizes, dataset.type, dataset.little)
    chunks = [
        Chunk(chunk.at, chunk.size_bytes - extra)
        for chunk in dataset.chunks
        if not chunk.skipped
        and chunk.at + chunk.size_bytes <= file_bytes
        and (predictor or chunk.size_bytes == first.size_bytes + extra)
    ]
    if not chunks:
        return
    if len(chunks) == 1 and not predictor:
        array = replace(first, at=chunks[0].at)
        yield from known_slices(array, name, most, file_bytes, picture=False)
        return
    size = first.size_bytes
    (one,) = first.places(picture=False, most_bytes=size, most_rasters=1)
    height, numbers = one.shape.height, dataset.type.size_bytes
    coding = Coding(ZLIB, predictor, height, numbers, 1) if predictor else None
    whole = one.shape.width * height >= LEAST_SLICE and len(chunks) <= most
    groups = [[chunk] for chunk in chunks] if whole else [chunks]
    for number, group in enumerate(groups):
        shape = replace(one.shape, height=height * len(group))
        pieces = tuple((chunk.at, chunk.size_bytes) for chunk in group)
        place = Place(shape, one.packing, pieces, one.meaning, coding)
        place.check()
        yield Known(f"{name}-{number}" if whole else name, described_place(place), place)


_LAST = Last(_read_index)
