"""The kinds of containers, and which of them a file is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from seec.pipeline.containers import arrays, carving, gzips, hdf5, parquet, tars, tiffs, zips
from seec.pipeline.containers.marks import is_carved
from seec.pipeline.containers.members import Look
from seec.pipeline.containers.pictures import JPEG_START
from seec.pipeline.containers.span import MOST_DEPTH, Span
from seec.pipeline.images.ranges import Held, Ranges
from seec.schemas.routes import NOT_OPENED

_HEAD_BYTES = 4096


@dataclass(frozen=True)
class _Kind:
    """A container with an index. matches: whether a file is one, by its first 4 KiB."""

    matches: Callable[[bytes], bool]
    find: Callable[[bytes, int, Ranges, Look], Iterable[Span]]
    cut: Callable[[Ranges, int], int]


def _is_wanted(head: bytes) -> bool:
    """Whether a member that begins so may be an image, or hold some by an index or a mark."""
    return head.startswith(JPEG_START) or carving.is_image(head) or is_container(head)


def _stays_whole(head: bytes) -> bool:
    """Whether a member that begins so is of a format of images, whatever follows, or a container.

    Headers of DICOM and FITS may be longer than what is looked at.
    """
    return bool(carving.extension(head)) or is_container(head)


_KINDS = (
    _Kind(tars.matches, tars.find, partial(tars.cut, wants=_stays_whole)),
    _Kind(zips.matches, zips.find, partial(zips.cut, wants=_stays_whole)),
    _Kind(parquet.matches, parquet.find, parquet.cut),
    _Kind(tiffs.matches, tiffs.find, tiffs.cut),
    _Kind(gzips.matches, gzips.find, gzips.cut),
    _Kind(hdf5.matches, hdf5.find, hdf5.cut),
)
# Image files that are looked into where they are in pieces, or damaged.
_LARGE_IMAGES = (_Kind(arrays.matches, arrays.find, arrays.cut),)


def is_container(head: bytes) -> bool:
    """Whether the first 4 KiB of a file say that it is a container that we know."""
    return any(kind.matches(head) for kind in _KINDS) or is_carved(head)


def has_strips(head: bytes) -> bool:
    """Whether the first 4 KiB of an image file say that its strips or slices can be told apart."""
    return tiffs.matches(head) or arrays.matches(head)


@dataclass(frozen=True)
class Found:
    """Images in a piece of a file: sorted, not overlapping, wholly inside the piece.

    reason: why there are none in a file that begins as a container; else None.
    """

    spans: tuple[Span, ...]
    reason: str | None = None


def find(piece: bytes, start: int, ranges: Ranges) -> tuple[Span, ...]:
    """The spans of `look_into`."""
    return look_into(piece, start, ranges).spans


def look_into(piece: bytes, start: int, ranges: Ranges) -> Found:
    """Look for images in a piece of a file.

    piece: bytes of the file from `start` on. ranges: the whole file, for its index; at least its
    first 4 KiB are read. Raises what `ranges` raises, and nothing for whatever the bytes are.
    """
    notes: list[str] = []
    spans = _find(piece, start, ranges, 0, notes.append)
    if spans or start or not is_container(piece[:_HEAD_BYTES]):
        return Found(spans)
    return Found((), f"{NOT_OPENED}{notes[0] if notes else 'no images are found in it'}")


def cut(ranges: Ranges, position: int) -> int:
    """The first place at or behind a position at which a piece may begin, and no member is cut.

    The size of the file if there is none within the file. It depends on the bytes of the file
    alone. A member of more than 64 MiB may be cut in two, one that begins as neither an image nor
    a container where more than 16 MiB of it are left, and an image without an index of more than
    8 MiB.
    """
    if position <= 0 or position >= ranges.size_bytes:
        return max(0, min(position, ranges.size_bytes))
    kind = _kind(ranges.read(0, _HEAD_BYTES))
    return kind.cut(ranges, position) if kind else carving.cut(ranges, position)


def _kind(head: bytes) -> _Kind | None:
    return next((kind for kind in _KINDS + _LARGE_IMAGES if kind.matches(head)), None)


def _find(
    piece: bytes, start: int, ranges: Ranges, depth: int, note: Callable[[str], None]
) -> tuple[Span, ...]:
    def spans(data: bytes) -> tuple[Span, ...]:
        return spans_in(data, 0, Held(data))

    def spans_in(data: bytes, at: int, whole: Ranges) -> tuple[Span, ...]:
        return _find(data, at, whole, depth + 1, note)

    head = piece[:_HEAD_BYTES] if start == 0 else ranges.read(0, _HEAD_BYTES)
    kind = _kind(head) if depth < MOST_DEPTH else None
    if kind is None:
        return carving.carve(piece)
    return _apart(
        kind.find(piece, start, ranges, Look(spans, spans_in, _is_wanted, note)), len(piece)
    )


def _apart(spans: Iterable[Span], size: int) -> tuple[Span, ...]:
    """The spans in order; without those that begin in another one, or lead out of the piece."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, one.length)):
        if span.start >= (kept[-1].end if kept else 0) and span.end <= size:
            kept.append(span)
    return tuple(kept)
