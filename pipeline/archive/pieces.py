"""Which files of a plan are cut in pieces, and how the pieces of an archive are found."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.archive import read_recorded
from seec.pipeline.archive.patterns import may_hold
from seec.pipeline.storage import Source, Store
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import BlobMissing, DigestMismatch, SeecError
from seec.schemas.kinds import FILE
from seec.schemas.manifest_part import Part
from seec.schemas.pieces import Piece, parse_pieces
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.rows import Row

# An image file is read as a whole up to this size; one whose strips or tiles can be coded piece by
# piece, up to the second.
MAX_IMAGE_BYTES, MAX_WHOLE_STRIPS_BYTES = 1 << 30, 1 << 27
_BEGIN_BYTES = 4096
# What is read of files to see whether they hold JPEG pictures; of how many; which are too small.
_HEAD_BYTES, _LOOKED_INTO, _LEAST_CONTAINER_BYTES = 1 << 20, 64, 1 << 16


def cut_files(
    source: Source, files: Sequence[SourceFile], settings: PlanSettings
) -> list[SourceFile]:
    """The files, and in place of each large one that is no image its pieces.

    Behind all others comes what makes each of these one file again, and further names of them.
    """
    large = {file.path: file for file in files if _is_large(file, settings)}
    looked = each_ahead(lambda file: (file, _is_whole(source, file)), large.values())
    cut = {file.path for file, whole in looked if not whole}
    pieces: list[SourceFile] = []
    wholes: list[SourceFile] = []
    for file in files:
        if (file.same_file or file.path) not in cut:
            pieces.append(file)
            continue
        count = -(-file.size_bytes // settings.piece_size_bytes)
        wholes.append(replace(file, pieces=count, copy_of=None))
        if file.same_file is None:
            pieces += (replace(file, pieces=count, piece=i, copy_of=None) for i in range(count))
    return pieces + wholes


def jpeg_bytes_within(source: Source, files: Iterable[SourceFile], enough: int) -> int:
    """About how many bytes of JPEG pictures are within files that are none; no more than `enough`.

    By the first megabyte of each, of the largest files first.
    """
    # Imported where files are cut: who reads an archive looks for pieces, and needs no formats.
    from seec.pipeline.containers import Held, find, gzips
    from seec.pipeline.images import jpeg

    others = [file for file in files if _is_readable(file) and not jpeg.has_jpeg_name(file.path)]
    others.sort(key=lambda file: -file.size_bytes)
    found = 0
    for file in others[:_LOOKED_INTO]:
        if found >= enough or file.size_bytes < _LEAST_CONTAINER_BYTES:
            break
        try:
            head = source.read_range(file, 0, _HEAD_BYTES)
            if gzips.matches(head):
                head = gzips.begin(head, _HEAD_BYTES)
            spans = find(head, 0, Held(head))
        except SeecError:
            continue
        pictures = (one for one in spans if head[one.start : one.start + 3] == b"\xff\xd8\xff")
        share = sum(one.length for one in pictures) / max(1, len(head))
        found += int(share * file.size_bytes)
    return min(found, enough)


def _is_readable(file: SourceFile) -> bool:
    return file.kind == FILE and file.problem is None and file.same_file is None


def _is_large(file: SourceFile, settings: PlanSettings) -> bool:
    return (
        _is_readable(file)
        and file.size_bytes > settings.piece_size_bytes
        and (
            settings.max_file_size_bytes is None or file.size_bytes <= settings.max_file_size_bytes
        )
    )


def _is_whole(source: Source, file: SourceFile) -> bool:
    """Whether it is read as a whole, as images are; so is what cannot be looked into."""
    from seec.pipeline.containers import gzips, has_strips
    from seec.pipeline.images import jpeg
    from seec.pipeline.images.files import read_extent

    if file.size_bytes > MAX_IMAGE_BYTES:
        return False
    read = partial(source.read_range, file)
    try:
        begins = read(0, _BEGIN_BYTES)
        if file.size_bytes > MAX_WHOLE_STRIPS_BYTES and has_strips(begins):
            return False
        if gzips.matches(begins) and file.size_bytes <= gzips.MOST_WHOLE_BYTES:
            return True
        return jpeg.matches(begins) or read_extent(read) is not None
    except SeecError:
        return True


@dataclass(frozen=True)
class PieceRow:
    """A piece of a file: its row, and the blob that holds the bytes of the row."""

    blob: str
    row: Row


def holders(shards: Iterable[ShardRecord], path: str) -> list[ShardRecord]:
    """The shards that may hold pieces of the file of this path."""
    return [shard for shard in shards if may_hold(shard, path)]


def piece_rows(
    store: Store, shards: Sequence[ShardRecord], row: Row, payload: bytes
) -> Iterator[PieceRow]:
    """The rows of the pieces of a file, in the order of the file.

    shards: that may hold them. row, payload: of the file as a whole. Raises DigestMismatch,
    BlobMissing or FormatError if a piece is not what the payload says, or not there.
    """
    by_name = {shard.shard: shard for shard in shards}
    number = 0
    pieces = parse_pieces(row.path, payload, row.source_size_bytes)
    for name, group in groupby(pieces, key=lambda piece: piece.shard):
        if (shard := by_name.get(name)) is None:
            raise BlobMissing(f"{row.path}: shard {name}, which has pieces of it, is gone")
        found = {one.piece: one for one in pieces_in(store, shard, row.path)}
        for piece in group:
            yield PieceRow(shard.blob.name, _checked(row, number, piece, found.get(number)))
            number += 1


def piece_row(
    store: Store, shards: Mapping[str, ShardRecord], row: Row, number: int, piece: Piece
) -> PieceRow:
    """The row of one piece of a file. shards: by name. Raises as `piece_rows`."""
    if (shard := shards.get(piece.shard)) is None:
        raise BlobMissing(f"{row.path}: shard {piece.shard}, which has pieces of it, is gone")
    found = {one.piece: one for one in pieces_in(store, shard, row.path)}
    return PieceRow(shard.blob.name, _checked(row, number, piece, found.get(number)))


def pieces_in(store: Store, shard: ShardRecord, path: str) -> list[Row]:
    """The rows of pieces of a file that a shard holds. Raises as `read_recorded` and `Part`."""
    part = Part(shard.manifest.name, read_recorded(store, shard.manifest))
    return [row for row in part.rows_of(path) if row.piece is not None]


def _checked(row: Row, number: int, piece: Piece, found: Row | None) -> Row:
    wanted = (piece.size_bytes, piece.digest)
    if found is None or (found.source_size_bytes, found.source_digest) != wanted:
        raise DigestMismatch(f"{row.path}: piece {number} is not in shard {piece.shard}")
    return found
