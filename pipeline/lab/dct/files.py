"""Files that coefficient models learn from, and files that they do not see.

JPEG files are taken as they are; other images become JPEG files of many qualities, samplings and
quantisation tables. Every eighth image by a hash of its name is kept for validation.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from seec.pipeline.dct.jpeg import Component, take_apart
from seec.pipeline.images.jpeg import matches
from seec.pipeline.images.split import is_validation
from seec.schemas.errors import UnreadableImage

_ROWS = 64  # of luma's blocks: more of one file would crowd out others


def split(folders: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Training and validation files of folders, in an order that mixes folders."""
    images = sorted(p for folder in folders for p in folder.rglob("*") if p.is_file())
    order = np.random.default_rng(0).permutation(len(images))
    images = [images[i] for i in order]
    held = [p for p in images if is_validation(p.name)]
    return [p for p in images if not is_validation(p.name)], held


def components_of(images: Sequence[Path]) -> Iterator[list[Component]]:
    """Of each image that can be read, the upper rows."""
    for number, path in enumerate(images):
        data = path.read_bytes()
        try:
            if not matches(data):
                data = _as_jpeg(data, np.random.default_rng(number))
            jpeg = take_apart(data)
        except (UnreadableImage, OSError, ValueError, Image.DecompressionBombError):
            continue
        tallest = max(c.vertical for c in jpeg.components)
        yield [
            Component(
                c.horizontal,
                c.vertical,
                c.quantisation,
                c.coefficients[: _ROWS * c.vertical // tallest],
            )
            for c in jpeg.components
        ]


# The table of N. Robidoux that mozjpeg begins with, rather flat.
_FLAT = (
    *(16, 16, 16, 18, 25, 37, 56, 85, 16, 17, 20, 27, 34, 40, 53, 75),
    *(16, 20, 24, 31, 43, 62, 91, 135, 18, 27, 31, 40, 53, 74, 106, 156),
    *(25, 34, 43, 53, 69, 94, 131, 189, 37, 40, 62, 74, 94, 125, 169, 238),
    *(56, 53, 91, 106, 131, 169, 226, 311, 85, 75, 135, 156, 189, 238, 311, 418),
)


def _as_jpeg(data: bytes, rng: np.random.Generator) -> bytes:
    quality, sampling = int(rng.integers(50, 99)), int(rng.choice([0, 1, 2], p=[0.25, 0.1, 0.65]))
    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        chosen = rng.random()
        if chosen < 0.05:
            image.convert("L").save(out, "JPEG", quality=quality)
        elif chosen < 0.35:
            scale = 200 - 2 * quality
            table = [min(255, max(1, (q * scale + 50) // 100)) for q in _FLAT]
            image.convert("RGB").save(out, "JPEG", qtables=[table, table], subsampling=sampling)
        else:
            image.convert("RGB").save(out, "JPEG", quality=quality, subsampling=sampling)
    return out.getvalue()
