"""Large JPEG files of all kinds, coded and decoded in processes of their own; memory is measured.

`python -m tests.torture.large_jpeg MEGAPIXELS [DIR]` writes a JPEG file of each kind into DIR, of
about so many pixels. It codes each as an encoder of a run does, with the check that it comes back,
and decodes it in another process. The table has the most memory that each process had resident,
Python and PyTorch included. `--photos FOLDER` makes the pictures of parts of the photographs in a
folder, with a little noise, instead of drawn textures. `--kinds` and `--profiles` choose. Linux
only. A picture takes 4 bytes of memory for each pixel while it is made.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.lab.benchmark.markdown import table
from tests.jpegs import detailed
from tests.torture.large_tar import finish

HEADINGS = (
    *("file", "profile", "bytes", "coded"),
    *("look, MB", "s", "code and check, MB", "s", "decode, MB", "s"),
)
MOST_BYTES = 1_500_000_000
QUALITY = 85
_TILE = 512


@dataclass(frozen=True)
class Kind:
    """How a file is made: mode of Pillow, sampling of chroma, whether it is progressive."""

    mode: str
    subsampling: int = 0
    progressive: bool = False


KINDS = {
    "4:2:0": Kind("RGB", 2),
    "4:2:2": Kind("RGB", 1),
    "4:4:4": Kind("RGB"),
    "gray": Kind("L"),
    "4 components": Kind("CMYK"),
    "4:2:0 progressive": Kind("RGB", 2, True),
    "4:4:4 progressive": Kind("RGB", 0, True),
    "4 components progressive": Kind("CMYK", 0, True),
}

# What a worker of a run has imported, and then one step. Told: bytes resident at most, seconds.
# `getrusage` would tell the memory of the parent, too.
_STEP = """
import sys, time
from pathlib import Path
import seec.pipeline.stages.tasks, torch
from seec.pipeline.dct.codec import comes_back, decode_file, encode_file
from seec.pipeline.dct.packaged import packaged_model
step, source, coded, profile = sys.argv[1:]
source, coded = Path(source), Path(coded)
model = packaged_model(profile)
def resident():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) << 10
before, start = resident(), time.perf_counter()
if step == "look":
    assert comes_back(source.read_bytes())
elif step == "code":
    coded.write_bytes(encode_file(source.read_bytes(), model))
else:
    data = decode_file(coded.read_bytes(), model)
peak, seconds = resident(), time.perf_counter() - start
assert step != "decode" or data == source.read_bytes(), "another file"
print(before, peak, seconds)
"""


@dataclass(frozen=True)
class Taken:
    """What a process took: bytes resident before its step and at most, seconds of the step."""

    before: int
    peak: int
    seconds: float


def taken(step: str, source: Path, coded: Path, profile: str) -> Taken:
    """Do a step, `look`, `code` or `decode`, in a process of its own."""
    arguments = [step, str(source), str(coded), profile]
    done = subprocess.run(
        [sys.executable, "-c", _STEP, *arguments], check=True, capture_output=True, text=True
    )
    before, peak, seconds = done.stdout.split()
    return Taken(int(before), int(peak), float(seconds))


def picture(pixels: int, photos: Path | None) -> NDArray[np.uint8]:
    """A square RGB picture of about so many pixels, of tiles that differ."""
    rng = np.random.default_rng(5)
    edge = max(1, round(pixels**0.5 / _TILE)) * _TILE
    found = list(_photographs(photos) if photos else _textures())
    canvas = np.empty((edge, edge, 3), np.uint8)
    for top in range(0, edge, _TILE):
        for left in range(0, edge, _TILE):
            one = found[rng.integers(len(found))]
            y, x = (rng.integers(size - _TILE + 1) for size in one.shape[:2])
            noise = rng.integers(-2, 3, (_TILE, _TILE, 3), np.int16)
            part = np.clip(one[y : y + _TILE, x : x + _TILE] + noise, 0, 255)
            canvas[top : top + _TILE, left : left + _TILE] = part[:, :: rng.choice((-1, 1))]
    return canvas


def _textures() -> Iterator[NDArray[np.uint8]]:
    return (np.tile(detailed(seed), (5, 4, 1)) for seed in range(8))


def _photographs(folder: Path) -> Iterator[NDArray[np.uint8]]:
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            if min(image.size) >= _TILE:
                yield np.asarray(image.convert("RGB"))


def write(path: Path, canvas: NDArray[np.uint8], kind: Kind) -> None:
    """Write the picture as a JPEG file."""
    image = Image.fromarray(canvas)
    if kind.mode != "RGB":
        image = image.convert(kind.mode)
    options = {"subsampling": kind.subsampling} if kind.mode == "RGB" else {}
    image.save(path, "JPEG", quality=QUALITY, progressive=kind.progressive, **options)


def rows(
    folder: Path,
    canvas: NDArray[np.uint8],
    kinds: Sequence[str],
    profiles: Sequence[str],
    wrong: list[str],
) -> Iterator[Sequence[str]]:
    """Rows of a table with HEADINGS; `wrong` gets what takes too much memory."""
    source, coded = folder / "large.jpg", folder / "large.coded"
    for kind in kinds:
        write(source, canvas, KINDS[kind])
        for profile in profiles:
            steps = [taken(step, source, coded, profile) for step in ("look", "code", "decode")]
            wrong += [
                f"{kind}, {profile}: {one.peak:,} bytes resident"
                for one in steps
                if one.peak > MOST_BYTES
            ]
            sizes = (f"{path.stat().st_size:,}" for path in (source, coded))
            cells = ((f"{one.peak / 1e6:,.0f}", f"{one.seconds:,.0f}") for one in steps)
            yield kind, profile, *sizes, *(cell for pair in cells for cell in pair)


def main(
    folder: Path,
    pixels: int,
    tell: Callable[[str], None],
    kinds: Sequence[str] = tuple(KINDS),
    profiles: Sequence[str] = ("fast", "lite"),
    photos: Path | None = None,
) -> list[str]:
    """Do all of it in a folder. tell: gets lines of a table. Returns what is wrong."""
    wrong: list[str] = []
    canvas = picture(pixels, photos)
    tell(f"{canvas.shape[1]} x {canvas.shape[0]} pixels\n")
    for line in table(HEADINGS, rows(folder, canvas, kinds, profiles, wrong)):
        tell(line)
    return wrong


def _command() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megapixels", type=int)
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--profiles", nargs="+", default=["fast", "lite"])
    asked = parser.parse_intermixed_args()
    chosen = asked.kinds, asked.profiles, asked.photos
    finish(asked.folder, lambda folder, tell: main(folder, asked.megapixels * 10**6, tell, *chosen))


if __name__ == "__main__":
    _command()
