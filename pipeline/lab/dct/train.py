"""A coefficient model from photographs and JPEG files; `seec train --jpeg` is the command.

JPEG files are taken as they are; other images become JPEG files of many qualities, samplings and
quantisation tables. Every eighth image by a hash of its name is kept for validation.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.dct.jpeg import Component, take_apart
from seec.pipeline.dct.weights import NETWORKS, DctModel, Layer
from seec.pipeline.images.jpeg import matches
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
_ROWS = 64  # of luma's blocks: more of one file would crowd out others
_SHARE, _MOST = 0.06, 1 << 18
_PRIMED = 300  # files: with more, contexts know a little more, and model files grow
# Seconds of CPU for each network: three quarters of the bytes are luma's AC coefficients.
_SECONDS = {"last": 25, "dc": 20, "ac": 70, "luma.ac": 220}


def train_model(
    folders: Sequence[Path],
    profile: str,
    work: Path,
    budget_s: float,
    card: Mapping[str, Any],
    report: Callable[[str], None],
) -> DctModel:
    """A model of a profile from the images of folders.

    work: a folder for samples and checkpoints of networks, from which the same call goes on; made
    if the profile has networks. budget_s: CPU time of all networks. report: takes lines,
    each with a network's bits a decision on the validation split. UnreadableImage if folders have
    no image for training, or none for validation.
    """
    training, validation = split(folders)
    if not training or not validation:
        raise UnreadableImage(
            f"{len(training)} images for training and {len(validation)} for validation, one in "
            "eight by file name: more images are needed"
        )
    linear = fit_linear(components_of(training))
    networks: dict[str, tuple[Layer, ...]] = {}
    hidden = PROFILES[profile]
    if hidden:
        work.mkdir(exist_ok=True)
        seen = _sampled(work / "training.npy", linear, training)
        held = _sampled(work / "validation.npy", linear, validation)
        for kind, name in enumerate(NETWORKS):
            networks[name] = train(
                samples_of(seen, kind),
                samples_of(held, kind),
                kind,
                hidden.get(name) or hidden[_kind(name)],
                budget_s * _seconds(name) / network_seconds(),
                work / f"{name}.pt",
                lambda line, name=name: report(f"{name}: {line}"),
            )
    return prime(Start(linear, networks), components_of(training[:_PRIMED]), card)


def network_seconds() -> float:
    """CPU time of all networks if nothing else is asked for."""
    return sum(map(_seconds, NETWORKS))


def _seconds(name: str) -> float:
    return _SECONDS.get(name) or _SECONDS[_kind(name)]


def _kind(name: str) -> str:
    return name.partition(".")[2]


def _sampled(kept: Path, linear: NDArray[np.int16], images: Sequence[Path]) -> NDArray[np.uint8]:
    if not kept.exists():
        primer = Primer(Start(linear, {}))
        parts = [
            primer.sample(components, _SHARE, seed, _MOST)
            for seed, components in enumerate(components_of(images))
        ]
        if not parts:
            raise UnreadableImage(f"none of {len(images)} files for {kept.stem} is an image")
        part = kept.with_suffix(".part.npy")
        np.save(part, np.concatenate(parts))
        part.replace(kept)
    return np.load(kept, mmap_mode="r")


def split(folders: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Training and validation files of folders, in an order that mixes folders."""
    images = sorted(p for folder in folders for p in folder.rglob("*") if p.is_file())
    order = np.random.default_rng(0).permutation(len(images))
    images = [images[i] for i in order]
    held = [p for p in images if is_validation(p.name)]
    return [p for p in images if not is_validation(p.name)], held


def components_of(images: Sequence[Path]) -> Iterator[list[Component]]:
    """Of each image that can be read, the upper rows."""
    return (components for _, components in numbered_components(images))


def numbered_components(images: Sequence[Path]) -> Iterator[tuple[int, list[Component]]]:
    """As components_of, each with its place among the images."""
    for number, path in enumerate(images):
        data = path.read_bytes()
        try:
            if not matches(data):
                data = _as_jpeg(data, np.random.default_rng(number))
            jpeg = take_apart(data)
        except (UnreadableImage, OSError, ValueError, Image.DecompressionBombError):
            continue
        tallest = max(c.vertical for c in jpeg.components)
        yield (
            number,
            [
                Component(
                    c.horizontal,
                    c.vertical,
                    c.quantisation,
                    c.coefficients[: _ROWS * c.vertical // tallest],
                )
                for c in jpeg.components
            ],
        )


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
