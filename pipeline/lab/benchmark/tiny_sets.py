"""Sets of very small images, as the files that people make of them.

`python -m seec.pipeline.lab.benchmark.tiny_sets idx FILE DIR` writes each image of an IDX file
(MNIST, Fashion-MNIST; gzip is taken off) as a PNG file. `... thumbnails PHOTOS DIR EDGE N` writes N
squares of photographs, scaled down to EDGE x EDGE as CIFAR's are; with a quality behind N, as JPEG
files. By Pillow, with its defaults.
"""

import gzip
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
_IDX_IMAGES = 0x803  # bytes, in three dimensions


def idx_images(data: bytes) -> Pixels:
    """[images, height, width] of an IDX file of gray images. ValueError if it is none."""
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    kind, *sizes = (int(number) for number in np.frombuffer(data, ">u4", 4))
    if kind != _IDX_IMAGES:
        raise ValueError("no IDX file of images: its first four bytes are others")
    return np.frombuffer(data, np.uint8, offset=16).reshape(sizes)


def thumbnails(photographs: Iterable[Path], edge: int, count: int) -> Iterator[Pixels]:
    """So many squares of photographs, half as high as these or more, each [edge, edge, 3]."""
    images: list[Image.Image] = []
    for path in photographs:
        with Image.open(path) as image:
            images.append(image.convert("RGB"))
    chance = random.Random(0)
    for number in range(count):
        image = images[number % len(images)]
        least = min(image.size)
        size = chance.randint(least // 2, least)
        x, y = (chance.randint(0, full - size) for full in image.size)
        square = image.crop((x, y, x + size, y + size))
        yield np.asarray(square.resize((edge, edge), Image.Resampling.LANCZOS))


def write(images: Iterable[Pixels], folder: Path, quality: int | None = None) -> None:
    """Write each as a PNG file; with a quality as a JPEG file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(images):
        target = folder / f"{number:06d}"
        if quality is None:
            Image.fromarray(pixels).save(target.with_suffix(".png"))
        else:
            Image.fromarray(pixels).save(target.with_suffix(".jpg"), quality=quality)


if __name__ == "__main__":
    what, source, place, *numbers = sys.argv[1:]
    if what == "idx":
        write(idx_images(Path(source).read_bytes()), Path(place))
    else:
        edge, count, *quality = map(int, numbers)
        paths = sorted(path for path in Path(source).iterdir() if path.is_file())
        write(thumbnails(paths, edge, count), Path(place), *quality)
