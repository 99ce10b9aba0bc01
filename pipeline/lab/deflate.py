"""Sizes of recipes and speed, by the program that wrote a deflate stream, as a table.

    python -m seec.pipeline.lab.deflate FILE...

Of a PNG file, the stream that is there (row "as it is") and its filtered rows are taken, of any
other file its bytes. Each program compresses these; a stream is taken apart, put together and
compared. Times are of this process's CPU, on one core. isal, pyoxipng and fpng-py-fix take part
where they are installed.
"""

import argparse
import io
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from seec.pipeline.deflate import analyse, rebuild
from seec.pipeline.images.formats import png_file
from seec.schemas.errors import UnreadableImage

_LIMIT = 1 << 30
_STRATEGIES = {"filtered": zlib.Z_FILTERED, "RLE": zlib.Z_RLE, "Huffman": zlib.Z_HUFFMAN_ONLY}
Program = Callable[[bytes], bytes]


@dataclass
class Totals:
    """Sums over files, in bytes and seconds."""

    files: int = 0
    refused: int = 0
    content: int = 0
    stream: int = 0
    recipe: int = 0
    analysing: float = 0.0
    rebuilding: float = 0.0

    def row(self, name: str) -> str:
        """A line of the table."""
        cells = [name, str(self.files), str(self.refused), str(self.stream), str(self.recipe)]
        cells.append(f"{100 * self.recipe / max(self.stream, 1):.3f}")
        times = self.analysing, self.rebuilding
        cells += [f"{self.content / max(spent, 1e-9) / 1e6:.1f}" for spent in times]
        return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> None:
    """Measure the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--only", default="", help="programs whose names begin so")
    asked = parser.parse_args(arguments)
    print("| program | files | refused | stream | recipe | % | analyse MB/s | rebuild MB/s |")  # noqa: T201
    print("| --- " * 8 + "|")  # noqa: T201
    totals: dict[str, Totals] = {}
    for path in asked.files:
        for name, stream in _streams(path.read_bytes(), asked.only):
            _measure(totals.setdefault(name, Totals()), stream)
    for name, found in totals.items():
        print(found.row(name))  # noqa: T201


def _measure(t: Totals, stream: bytes) -> None:
    began = time.process_time()
    t.files += 1
    t.stream += len(stream)
    try:
        content, recipe, used = analyse(stream, _LIMIT)
    except UnreadableImage:
        t.refused += 1
        return
    between = time.process_time()
    back = rebuild(content, recipe)
    ended = time.process_time()
    if back != stream[:used]:
        raise AssertionError("a stream that does not come back")
    t.content += len(content)
    t.recipe += len(recipe)
    t.analysing += between - began
    t.rebuilding += ended - between


def _streams(data: bytes, only: str) -> Iterator[tuple[str, bytes]]:
    content, png = data, data.startswith(png_file.SIGNATURE)
    if png:
        stream = _png_stream(data)
        content = zlib.decompress(stream, -zlib.MAX_WBITS)
        if "as it is".startswith(only):
            yield "as it is", stream
    for name, program in _programs():
        if name.startswith(only):
            yield name, program(content)
    for name, program in _png_programs() if png else ():
        if name.startswith(only):
            yield name, _png_stream(program(data))


def _png_stream(data: bytes) -> bytes:
    _, image_data, _ = png_file.parts(data, ())
    return b"".join(png_file.stream_parts(image_data))[2:-4]


def _programs() -> Iterator[tuple[str, Program]]:
    for level in range(10):
        yield f"zlib {level}", lambda data, n=level: _zlib(data, n, 0)
    for name, strategy in _STRATEGIES.items():
        yield f"zlib 6, {name}", lambda data, n=strategy: _zlib(data, 6, n)
    for level in (1, 2, 3, 4, 6, 9):
        yield (
            f"zlib-ng {level}",
            lambda data, n=level: bytes(imagecodecs.zlibng_encode(data, level=n))[2:-4],
        )
    for level in (1, 3, 6, 9, 12):
        yield (
            f"libdeflate {level}",
            lambda data, n=level: bytes(imagecodecs.deflate_encode(data, level=n, raw=True)),
        )
    yield "zopfli", lambda data: bytes(imagecodecs.zopfli_encode(data))[2:-4]
    if isal := _installed("isal.isal_zlib"):
        for level in (0, 1, 3):
            yield f"igzip {level}", lambda data, n=level: bytes(isal.compress(data, n))[2:-4]


def _png_programs() -> Iterator[tuple[str, Program]]:
    for level in (1, 6):
        yield (
            f"libspng {level}",
            lambda data, n=level: bytes(imagecodecs.spng_encode(_pixels(data), level=n)),
        )
    if oxipng := _installed("oxipng"):
        yield "oxipng 4", lambda data: oxipng.optimize_from_memory(data, level=4)
        zopfli = oxipng.Deflaters.zopfli(5)
        yield (
            "oxipng zopfli",
            lambda data: oxipng.optimize_from_memory(data, level=2, deflate=zopfli),
        )
    if fpng := _installed("fpng_py_fix"):
        yield "fpng", lambda data: _fpng(fpng, _pixels(data))


def _fpng(fpng: "object", pixels: np.ndarray) -> bytes:
    height, width = pixels.shape[:2]
    encode = getattr(fpng, "fpng_encode_image_to_memory")  # noqa: B009
    return encode(pixels.tobytes(), width, height, 3, 0)


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _zlib(data: bytes, level: int, strategy: int) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 8, strategy)
    return compressor.compress(data) + compressor.flush()


def _installed(name: str):
    try:
        return import_module(name)
    except ImportError:
        return None


if __name__ == "__main__":
    main()
