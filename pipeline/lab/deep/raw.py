"""`python -m seec.pipeline.lab.deep.raw FOLDER`: camera raw files, ours against peers.

FOLDER holds photographs. Each is reduced by two, and a model of a sensor makes a mosaic of it:
colours of the sensor, one behind each place, shot and read noise, 12 or 14 bits above a black
level. The mosaic is written as a DNG file with tiles of lossless JPEG, by liblj92. Prints bytes: of
the DNG, of what archives keep of it, and of JPEG XL, as one picture or as four of half the size,
whichever is smaller. Every DNG comes back byte for byte, or the command ends.
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import zstandard
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline import deep
from seec.pipeline.images.files import is_exact, read_header, write_image
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.lab.deep.peers import PEERS

_TILE = 256
_BITS = (14, 12)
_BLACK, _FULL_ELECTRONS, _READ_ELECTRONS = 1 / 32, (20_000, 3_000), 3.0
# What a sensor sees of linear red, green and blue, before its white is balanced.
_COLOURS = np.array([[0.5, 0.3, 0.05], [0.15, 0.8, 0.15], [0.02, 0.25, 0.55]])
_HEADINGS = ("mosaic", "bits", "MS", "DNG", "ours", "JPEG XL e7", "e9", "ours / DNG", "ours / e9")


def mosaic(picture: NDArray[np.uint8], bits: int, electrons: int, seed: int) -> NDArray[np.uint16]:
    """[H, W] of [H, W, 3] in sRGB: red, green, green and blue of each two by two.

    electrons: that a place of the sensor holds.
    """
    rng = np.random.default_rng(seed)
    shown = picture.astype(np.float64) / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    seen = linear @ _COLOURS.T
    height, width = (size // 2 * 2 for size in seen.shape[:2])
    one = np.empty((height, width))
    for y, x, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        one[y::2, x::2] = seen[y:height:2, x:width:2, colour]
    caught = rng.poisson(one * electrons) + rng.normal(0, _READ_ELECTRONS, one.shape)
    most = (1 << bits) - 1
    values = most * (_BLACK + caught / electrons * (1 - _BLACK))
    return np.clip(np.round(values), 0, most).astype(np.uint16)


def dng(samples: NDArray[np.uint16], bits: int) -> bytes:
    """A file with one directory, whose tiles are lossless JPEG."""
    height, width = samples.shape
    whole = np.pad(samples, ((0, -height % _TILE), (0, -width % _TILE)), mode="edge")
    tiles = [
        bytes(
            imagecodecs.ljpeg_encode(
                np.ascontiguousarray(whole[y : y + _TILE, x : x + _TILE]), bitspersample=bits
            )
        )
        for y in range(0, len(whole), _TILE)
        for x in range(0, whole.shape[1], _TILE)
    ]
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink) as file:
        file.write(
            iter(tiles),
            shape=samples.shape,
            dtype=np.uint16,
            bitspersample=bits,
            photometric="cfa",
            compression="jpeg",
            tile=(_TILE, _TILE),
            extratags=[(33421, 3, 2, (2, 2), True), (33422, 1, 4, bytes([0, 1, 1, 2]), True)],
            metadata=None,
        )
    return sink.getvalue()


def kept(data: bytes) -> int:
    """Bytes that an archive keeps of a file; SystemExit if it does not come back."""
    image = read_header(data).read(keep_file=True)
    if not is_exact(image.envelope) or write_image(image) != data:
        raise SystemExit("a DNG file does not come back")
    code = deep.encode([one.samples for one in image.rasters], image.rasters[0].depth)
    if code is None:
        raise SystemExit("a mosaic spreads too far")
    return len(code) + len(zstandard.ZstdCompressor(9).compress(image.envelope))


def jpegxl(samples: NDArray[np.uint16], effort: int) -> int:
    """Bytes of the mosaic as one picture or as four, whichever is smaller."""
    four = np.dstack([samples[y::2, x::2] for y in (0, 1) for x in (0, 1)])
    peer = PEERS[f"jpegxl-e{effort}"]
    sizes = [peer(samples[None, :, :, None])]
    sizes += [sum(peer(four[None, :, :, i : i + 1]) or 0 for i in range(4))]
    return min(size for size in sizes if size)


def measured(folder: Path) -> Iterator[list[Any]]:
    """Name, bits, megasamples, bytes of each photograph and number of bits; sums at last."""
    found: list[list[Any]] = []
    for seed, path in enumerate(sorted(one for one in folder.iterdir() if one.is_file())):
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB").reduce(2))
        for bits, electrons in zip(_BITS, _FULL_ELECTRONS, strict=True):
            samples = mosaic(picture, bits, electrons, seed)
            file = dng(samples, bits)
            sizes = len(file), kept(file), jpegxl(samples, 7), jpegxl(samples, 9)
            found.append([path.stem, bits, samples.size / 1e6, *sizes])
            yield found[-1]
    yield ["all", "", *(sum(column) for column in list(zip(*found, strict=True))[2:])]


def cells(found: Iterator[list[Any]]) -> Iterator[list[str]]:
    """Rows of the table."""
    for name, bits, megasamples, file, ours, e7, e9 in found:
        sizes = [str(size) for size in (file, ours, e7, e9)]
        ratios = [f"{ours / file:.3f}", f"{ours / e9:.3f}"]
        yield [name, str(bits), f"{megasamples:.1f}", *sizes, *ratios]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m seec.pipeline.lab.deep.raw", description=__doc__
    )
    parser.add_argument("folder", type=Path)
    for line in table(_HEADINGS, cells(measured(parser.parse_args().folder))):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
