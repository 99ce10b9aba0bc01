"""HDF5 files: small TIFF files of rows, slices or chunks of their arrays, and images in between.

Chunks of whole images that are compressed by deflate are strips of these TIFF files as they are.
Where their bytes were shuffled before, no other program reads the TIFF file. Chunks that hold a
part of many images are put together: see `runs`.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.containers import carving
from seec.pipeline.containers.arrays import known_slices
from seec.pipeline.containers.chunks import CHECKED, SHUFFLED, ZLIB
from seec.pipeline.containers.last import Last
from seec.pipeline.containers.members import Look
from seec.pipeline.containers.runs import Chunked, Parted, Runs, parted
from seec.pipeline.containers.span import Span
from seec.pipeline.containers.strips import Index, Known, at_most, extents, with_carved
from seec.pipeline.images.formats import codings
from seec.pipeline.images.formats.hdf5 import (
    CHECKSUM,
    CHECKSUM_BYTES,
    DEFLATE,
    MAGIC,
    SHUFFLE,
    STARTS,
    Dataset,
    datasets,
)
from seec.pipeline.images.formats.hdf5_chunks import Chunks
from seec.pipeline.images.formats.piece_methods import ZLIB as ZLIB_STREAMS
from seec.pipeline.images.formats.raw_samples import LEAST_SLICE, Array
from seec.pipeline.images.formats.spliced import Place
from seec.pipeline.images.formats.tiff_parts import described_place
from seec.pipeline.images.ranges import Ranges
from seec.schemas.errors import UnreadableImage
from seec.schemas.names import escape

_MOST_SLICES = 1 << 16  # of a file
_MOST_NAME = 255  # characters of a dataset's: each of its slices has it, and it may be 16 KB long
# Filters of chunks in the order in which they are applied, and flags of `chunks`.
_FLAGS = {SHUFFLE: SHUFFLED, DEFLATE: ZLIB, CHECKSUM: CHECKED}
# Filters, but for checksums: the predictor of a coding; 0 where there is none.
_FILTERS: dict[tuple[int, ...], int] = {
    (): 0,
    (DEFLATE,): 1,
    (SHUFFLE, DEFLATE): codings.SHUFFLED,
}


def matches(head: bytes) -> bool:
    """Whether a file begins as HDF5, perhaps behind a block of its user's."""
    return any(head.startswith(MAGIC, start) for start in STARTS)


def find(piece: bytes, start: int, ranges: Ranges, look: Look) -> Iterable[Span]:
    """As `containers.find`: small TIFF files, runs of chunks, and images that lie between them."""
    del look
    try:
        known = _LAST.get(ranges)
    except UnreadableImage:
        return with_carved(piece, [])
    return with_carved(piece, known.strips.spans(piece, start) + known.runs.spans(piece, start))


def cut(ranges: Ranges, position: int) -> int:
    """As `containers.cut`: at rows or chunks of an array, elsewhere where no image is cut."""
    try:
        known = _LAST.get(ranges)
    except UnreadableImage:
        return carving.cut(ranges, position)
    place = known.cut(ranges, position)
    return place if place != position else known.cut(ranges, carving.cut(ranges, position))


@dataclass(frozen=True)
class _Index:
    """Of a file. strips: of arrays that are contiguous, or in chunks of whole images."""

    strips: Index
    runs: Runs

    def cut(self, ranges: Ranges, position: int) -> int:
        """A place behind a position at which neither a strip nor a run is cut."""
        place = self.strips.cut(ranges, position)
        return at_most(self.runs.cut(ranges, place), position)


def _read_index(ranges: Ranges) -> _Index:
    known: list[Known] = []
    arrays: list[Parted] = []
    for dataset in datasets(ranges):
        with suppress(UnreadableImage):
            array = _in_parts(dataset, arrays, ranges.size_bytes)
            if array is not None:
                arrays.append(array)
            else:
                known += _known(dataset, _MOST_SLICES - len(known), ranges.size_bytes)
    starts, _ = extents(piece for one in known for piece in one.place.pieces)
    return _Index(Index(known), Runs(arrays, np.sort(starts)))


_LAST = Last(_read_index)


