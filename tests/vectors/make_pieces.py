"""Writes the golden pieces of compressed samples: `python -m tests.vectors.make_pieces`."""

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.images.formats.piece_methods import METHODS, Row
from tests import ljpegs
from tests.archives import plain_spliced
from tests.pictures import textured

FOLDER = Path(__file__).parent / "pieces"
# Of LZW: clear codes before these bytes, and no tail.
_CLEARS = struct.pack("<5I", 4, 0, 100, 101, 700)


class Piece(NamedTuple):
    """What a method compressed. rows: how many it has; row: what each is."""

    method: int
    rows: int
    row: Row
    data: bytes


def golden_pieces() -> dict[str, Piece]:
    """By name; compressed by others, where there are any."""
    picture = textured(22, 37, 5)
    gray, mask = picture[..., 0], np.where(picture[..., 1] > 128, 255, 0).astype(np.uint8)
    mosaic = ljpegs.mosaic(22, 38, 12)
    numbers = (gray.astype(np.int16) - 128) * 9
    bytes_, bits = Row(37, 37, 8), Row(5, 37, 1)
    of_two = Row(76, 38, 16)
    mixed = np.concatenate([gray.ravel()[::2], gray.ravel()[1::2]]).astype(np.int16)
    steps = np.diff(mixed, prepend=np.int16(128)) + 128
    jpeg = {
        "ljpeg": ljpegs.by_imagecodecs(mosaic, 12),
        "ljpeg-pairs": ljpegs.by_pairs(mosaic, 12),
        "ljpeg-double-rows": ljpegs.by_double_rows(mosaic, 12),
        "ljpeg-intervals": ljpegs.written(mosaic[..., None], precision=12, rows_of_interval=4),
        "ljpeg-shifted": ljpegs.written(mosaic[..., None] & 0xFFC, precision=12, shift=2),
    }
    return {
        "lzw": Piece(1, 22, bytes_, _tiff_piece(gray, "tiff_lzw")),
        "lzw-clears": Piece(1, 22, bytes_, plain_spliced.lzw(gray.tobytes(), _CLEARS)),
        "packbits": Piece(2, 22, bytes_, _tiff_piece(mask, "packbits")),
        "packbits-literals": Piece(2, 22, bytes_, _literals(mask.tobytes())),
        "zlib": Piece(3, 22, bytes_, zlib.compress(gray.tobytes(), 9)),
        "group4": Piece(6, 22, bits, _tiff_piece(mask > 0, "group4")),
        "group4-reversed": Piece(
            7, 22, bits, bytes(int(f"{b:08b}"[::-1], 2) for b in _tiff_piece(mask > 0, "group4"))
        ),
        "exr-zip": Piece(8, 22, bytes_, zlib.compress((steps % 256).astype(np.uint8).tobytes())),
        "gzip": Piece(9, 22, bytes_, gzip.compress(gray.tobytes(), 6, mtime=5)),
        **{name: Piece(10, 22, of_two, data) for name, data in jpeg.items()},
        "rice-1": Piece(11, 22, bytes_, _rice(gray.astype(np.int8))),
        "rice-2": Piece(11, 22, Row(74, 37, 16), _rice(numbers)),
        "rice-4": Piece(11, 22, Row(148, 37, 32), _rice(numbers.astype(np.int32) * 70001)),
        "rice-zeros": Piece(11, 2, Row(74, 37, 16), _rice(np.zeros((2, 37), np.int16))),
    }


def _literals(data: bytes) -> bytes:
    """PackBits of no rule: nothing but literals of 100 bytes."""
    parts = (data[at : at + 100] for at in range(0, len(data), 100))
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def _rice(numbers: NDArray[Any]) -> bytes:
    """By CFITSIO."""
    return bytes(imagecodecs.rcomp_encode(numbers.ravel()))


def _tiff_piece(pixels: NDArray[Any], compression: str) -> bytes:
    """By libtiff."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF", compression=compression)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as tiff:
        (at,), (size,) = tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts
    return file.getvalue()[at : at + size]


def main() -> None:
    """Write the pieces, what was compressed, and the recipes."""
    FOLDER.mkdir(exist_ok=True)
    for name, one in golden_pieces().items():
        size_bytes = one.rows * one.row.size_bytes
        plain, recipe = METHODS[one.method].read(one.data, size_bytes, one.row)
        assert recipe is not None
        (FOLDER / f"{name}.piece").write_bytes(one.data)
        (FOLDER / f"{name}.plain").write_bytes(plain)
        (FOLDER / f"{name}.recipe").write_bytes(recipe)


if __name__ == "__main__":
    main()
