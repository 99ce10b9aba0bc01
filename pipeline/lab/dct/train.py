"""A coefficient model from photographs and JPEG files.

    python -m seec.pipeline.lab.dct.train --profile fast OUT.dct FOLDER...
    python -m seec.pipeline.lab.dct.train --profile lite --work WORK OUT.dct FOLDER...

JPEG files are taken as they are; other images become JPEG files of many qualities, samplings and
quantisation tables. Every eighth image by a hash of its name is kept for validation. The folder
WORK keeps samples and checkpoints, so that a training that was cut short goes on.
"""

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.dct.jpeg import Component, take_apart
from seec.pipeline.dct.weights import NETWORKS, Layer
from seec.pipeline.images.split import is_validation
from seec.pipeline.lab.dct.linear import fit_linear
from seec.pipeline.lab.dct.networks import samples_of, train
from seec.pipeline.lab.dct.priming import Primer, Start, prime
from seec.schemas.errors import UnreadableImage

# Hidden units of a profile's networks; a name goes before a kind.
_NARROW = (128, 32)
PROFILES: dict[str, dict[str, tuple[int, int]]] = {
    "fast": {},
    "lite": {"last": _NARROW, "dc": _NARROW, "ac": _NARROW},
    "max": {"last": _NARROW, "dc": _NARROW, "chroma.ac": (192, 48), "luma.ac": (256, 64)},
}
_JPEG = (".jpg", ".jpeg")
_ROWS = 64  # of luma's blocks: more of one file would crowd out others
_SHARE, _MOST = 0.06, 1 << 18
_PRIMED = 300  # files: with more, contexts know a little more, and model files grow
# Seconds of CPU for each network: three quarters of the bytes are luma's AC coefficients.
_SECONDS = {"last": 25, "dc": 20, "ac": 70, "luma.ac": 220}


def main() -> None:
    """Train what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="fast")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="of the time that networks take")
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", nargs="+", type=Path)
    asked = parser.parse_args()
    training, validation = split(asked.folders)
    linear = fit_linear(components_of(training))
    networks: dict[str, tuple[Layer, ...]] = {}
    hidden = PROFILES[asked.profile]
    if hidden:
        if not asked.work:
            parser.error("--work is needed where networks are trained")
        asked.work.mkdir(exist_ok=True)
        seen = _sampled(asked.work / "training.npy", linear, training)
        held = _sampled(asked.work / "validation.npy", linear, validation)
        for kind, name in enumerate(NETWORKS):
            networks[name] = train(
                samples_of(seen, kind),
                samples_of(held, kind),
                kind,
                hidden.get(name) or hidden[name.partition(".")[2]],
                asked.scale * (_SECONDS.get(name) or _SECONDS[name.partition(".")[2]]),
                asked.work / f"{name}.pt",
                lambda line, name=name: print(f"{name}: {line}", flush=True),  # noqa: T201
            )
    primed = components_of(training[:_PRIMED])
    model = prime(Start(linear, networks), primed, {"name": asked.out.stem})
    asked.out.write_bytes(model.payload)
    print(f"{asked.out}: {len(model.payload)} bytes, {model.id}")  # noqa: T201


def _sampled(kept: Path, linear: NDArray[np.int16], images: Sequence[Path]) -> NDArray[np.uint8]:
    if not kept.exists():
        primer = Primer(Start(linear, {}))
        parts = [
            primer.sample(components, _SHARE, seed, _MOST)
            for seed, components in enumerate(components_of(images))
        ]
        np.save(kept, np.concatenate(parts))
    return np.load(kept, mmap_mode="r")


def split(folders: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Training and validation files of folders, in an order that mixes folders."""
    images = sorted(p for folder in folders for p in folder.iterdir() if p.is_file())
    order = np.random.default_rng(0).permutation(len(images))
    images = [images[i] for i in order]
    held = [p for p in images if is_validation(p.name)]
    return [p for p in images if not is_validation(p.name)], held


def components_of(images: Sequence[Path]) -> Iterator[list[Component]]:
    """Of each image that can be read, the upper rows."""
    for number, path in enumerate(images):
        data = path.read_bytes()
        if path.suffix.lower() not in _JPEG:
            data = _as_jpeg(data, np.random.default_rng(number))
        try:
            jpeg = take_apart(data)
        except UnreadableImage:
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


if __name__ == "__main__":
    main()
