"""Batches: a few files that travel through the stages together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from seec.schemas.plan import SourceFile

# Some two seconds of encoding.
MAX_FILES = 32
MAX_SOURCE_BYTES = 2 << 20
MAX_PIXELS = 2_000_000
# What any task may take while it looks into a file: 33 megapixels of most formats. A file that
# needs more is alone, and its task asks the cluster for memory.
MAX_PASSING_BYTES = 768 << 20
_PARTS = 4  # of each of the last batches of a run


@dataclass(frozen=True)
class Batch:
    """Files that are read, segmented and encoded together.

    pixels: what they decode to at most. decode: False to store them without looking inside.
    passing_bytes: of memory that one of them takes while it is looked into, at most. place: of a
    piece, where it begins and ends in its file; None where that is not known yet.
    """

    files: tuple[SourceFile, ...]
    pixels: int = MAX_PIXELS
    decode: bool = True
    passing_bytes: int = MAX_PASSING_BYTES
    place: tuple[int, int] | None = None

    @property
    def cost_bytes(self) -> int:
        """Memory it may take on its way: files and decoded pixels.

        A piece is there twice: as it is, and what lies between its images.
        """
        return 3 * self.pixels + sum(map(self._copies_bytes, self.files))

    def _copies_bytes(self, file: SourceFile) -> int:
        if file.piece is None:
            return file.planned_bytes
        return 2 * (longest_bytes(file) if self.place is None else self.place[1] - self.place[0])

    @property
    def memory_bytes(self) -> int:
        """Memory that reading it has to ask for; 0 if it takes no more than any task may."""
        return self.passing_bytes if self.passing_bytes > MAX_PASSING_BYTES else 0

    def parts(self) -> "list[Batch]":
        """Each file alone."""
        return [replace(self, files=(file,)) for file in self.files]


def longest_bytes(file: SourceFile) -> int:
    """How long a piece is at most that is read before its place is known.

    Few members are so long that a piece that ends behind one is longer.
    """
    return file.planned_bytes * 5 // 4


def cut_batches(files: Iterable[tuple[SourceFile, int | None]]) -> Iterator[Batch]:
    """Consecutive files in batches within the limits; a large one is alone.

    files: each with its pixels, None where not known before it is read.
    """
    batch: list[SourceFile] = []
    size_bytes = pixels = 0
    known = True
    for file, file_pixels in files:
        over = (
            len(batch) == MAX_FILES
            or size_bytes + file.planned_bytes > MAX_SOURCE_BYTES
            or pixels + (file_pixels or 0) > MAX_PIXELS
        )
        if batch and over:
            yield Batch(tuple(batch), pixels if known else MAX_PIXELS)
            batch, size_bytes, pixels, known = [], 0, 0, True
        batch.append(file)
        size_bytes += file.planned_bytes
        pixels += file_pixels or 0
        known = known and file_pixels is not None
    if batch:
        yield Batch(tuple(batch), pixels if known else MAX_PIXELS)


def tapered(batches: Sequence[Batch], last: int) -> Iterator[Batch]:
    """The batches, the `last` ones in parts: at the end all encoders wait for the slowest."""
    whole = max(0, len(batches) - last)
    yield from batches[:whole]
    for batch in batches[whole:]:
        size = -(-len(batch.files) // _PARTS)
        for start in range(0, len(batch.files), size):
            yield replace(batch, files=batch.files[start : start + size])
