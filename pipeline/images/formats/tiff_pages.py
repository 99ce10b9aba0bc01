"""How the directories of a TIFF file say that samples are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seec.pipeline.images.formats.codings import Coding
from seec.pipeline.images.formats.piece_methods import FAX, LOSSLESS_JPEG, METHODS
from seec.pipeline.images.formats.spliced import Place
from seec.pipeline.images.formats.tiff_directories import MAX_VALUES, Directory, directories
from seec.pipeline.images.ranges import Held, Ranges
from seec.pipeline.images.raster import Meaning, Numbers, Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS, MAX_SAMPLES
from seec.schemas.planes import DEPTHS, Shape

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339
JPEG_TABLES = 347
RAW, _JPEG = 1, 7  # compression
_MOST_TABLES = 1 << 14
_START, _END = b"\xff\xd8", b"\xff\xd9"  # of JPEG files
_LOSSLESS_FRAME, _SCAN, _MOST_HEADERS = 0xC3, 0xDA, 1 << 12
MOSAIC_SIZE = 33421  # rows and columns of a block of colours
# By the number of a compression: the method of `codings`.
_METHODS = {4: 6, 5: 1, 32773: 2, 8: 3, 32946: 3, 50000: 4, 34925: 5}
_REVERSED_FAX = FAX[1]
GRAY, RGB, _PALETTE, _MOSAIC = 1, 2, 3, 32803  # photometric interpretations
_UNSIGNED = 1  # sample format
_PAIRS = (2, 2)
_NUMBERS = {2: Numbers.SIGNED, 3: Numbers.FLOATING}  # by sample format


class JpegPieces(UnreadableImage):
    """Strips or tiles of a directory are JPEG files, which are coded as such.

    tables: the segments that each of them lacks. pieces: where they are.
    """

    def __init__(
        self, reason: str, tables: bytes = b"", pieces: Sequence[tuple[int, int]] = ()
    ) -> None:
        super().__init__(reason)
        self.tables, self.pieces = tables, tuple(pieces)


@dataclass(frozen=True)
class Page:
    """How one directory's samples are kept, as `Directory` says it.

    places: of one raster, or of one for each sample; of tiles, all in one column, but for those
    that are not in the file. coding: of strips or tiles; None if they are as they are.
    """

    directory: Directory
    places: tuple[Place, ...]
    coding: Coding | None

    @property
    def tags(self) -> tuple[int, int]:
        """Those that hold offsets and sizes."""
        return tags_of(self.directory)


def pages(data: bytes) -> list[Page]:
    """How the samples of all pictures of a file are kept, but for those that nothing is known of.

    A picture whose samples are those of another one is not a picture of its own. UnreadableImage,
    with the reason of the first, if nothing is known of any, or if some are JPEG pictures.
    """
    found, reasons = known_pages(Held(data), MAX_RASTERS)
    if any(isinstance(reason, JpegPieces) for reason in reasons) or not found:
        raise next((one for one in reasons if isinstance(one, JpegPieces)), reasons[0])
    return found


def known_pages(file: Ranges, most: int) -> tuple[list[Page], list[UnreadableImage]]:
    """The pages of a file that something is known of, and why nothing is of the others.

    most: directories that there may be.
    """
    found: list[Page] = []
    reasons: list[UnreadableImage] = []
    seen: set[tuple[int, int]] = set()
    for directory in directories(file, most):
        try:
            page = _page(directory)
        except UnreadableImage as error:
            reasons.append(error)
            continue
        pieces = [piece for place in page.places for piece in place.pieces]
        if seen.issuperset(pieces):
            continue
        seen.update(pieces)
        found.append(page)
        if len(seen) > MAX_VALUES:
            raise UnreadableImage(f"TIFF with more than {MAX_VALUES} strips and tiles")
    return found, reasons


def _page(directory: Directory) -> Page:
    """How its samples are kept; UnreadableImage for what is not samples in rows."""
    samples, depth = directory.value(SAMPLES, 1), depth_of(directory)
    if not 1 <= samples <= MAX_SAMPLES:
        raise UnreadableImage(f"TIFF with {samples} samples in a pixel")
    where, sizes = (directory.values(tag) for tag in tags_of(directory))
    rasters = samples if directory.value(PLANAR, 1) == 2 else 1
    if len(where) != len(sizes) or len(where) % rasters:
        raise UnreadableImage("TIFF with offsets and sizes that do not match")
    pieces = tuple(zip(where, sizes, strict=True))
    lossless = is_lossless_jpeg(directory, pieces)
    if directory.value(COMPRESSION, RAW) == _JPEG and not lossless:
        reason = "TIFF with strips or tiles that are JPEG pictures"
        raise JpegPieces(reason, jpeg_tables(directory), [piece for piece in pieces if piece[1]])
    each = len(pieces) // rasters
    samples //= rasters
    coding = coding_of(directory, depth, samples, lossless)
    places: list[Place] = []
    for i in range(rasters):
        own = pieces[i * each : (i + 1) * each]
        there = tuple(piece for piece in own if piece[1])
        if there:
            width, height = _size(directory, own, len(there))
            shape, packing = _packed(directory, Shape(width, height, samples, depth), lossless)
            meaning = _meaning(directory, rasters, shape)
            places.append(Place(shape, packing, there, meaning, coding))
            places[-1].check()
    if not places:
        raise UnreadableImage("TIFF without samples")
    return Page(directory, tuple(places), coding)


def _packed(directory: Directory, shape: Shape, lossless: bool) -> tuple[Shape, Packing]:
    """The shape of a raster, and how it is packed. shape: with the depth that the file says."""
    little = directory.kind.order == "<" or lossless
    formats = set(directory.values(SAMPLE_FORMAT, (_UNSIGNED,)))
    if shape.depth == 64:
        return replace(shape, samples=2 * shape.samples, depth=32), Packing(little=little)
    if lossless and shape.depth > 8:
        shape = replace(shape, depth=16)
    if shape.depth not in DEPTHS:
        return replace(shape, depth=16), Packing(bits=shape.depth)
    if shape.depth < 16:
        return shape, Packing(little=little and shape.depth == 8)
    numbers = _NUMBERS.get(formats.pop() if len(formats) == 1 else 0, Numbers.UNSIGNED)
    packing = Packing(little=little, numbers=numbers)
    mosaic = directory.entries.get(PHOTOMETRIC) and directory.value(PHOTOMETRIC) == _MOSAIC
    mosaic = mosaic and directory.values(MOSAIC_SIZE, _PAIRS) == _PAIRS
    if mosaic and shape.samples == 1 and shape.width % 2 == shape.height % 2 == 0:
        shape = Shape(shape.width // 2, shape.height // 2, 4, shape.depth)
        return shape, replace(packing, mosaic=True)
    return shape, packing


def _size(directory: Directory, pieces: tuple[tuple[int, int], ...], there: int) -> tuple[int, int]:
    """Width and height of one raster. there: how many of its pieces are in the file."""
    rows = _rows(directory)
    if TILES in directory.entries:
        return directory.value(TILE_WIDTH), rows * there
    width, height = directory.value(WIDTH), directory.value(HEIGHT)
    if there == len(pieces):
        return width, height
    # The last strip has the rows that are left.
    last = height - rows * (len(pieces) - 1)
    return width, rows * (there - 1) + last if pieces[-1][1] else rows * there


def _rows(directory: Directory) -> int:
    """Of a strip or a tile."""
    if TILES in directory.entries:
        return directory.value(TILE_HEIGHT)
    height = directory.value(HEIGHT)
    return min(directory.value(ROWS, height) or height, height)


def tags_of(directory: Directory) -> tuple[int, int]:
    """Those that hold offsets and sizes of strips or tiles."""
    return (TILES, TILE_BYTES) if TILES in directory.entries else (STRIPS, STRIP_BYTES)


def is_lossless_jpeg(directory: Directory, pieces: Sequence[tuple[int, int]]) -> bool:
    """Whether strips or tiles are JPEG files of process 14, as the first one says."""
    there = next((piece for piece in pieces if piece[1]), None)
    if there is None or directory.value(COMPRESSION, RAW) != _JPEG:
        return False
    data = directory.file.read(there[0], min(there[1], _MOST_HEADERS))
    at = len(_START)
    while data.startswith(_START) and at + 4 <= len(data) and data[at + 1] != _SCAN:
        if data[at + 1] == _LOSSLESS_FRAME:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def coding_of(
    directory: Directory, depth: int, samples: int, lossless_jpeg: bool = False
) -> Coding | None:
    """How strips or tiles are compressed; None if they are as they are. depth, samples: of a pixel.

    UnreadableImage if the method is not known.
    """
    compression = directory.value(COMPRESSION, RAW)
    if lossless_jpeg:
        return Coding(LOSSLESS_JPEG, 1, _rows(directory), -(-depth // 8), samples)
    if compression == RAW and directory.value(FILL_ORDER, 1) == 1:
        return None
    method = _METHODS.get(compression)
    if directory.value(FILL_ORDER, 1) != 1:
        method = _REVERSED_FAX if method in FAX else None
    if method not in METHODS:
        raise UnreadableImage(f"TIFF with compression {compression}, or bits in reverse order")
    predictor, rows = directory.value(PREDICTOR, 1), _rows(directory)
    if predictor > 1 and depth not in (8, 16, 32, 64):
        raise UnreadableImage(f"TIFF with predictor {predictor} for {depth} bits")
    return Coding(method, predictor, rows, -(-depth // 8), samples)


def compression_of(coding: Coding | None) -> int:
    """The number of a compression; UnreadableImage if it has none."""
    if coding is None:
        return RAW
    for number, method in _METHODS.items():
        if method == coding.method:
            return number
    raise UnreadableImage("strips that are compressed in a way that TIFF does not know")


def jpeg_tables(directory: Directory) -> bytes:
    """What stands between SOI and EOI of the tables that JPEG strips share."""
    entry = directory.entries.get(JPEG_TABLES)
    tables = b"" if entry is None else directory.file.read(entry.at, min(entry.count, _MOST_TABLES))
    inner = tables.removeprefix(_START).removesuffix(_END)
    return inner if len(inner) == len(tables) - len(_START) - len(_END) else b""


def _meaning(directory: Directory, rasters: int, shape: Shape) -> Meaning:
    shown = directory.value(PHOTOMETRIC) if PHOTOMETRIC in directory.entries else None
    if shown == _PALETTE:
        return Meaning.INDICES
    unsigned = set(directory.values(SAMPLE_FORMAT, (_UNSIGNED,))) == {_UNSIGNED}
    in_rows = TILES not in directory.entries and rasters == 1
    if unsigned and in_rows and (shown, shape.samples) in ((GRAY, 1), (RGB, 3)):
        return Meaning.COLOUR
    return Meaning.OTHER


def depth_of(directory: Directory) -> int:
    """Bits of a sample; UnreadableImage if they differ, or are not known."""
    depths = set(directory.values(BITS, (1,)))
    depth = depths.pop()
    if depths or depth not in (*DEPTHS, *range(9, 16), 64):
        raise UnreadableImage(f"TIFF with {depth} bits in a sample")
    return depth
