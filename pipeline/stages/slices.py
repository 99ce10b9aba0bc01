"""Slices of large files that hold others: what is coded for trial in place of the whole file.

Members of tar and zip files stand behind headers of their own, so a slice may begin anywhere. Pages
of Parquet files are found by the file's index alone, which lies at its end. So the indexes of some
files are read, and a slice that is coded begins where a column of a row group does. Arrays are
found by the beginning of their files, of HDF5 those whose places stand there.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from seec.pipeline.archive.pieces import MAX_WHOLE_STRIPS_BYTES
from seec.pipeline.containers import Held, Parts, Ranges, Span, find
from seec.pipeline.containers.parquet_footer import MAGIC, TAIL_BYTES, chunks_of, footer_of
from seec.pipeline.containers.zips import first_member
from seec.pipeline.storage import Source
from seec.schemas.errors import SourceError, StorageError, StoreUnavailable
from seec.schemas.plan import SourceFile

# Some hundred images of usual data sets. An image is not cut in two more often than that.
SLICE_BYTES = 4 << 20
# Files whose images lie in them as they are, so that any part shows them.
_PLAIN = frozenset(
    ("tar", "h5", "hdf5", "lmdb", "mdb", "tfrecord", "tfrecords", "arrow", "warc", "pdf")
)
_ZIP, _PARQUET = "zip", "parquet"
_HDF5 = frozenset(("h5", "hdf5"))
_ARRAYS = frozenset(("npy", "nii", "mrc", "mrcs", "nrrd", "fits", "fit"))  # where in pieces
_SLICED = _PLAIN | {_ZIP, _PARQUET}
_INDEXED = _ARRAYS | _HDF5 | {_PARQUET}
_HEAD_BYTES = 1 << 16
# As long as the header of a member of a tar.
_BEFORE_BYTES = 512
_MOST_INDEXES = 64
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Slice(SourceFile):
    """A part of a file, in place of the file: size_bytes is of the part. whole: the file.

    index: of the file, if its images are found by that: the end of a Parquet file, the beginning of
    others. column: that it begins in, of a table.
    readable: whether it may be coded for trial; other slices are like those of the same column.
    """

    whole: SourceFile | None = None
    start: int = 0
    index: bytes = field(default=b"", compare=False, repr=False)
    column: str = ""
    readable: bool = True


@dataclass(frozen=True)
class Indexes:
    """Indexes of files, empty where a file has none, and how many bytes were read for them."""

    of: Mapping[SourceFile, bytes] = field(default_factory=dict[SourceFile, bytes])
    read_bytes: int = 0


@dataclass(frozen=True)
class Shown:
    """What a file or a slice shows of the images in it: bytes from start on, and their spans.

    ranges: the whole file, as far as it is known; None if the bytes stand for a file of their own.
    """

    data: bytes
    spans: tuple[Span, ...]
    start: int = 0
    ranges: Ranges | None = None

    @property
    def jpeg_bytes(self) -> int:
        """How many bytes of JPEG pictures there are."""
        return _jpeg_bytes(self.data, self.spans)


def files_with_index(
    files: Iterable[SourceFile], slice_bytes: int = SLICE_BYTES
) -> list[SourceFile]:
    """The files in whose slices images are found by an index."""
    return [f for f in files if _is_sliced(f, slice_bytes) and _ending(f) in _INDEXED]


def read_indexes(
    source: Source, files: Sequence[SourceFile], most_bytes: int, seed: int
) -> Indexes:
    """The indexes of some of these files, of at most so many bytes together.

    The same seed chooses the same files. Raises StoreUnavailable.
    """
    found: dict[SourceFile, bytes] = {}
    read = 0
    for file in random.Random(seed).sample(files, min(len(files), _MOST_INDEXES)):
        if read + (TAIL_BYTES if _ending(file) == _PARQUET else _HEAD_BYTES) > most_bytes:
            break
        size = file.size_bytes
        try:
            if _ending(file) != _PARQUET:
                found[file] = source.read_part(file, 0, _HEAD_BYTES)
                read += _HEAD_BYTES
                continue
            tail = source.read_part(file, size - TAIL_BYTES, TAIL_BYTES)
            read += TAIL_BYTES
            before = size - footer_of(Parts(size, ((size - TAIL_BYTES, tail),))) - TAIL_BYTES
            if before < 0:
                found[file] = b""
            elif read + before <= most_bytes:
                found[file] = source.read_part(file, size - TAIL_BYTES - before, before) + tail
                read += before
        except StoreUnavailable:
            raise
        except (SourceError, StorageError):
            continue
    return Indexes(found, read)


def sliced(
    files: Iterable[SourceFile], indexes: Indexes, slice_bytes: int = SLICE_BYTES
) -> Iterator[SourceFile]:
    """The files, and in place of each large one that holds others its slices, as pieces.

    A slice begins at a multiple of slice_bytes, wherever that is; the last one may be shorter.
    Those of a Parquet file begin where its index says, and most have half as many bytes up to as
    many. Without the index none of them is readable.
    """
    for file in files:
        if not _is_sliced(file, slice_bytes):
            yield file
        elif _ending(file) in _INDEXED - {_PARQUET}:
            starts = list(range(0, file.size_bytes, slice_bytes))
            yield from _slices(file, starts, index=indexes.of.get(file, b""))
        elif _ending(file) != _PARQUET or indexes.of.get(file) == b"":
            yield from _slices(file, list(range(0, file.size_bytes, slice_bytes)))
        elif file in indexes.of:
            yield from _by_index(file, indexes.of[file], slice_bytes // 2)
        else:
            starts = _equal(0, file.size_bytes, slice_bytes // 2)
            yield from _slices(file, starts, readable=frozenset())


def is_container(file: SourceFile) -> bool:
    """Whether a file, or its slice, is named as one that holds others."""
    return _ending(file) in _SLICED


def _is_sliced(file: SourceFile, slice_bytes: int) -> bool:
    least = MAX_WHOLE_STRIPS_BYTES if _ending(file) in _ARRAYS else 2 * slice_bytes - 1
    return _ending(file) in _SLICED | _ARRAYS and file.size_bytes > least


def shown(file: SourceFile, data: bytes) -> Shown:
    """What the bytes of a file or of a slice show.

    A slice is shown without the images at its ends that are cut in two: all of it if it shows none.
    What a container has before its first image stays: no piece of one begins with an image.
    """
    if not isinstance(file, Slice) or file.whole is None:
        return Shown(data, find(data, 0, Held(data)))
    if file.index:
        size = file.whole.size_bytes
        parts = ((0, file.index), (file.start, data))
        if _ending(file) == _PARQUET:
            parts = ((0, MAGIC), (file.start, data), (size - len(file.index), file.index))
        ranges = Parts(size, parts)
        spans = find(data, file.start, ranges)
        return Shown(data[: spans[-1].end] if spans else data, spans, file.start, ranges)
    before = 0 if _ending(file) == _ZIP else _BEFORE_BYTES
    data = data[first_member(data) or 0 :] if _ending(file) == _ZIP else data
    spans = find(data, 0, Held(data))
    first = max(0, spans[0].start - before) if spans and before else 0
    last = spans[-1].end if spans else len(data)
    return Shown(data[first:last], tuple(one.moved(-first) for one in spans))


def _by_index(file: SourceFile, index: bytes, slice_bytes: int) -> Iterator[Slice]:
    """Slices between the beginnings of columns, which are readable, and within long columns."""
    size = file.size_bytes
    chunks = chunks_of(Parts(size, ((size - len(index), index),)))
    starts, readable, columns = [0], {0}, {0: chunks[0].column if chunks else ""}
    for chunk in chunks:
        is_long, before = chunk.end - chunk.start >= slice_bytes, chunk.start - starts[-1]
        if before >= slice_bytes or (is_long and before > len(MAGIC)):
            starts.append(chunk.start)
            readable.add(chunk.start)
        if is_long:
            starts += _equal(chunk.start, chunk.end, slice_bytes)[1:]
        columns |= {start: chunk.column for start in starts if start >= chunk.start}
    for one in _slices(file, starts, frozenset(readable), index):
        yield replace(one, column=columns[one.start])


def _equal(start: int, end: int, slice_bytes: int) -> list[int]:
    """Beginnings of parts of about the same size, at least slice_bytes where there are several."""
    count = max(1, (end - start) // slice_bytes)
    return [start + (end - start) * number // count for number in range(count)]


def _slices(
    file: SourceFile,
    starts: Sequence[int],
    readable: frozenset[int] | None = None,
    index: bytes = b"",
) -> Iterator[Slice]:
    """A file cut at these places. readable: which of them begin readable slices; None for all."""
    for piece, (start, end) in enumerate(pairwise([*starts, file.size_bytes])):
        yield Slice(
            path=file.path,
            size_bytes=end - start,
            mtime_ns=file.mtime_ns,
            piece=piece,
            pieces=len(starts),
            whole=file,
            start=start,
            index=index,
            readable=readable is None or start in readable,
        )


def _jpeg_bytes(data: bytes, spans: Iterable[Span]) -> int:
    total = 0
    for span in spans:
        content = span.content or data[span.start : span.end]
        if span.members:
            total += _jpeg_bytes(content, span.members)
        elif content.startswith(_JPEG):
            total += len(content)
    return total


def _ending(file: SourceFile) -> str:
    return file.path.rpartition("/")[2].rpartition(".")[2].lower()
