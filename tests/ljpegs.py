"""Lossless JPEG in TIFF, DNG and DICOM files, with headers of all kinds."""

import io
import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from tests.archives.plain_ljpeg import ljpeg
from tests.pictures import textured

# A code for each number of bits, none of them all ones.
_TABLE = bytes(
    [0, 1, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 3, 4, 2, 5, 1, 6, 0, 7, *range(8, 17)]
)


def headers(
    height: int,
    width: int,
    components: int = 1,
    precision: int = 16,
    predictor: int = 1,
    shift: int = 0,
    rows_of_interval: int = 0,
) -> bytes:
    """SOI to SOS. width: of each component."""
    out = b"\xff\xd8" + segment(0xFE, b"a comment") + segment(0xC4, b"\0" + _TABLE)
    frame = struct.pack(">BHHB", precision, height, width, components)
    out += segment(0xC3, frame + b"".join(bytes([i, 0x11, 0]) for i in range(components)))
    if rows_of_interval:
        out += segment(0xDD, struct.pack(">H", rows_of_interval * width))
    scan = bytes([components]) + b"".join(bytes([i, 0]) for i in range(components))
    return out + segment(0xDA, scan + bytes([predictor, 0, shift]))


def segment(marker: int, body: bytes) -> bytes:
    """A marker, a size, and what follows."""
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(body)) + body


def written(samples: NDArray[Any], **how: int) -> bytes:
    """A file of [height, width, components]; bits that fill up its last byte are zeros."""
    head = headers(*samples.shape, **how)
    return ljpeg([int(one) for one in samples.ravel()], head + b"\0\xff\xd9")


def mosaic(height: int, width: int, bits: int = 14) -> NDArray[np.uint16]:
    """What a sensor with red, green and blue behind each other sees of a picture, with noise."""
    rng = np.random.default_rng(bits)
    y, x = np.mgrid[:height, :width]
    light = 0.5 + 0.3 * np.sin(x / 40 + y / 60) + 0.1 * np.sin(y / 7)
    light *= np.where(y % 2 == x % 2, 1.0, np.where(y % 2, 0.4, 0.6))
    most = (1 << bits) - 1
    noisy = rng.normal(light * most * 0.9, 2 + 0.2 * np.sqrt(light * most))
    return np.clip(noisy, 0, most).astype(np.uint16)


def by_imagecodecs(tile: NDArray[Any], bits: int) -> bytes:
    """As liblj92 writes a tile, [height, width]."""
    return bytes(imagecodecs.ljpeg_encode(tile, bitspersample=bits))


def by_pairs(tile: NDArray[Any], bits: int) -> bytes:
    """As cameras and converters do: two samples of a row are components of one pixel."""
    return written(tile.reshape(len(tile), -1, 2), precision=bits, predictor=1)


def by_double_rows(tile: NDArray[Any], bits: int) -> bytes:
    """Two rows of a mosaic are one of the file, so that what is above has the same colour."""
    return written(tile.reshape(len(tile) // 2, -1, 1), precision=bits, predictor=6)


def raw(
    samples: NDArray[Any],
    bits: int,
    write: Callable[[NDArray[Any], int], bytes] = by_imagecodecs,
    tile: tuple[int, int] | None = (64, 96),
    **options: Any,
) -> bytes:
    """A TIFF file as DNG has it: a mosaic in a directory below that of a small picture.

    Without tiles there is a strip of all rows.
    """
    height, width = samples.shape
    parts = tile or (height, width)
    pad = [(0, -size % part) for size, part in zip(samples.shape, parts, strict=True)]
    whole = np.pad(samples, pad, mode="edge")
    pieces = [
        write(np.ascontiguousarray(whole[y : y + parts[0], x : x + parts[1]]), bits)
        for y in range(0, len(whole), parts[0])
        for x in range(0, whole.shape[1], parts[1])
    ]
    layout: dict[str, Any] = {"tile": tile} if tile else {"rowsperstrip": height}
    tags = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, bytes([0, 1, 1, 2]), True)]
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink, **options) as file:
        small = np.repeat(samples[::8, ::8, None] >> (bits - 8), 3, 2).astype(np.uint8)
        file.write(small, photometric="rgb", subifds=1, subfiletype=1, metadata=None)
        file.write(
            iter(pieces),
            shape=samples.shape,
            dtype=samples.dtype,
            photometric="cfa",
            compression="jpeg",
            bitspersample=bits if bits > 8 else None,
            extratags=tags,
            metadata=None,
            **layout,
        )
    return sink.getvalue()


def with_preview() -> bytes:
    """A mosaic in tiles of lossless JPEG, and a directory with a JPEG picture of it."""
    deep = mosaic(256, 320)
    tiles = [
        by_pairs(np.ascontiguousarray(deep[y : y + 64, x : x + 96]), 14)
        for y in range(0, 256, 64)
        for x in range(0, 288, 96)
    ]
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink) as file:
        small = textured(160, 200)
        file.write(small, photometric="rgb", compression="jpeg", subifds=1, metadata=None)
        file.write(
            iter(tiles),
            shape=(256, 288),
            dtype=np.uint16,
            photometric="cfa",
            compression="jpeg",
            tile=(64, 96),
            metadata=None,
        )
    return sink.getvalue()


def raw_files() -> dict[str, bytes]:
    """Those that come back byte for byte."""
    deep = mosaic(150, 190)
    return {
        "imagecodecs": raw(deep, 14),
        "pairs": raw(mosaic(150, 190, 12), 12, by_pairs),
        "double-rows": raw(deep, 14, by_double_rows, tile=None),
        "sixteen": raw(mosaic(64, 96, 16), 16, by_pairs),
        "big-endian": raw(deep, 14, byteorder=">"),
        "bytes": raw(mosaic(64, 96, 8).astype(np.uint8), 8),
    }
