"""The footer of a Parquet file: where its column chunks lie, and what is in them."""

from dataclasses import dataclass
from functools import lru_cache

from seec.pipeline.containers.thrift import Malformed, Structures
from seec.pipeline.images.ranges import Ranges
from seec.schemas.names import escape

MAGIC = b"PAR1"
BYTE_ARRAY = 6
TAIL_BYTES = 8  # which say how long the footer is
MOST_ROWS = 1 << 48  # of a file: sums of them stay exact
_OPTIONAL, _REPEATED = 1, 2
# Longer ones take seconds to parse: images of such files are carved.
_MOST_FOOTER_BYTES = 16 << 20
_LEAST_VALUE_BYTES = 64  # of the values of a chunk, on average
# What groups of lists are called, and the field of an image that has its bytes.
_LIST_PARTS = ("list", "element", "item", "array", "bag")
_BYTES_PART = "bytes"


# Fields of a chunk that are whole numbers.
_NUMBERS = {
    1: "kind",
    4: "codec",
    5: "values",
    6: "plain_bytes",
    7: "packed_bytes",
    9: "data_page",
    11: "dictionary_page",
}


@dataclass(frozen=True)
class Chunk:
    """One column of one row group.

    start, end: of its pages in the file. first_row: in the file, or None if it cannot be.
    optional, repeated: how many levels of its column may be missing, or be there several times.
    """

    column: str
    codec: int
    start: int
    end: int
    first_row: int | None
    optional: int
    repeated: int


@dataclass(frozen=True)
class _Leaf:
    optional: int
    repeated: int


@dataclass
class _Described:
    """A chunk, as the footer has it."""

    kind: int = -1
    path: tuple[bytes, ...] = ()
    codec: int = -1
    values: int = 0
    plain_bytes: int = 0
    packed_bytes: int = 0
    data_page: int = 0
    dictionary_page: int = 0

    @property
    def start(self) -> int:
        """Of its first page."""
        if 0 < self.dictionary_page < self.data_page:
            return self.dictionary_page
        return self.data_page

    @property
    def may_hold_images(self) -> bool:
        """Whether it has byte arrays that are long enough, or a dictionary of such."""
        long = self.plain_bytes >= _LEAST_VALUE_BYTES * self.values
        return self.kind == BYTE_ARRAY and (long or self.dictionary_page > 0)


def footer_of(ranges: Ranges) -> int:
    """Where the footer begins; the size of the file where there is none that we read."""
    size = ranges.size_bytes
    tail = ranges.read(max(0, size - TAIL_BYTES), TAIL_BYTES)
    start = size - TAIL_BYTES - int.from_bytes(tail[:4], "little")
    usable = tail[4:] == MAGIC and len(MAGIC) <= start and size - start <= _MOST_FOOTER_BYTES
    return start if usable else size


def chunks_of(ranges: Ranges) -> tuple[Chunk, ...]:
    """Chunks that may hold images, in the order of the file; none if there is no footer.

    Without those that begin in another one, or lead out of the file.
    """
    start = footer_of(ranges)
    return _chunks(ranges.read(start, ranges.size_bytes - start)[:-TAIL_BYTES], start)


@lru_cache(maxsize=4)  # of a large file many pieces are looked at one after the other
def _chunks(footer: bytes, end: int) -> tuple[Chunk, ...]:
    leaves: list[_Leaf] = []
    groups: list[tuple[int, list[_Described]]] = []
    reader = Structures(footer)
    try:
        for number, kind in reader.fields():
            if number == 2:
                leaves = _schema(reader, kind)
            elif number == 4:
                groups = [_group(reader, item) for item in reader.items(kind)]
            else:
                reader.skip(kind)
    except Malformed:
        return ()
    found: list[Chunk] = []
    first_row: int | None = 0
    for rows, described in groups:
        for leaf, one in zip(leaves, described, strict=False):
            stop = one.start + one.packed_bytes
            if one.may_hold_images and len(MAGIC) <= one.start < stop <= end:
                name = _column(one.path)
                here = (one.codec, one.start, stop, first_row)
                found.append(Chunk(name, *here, leaf.optional, leaf.repeated))
        possible = first_row is not None and 0 <= rows <= MOST_ROWS - first_row
        first_row = first_row + rows if possible and first_row is not None else None
    return _apart(found)


def _apart(found: list[Chunk]) -> tuple[Chunk, ...]:
    kept: list[Chunk] = []
    for one in sorted(found, key=lambda chunk: (chunk.start, chunk.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return tuple(kept)


def _schema(reader: Structures, kind: int) -> list[_Leaf]:
    """How often the values of each column may be missing or several."""
    leaves: list[_Leaf] = []
    # Children that are still to come, optional and repeated levels, of each open group.
    opened: list[tuple[int, int, int]] = []
    for item in reader.items(kind):
        repetition = children = 0
        for number, field in reader.structure(item):
            if number == 3:
                repetition = reader.integer(field)
            elif number == 5:
                children = reader.integer(field)
            else:
                reader.skip(field)
        optional, repeated = opened[-1][1:] if opened else (0, 0)
        if opened:
            optional += repetition in (_OPTIONAL, _REPEATED)
            repeated += repetition == _REPEATED
            opened[-1] = (opened[-1][0] - 1, *opened[-1][1:])
        if children > 0:
            opened.append((children, optional, repeated))
        else:
            leaves.append(_Leaf(optional, repeated))
        while opened and opened[-1][0] <= 0:
            opened.pop()
    return leaves


def _group(reader: Structures, item: int) -> tuple[int, list[_Described]]:
    rows, described = 0, []
    for number, kind in reader.structure(item):
        if number == 1:
            described = [_described(reader, one) for one in reader.items(kind)]
        elif number == 3:
            rows = reader.integer(kind)
        else:
            reader.skip(kind)
    return rows, described


def _described(reader: Structures, item: int) -> _Described:
    made, elsewhere = _Described(), False
    for number, kind in reader.structure(item):
        if number == 3:
            made = _metadata(reader, kind)
        else:
            elsewhere |= number == 1  # names another file
            reader.skip(kind)
    return _Described() if elsewhere else made


def _metadata(reader: Structures, item: int) -> _Described:
    made = _Described()
    for number, kind in reader.structure(item):
        if number in _NUMBERS:
            setattr(made, _NUMBERS[number], reader.integer(kind))
        elif number == 3:
            made.path = tuple(reader.binary(one) for one in reader.items(kind))
        else:
            reader.skip(kind)
    return made


def _column(path: tuple[bytes, ...]) -> str:
    """What a column is called: `image` for `image.bytes` and for `image.list.element.bytes`."""
    parts = [escape(part) for part in path] or [""]
    if len(parts) > 1 and parts[-1] == _BYTES_PART:
        parts.pop()
    return ".".join([parts[0], *(one for one in parts[1:] if one not in _LIST_PARTS)])