def _in_parts(dataset: Dataset, before: list[Parted], file_bytes: int) -> Parted | None:
    """A dataset whose chunks are to be put together; None for others."""
    if dataset.chunks is None or _holds_images(dataset):
        return None
    chunks = _inside(dataset.chunks, file_bytes)
    flags = _flags(dataset, chunks)
    if flags is None:
        return None
    columns = (chunks.at, chunks.size_bytes, chunks.places, flags)
    how = (dataset.type, dataset.little, dataset.sizes, dataset.edges)
    return parted(Chunked(_name(dataset), *how, *columns), before[-1].behind if before else 0)


def _holds_images(dataset: Dataset) -> bool:
    """Whether a chunk has what follows each other in the array, and that may be a picture."""
    edges, sizes = dataset.edges, dataset.sizes
    long = [axis for axis, edge in enumerate(edges) if edge > 1]
    behind = range(long[0] + 1, len(edges)) if long else ()
    if any(edges[axis] != sizes[axis] for axis in behind):
        return False
    chunk = Array(0, edges[::-1], dataset.type, dataset.little)
    try:
        return bool(chunk.places(picture=False, most_rasters=1))
    except UnreadableImage:
        return False


def _inside(chunks: Chunks, file_bytes: int) -> Chunks:
    """Those that are whole in the file."""
    return chunks.only(chunks.at + chunks.size_bytes <= file_bytes)


def _flags(dataset: Dataset, chunks: Chunks) -> NDArray[np.int64] | None:
    """Of each chunk, as in `chunks.Stored`; None for filters in an order that is not known."""
    order = [filter_ for filter_ in _FLAGS if filter_ in dataset.filters]
    if tuple(order) != dataset.filters:
        return None
    flags = np.zeros_like(chunks.at)
    for number, filter_ in enumerate(order):
        if filter_ != SHUFFLE or dataset.type.size_bytes > 1:
            flags |= _FLAGS[filter_] * (1 - (chunks.skipped >> number & 1))
    return flags


def _name(dataset: Dataset) -> str:
    return escape(dataset.name[-_MOST_NAME:].encode())


def _known(dataset: Dataset, most: int, file_bytes: int) -> Iterator[Known]:
    """What is to be known of a dataset. most: how many rasters of their own it may have."""
    if dataset.at is not None:
        array = Array(dataset.at, dataset.sizes[::-1], dataset.type, dataset.little)
        yield from known_slices(array, _name(dataset), most, file_bytes, picture=False)
    elif dataset.chunks is not None:
        yield from _known_chunks(dataset, _inside(dataset.chunks, file_bytes), most, file_bytes)


def _known_chunks(dataset: Dataset, chunks: Chunks, most: int, file_bytes: int) -> Iterator[Known]:
    """As `_known`, of a dataset whose chunks are pictures."""
    name = _name(dataset)
    # Numbers of one byte are not shuffled.
    without = (CHECKSUM, SHUFFLE) if dataset.type.size_bytes == 1 else (CHECKSUM,)
    predictor = _FILTERS.get(tuple(one for one in dataset.filters if one not in without))
    if predictor is None:
        raise UnreadableImage("chunks with filters in an order that is not known")
    extra = CHECKSUM_BYTES if CHECKSUM in dataset.filters else 0
    first = Array(0, dataset.edges[::-1], dataset.type, dataset.little)
    whole = (chunks.size_bytes == first.size_bytes + extra) | (predictor > 0)
    chunks = chunks.only((chunks.skipped == 0) & whole)
    pieces = [*zip(chunks.at.tolist(), (chunks.size_bytes - extra).tolist(), strict=True)]
    if not pieces:
        return
    if len(pieces) == 1 and not predictor:
        array = replace(first, at=pieces[0][0])
        yield from known_slices(array, name, most, file_bytes, picture=False)
        return
    size = first.size_bytes
    (one,) = first.places(picture=False, most_bytes=size, most_rasters=1)
    height, numbers = one.shape.height, dataset.type.size_bytes
    coding = codings.Coding(ZLIB_STREAMS, predictor, height, numbers, 1) if predictor else None
    apart = one.shape.width * height >= LEAST_SLICE and len(pieces) <= most
    groups = [[piece] for piece in pieces] if apart else [pieces]
    for number, group in enumerate(groups):
        shape = replace(one.shape, height=height * len(group))
        place = Place(shape, one.packing, tuple(group), one.meaning, coding)
        place.check()
        yield Known(f"{name}-{number}" if apart else name, described_place(place), place)
