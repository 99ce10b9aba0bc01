"""What very small images take: each part of an archive, and the files of peers.

`python -m seec.pipeline.lab.benchmark.tiny [--keep-file] FOLDER...` archives each folder, checks
that every image comes back, and prints the bytes of the archive by part, of the manifest by column,
and of files of other codecs, one for each image. A peer of an image keeps its pixels; of a JPEG
file, JPEG XL keeps the file. "png, optimised" is the smallest of five filters and a choice for each
row, by libdeflate at its highest level, as `oxipng` tries them. Peers get 1,000 files at most, and
their bytes are scaled up. With `--stacks` it prints instead what an image takes by how many are in
a stack. Needs the packages of the tests.
"""

# pyarrow ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import io
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.codec import default_model
from seec.pipeline.images import jpeg
from seec.pipeline.images.formats.png_filters import apply_types
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.routes.writing import stack_encoder
from seec.pipeline.storage import Store

_MOST_FILES = 1000  # of which one peer takes some minutes
_PNG_BYTES = 57  # signature, IHDR, IEND, and the frame of one IDAT chunk


def optimised_png(image: Image.Image, data: bytes) -> int:
    """Bytes of a PNG file of these pixels without metadata; of the file itself if that is less."""
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        sink = io.BytesIO()
        image.save(sink, "PNG", optimize=True)
        return min(len(data), len(sink.getvalue()))
    pixels = np.asarray(image)
    rows = pixels.reshape(len(pixels), -1)
    step = rows.shape[1] // pixels.shape[1]
    tried = [apply_types(rows, step, np.full(len(rows), kind, np.uint8)) for kind in range(5)]
    table_of = np.stack([np.frombuffer(one, np.int8).reshape(len(rows), -1) for one in tried])
    least = np.abs(table_of[:, :, 1:].astype(int)).sum(2).argmin(0)
    tried.append(apply_types(rows, step, least.astype(np.uint8)))
    sizes = [len(imagecodecs.deflate_encode(one, level=12, raw=False)) for one in tried]
    return min(len(data), _PNG_BYTES + min(sizes))


def webp(image: Image.Image, data: bytes) -> int:
    """Bytes of a lossless WebP file."""
    del data
    sink = io.BytesIO()
    colours = "RGBA" if image.has_transparency_data else "RGB"
    image.convert(colours).save(sink, "WEBP", lossless=True, quality=100, method=6, exact=True)
    return len(sink.getvalue())


def jpegxl(image: Image.Image, data: bytes) -> int:
    """Bytes of a JPEG XL file of effort 9."""
    if jpeg.matches(data):
        return len(imagecodecs.jpegxl_encode_jpeg(data))
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    return len(imagecodecs.jpegxl_encode(pixels, effort=9, lossless=True, numthreads=1))


PEERS: dict[str, Callable[[Image.Image, bytes], int]] = {
    "png, optimised": optimised_png,
    "webp": webp,
    "jpegxl-e9": jpegxl,
}


def peers(files: Sequence[bytes]) -> Iterator[tuple[str, int]]:
    """Bytes of all images by each peer, those that a peer does not take as they are.

    Of many files some are measured, one in so many, and scaled up by the bytes of all.
    """
    some = files[:: max(1, len(files) // _MOST_FILES)]
    share = sum(map(len, files)) / sum(map(len, some))
    for name, size_of in PEERS.items():
        total = 0
        for data in some:
            if jpeg.matches(data) and name != "jpegxl-e9":
                total += len(data)
                continue
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                total += size_of(image, data)
        yield name, round(share * total)


def columns(folder: Path) -> Mapping[str, int]:
    """Compressed bytes of all manifest parts by column, and of what is around the columns."""
    import pyarrow.parquet as pq

    found: Counter[str] = Counter()
    for path in (folder / "manifest").rglob("*.parquet"):
        metadata: Any = cast(Any, pq).ParquetFile(path).metadata
        found["footers"] += path.stat().st_size
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                found[column.path_in_schema] += column.total_compressed_size
                found["footers"] -= column.total_compressed_size
    return found


def parts(folder: Path) -> Mapping[str, int]:
    """Bytes of an archive by the first part of the names of its objects."""
    found: Counter[str] = Counter()
    for item in Store(str(folder)).listed():
        found[item.name.partition("/")[0]] += item.size_bytes
    return found


def stack_sizes(files: Sequence[bytes]) -> Iterator[tuple[str, str]]:
    """Bytes of payload an image, by how many of the first 256 images are in a stack.

    files: all of one size and mode, which `.seec` files hold.
    """
    images: list[NDArray[np.uint8]] = []
    for data in files[:256]:
        with Image.open(io.BytesIO(data)) as image:
            images.append(np.asarray(image))
    encoder = stack_encoder(default_model(), "cpu")
    for count in (1, 4, 16, 64, 256):
        stacks = [np.concatenate(images[n : n + count]) for n in range(0, len(images), count)]
        codes = encoder.encode_batch(stacks, [None] * len(stacks))
        yield f"{count}", f"{sum(map(len, codes)) / len(images):.1f}"


def measured(source: Path, keep: str) -> Iterator[str]:
    """The tables of one folder. SystemExit if a file does not come back."""
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    files = [path.read_bytes() for path in paths]
    size = sum(map(len, files))
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place) / "archive", Path(place) / "out"
        seconds = _seec("archive", source, folder, "--keep", keep)
        back = _seec("restore", folder, out)
        for path, data in zip(paths, files, strict=True):
            _compare(path, data, (out / path.relative_to(source)).read_bytes(), keep)
        held, manifest = parts(folder), columns(folder)
    total = sum(held.values())
    yield f"### {source.name}: {len(files):,} files, {size:,} bytes"
    yield ""
    sizes = [*held.items(), ("archive", total), *peers(files)]
    cells = (
        (name, f"{n:,}", f"{n / len(files):.1f}", f"{100 * n / size:.1f} %") for name, n in sizes
    )
    yield from table(("", "bytes", "a file", "of the source"), cells)
    yield ""
    most = sorted(manifest.items(), key=lambda item: -item[1])[:10]
    yield from table(("manifest", "bytes a row"), ((k, f"{n / len(files):.2f}") for k, n in most))
    yield ""
    yield f"archive {len(files) / seconds:.0f} files/s, restore {len(files) / back:.0f} files/s"
    yield ""


def _compare(path: Path, data: bytes, back: bytes, keep: str) -> None:
    if data == back:
        return
    with Image.open(io.BytesIO(data)) as one, Image.open(io.BytesIO(back)) as other:
        same = one.mode == other.mode and one.tobytes() == other.tobytes()
    if keep == "file" or not same:
        raise SystemExit(f"{path}: comes back as another file")


def _seec(job: str, *arguments: object) -> float:
    """Seconds that a command takes."""
    start = time.perf_counter()
    command = [sys.executable, "-m", f"seec.jobs.{job}", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    exact = "--keep-file" in sys.argv[1:]
    for name in (one for one in sys.argv[1:] if not one.startswith("--")):
        if "--stacks" in sys.argv[1:]:
            images = sorted(path for path in Path(name).rglob("*") if path.is_file())
            heads = (f"images in a stack, {Path(name).name}", "bytes an image")
            lines = table(heads, stack_sizes([path.read_bytes() for path in images]))
        else:
            lines = measured(Path(name), "file" if exact else "pixels")
        for line in lines:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
