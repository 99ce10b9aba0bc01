"""Slices of large files that hold others: what is coded for trial in place of the whole file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seec.pipeline.containers import Held, Span, find
from seec.schemas.plan import SourceFile

# Some hundred images of usual data sets. An image is not cut in two more often than that.
SLICE_BYTES = 4 << 20
# Files whose images lie in them as they are, so that any part shows them. Those of zip and Parquet
# are found by an index, which lies elsewhere in the file.
_SLICED = frozenset(
    ("tar", "h5", "hdf5", "lmdb", "mdb", "tfrecord", "tfrecords", "arrow", "warc", "pdf")
)
_CONTAINERS = _SLICED | {"zip", "parquet"}
# As long as the header of a member of a tar.
_BEFORE_BYTES = 512
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Slice(SourceFile):
    """A part of a file, in place of the file: size_bytes is of the part. whole: the file."""

    whole: SourceFile | None = None
    start: int = 0


def sliced(files: Iterable[SourceFile], slice_bytes: int = SLICE_BYTES) -> Iterator[SourceFile]:
    """The files, and in place of each large one that holds others its slices, as pieces.

    A slice begins at a multiple of slice_bytes, wherever that is; the last one may be shorter.
    """
    for file in files:
        if _ending(file) not in _SLICED or file.size_bytes < 2 * slice_bytes:
            yield file
            continue
        count = -(-file.size_bytes // slice_bytes)
        for piece in range(count):
            start = piece * slice_bytes
            yield Slice(
                path=file.path,
                size_bytes=min(slice_bytes, file.size_bytes - start),
                mtime_ns=file.mtime_ns,
                piece=piece,
                pieces=count,
                whole=file,
                start=start,
            )


def is_container(file: SourceFile) -> bool:
    """Whether a file, or its slice, is named as one that holds others."""
    return _ending(file) in _CONTAINERS


def whole_members(data: bytes) -> bytes:
    """A slice without the images at its ends that are cut in two: all of it if it shows none.

    What a container has before its first image stays: no piece of one begins with an image.
    """
    spans = _spans(data)
    return data[max(0, spans[0].start - _BEFORE_BYTES) : spans[-1].end] if spans else data


def jpeg_bytes(data: bytes) -> int:
    """How many bytes of JPEG pictures lie in a file, or in a slice."""
    return sum(one.length for one in _spans(data) if data.startswith(_JPEG, one.start))


def _spans(data: bytes) -> tuple[Span, ...]:
    return find(data, 0, Held(data))


def _ending(file: SourceFile) -> str:
    return file.path.rpartition("/")[2].rpartition(".")[2].lower()
