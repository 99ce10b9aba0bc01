"""Large TIFF files in a folder, into an archive beside it and back; memory is measured.

`python -m tests.torture.large_tiff MEGABYTES [DIR]` writes two BigTIFF files into DIR, which
together have about so many megabytes: a stack of planes of 16 bits, uncompressed, and a pyramid of
tiles with deflate. Both are synthetic cells with noise. They are archived with the profile `fast`,
verified, one plane and a part of a tile are read out of the archive, and all is restored. The
memory of all processes of each job is measured as it runs. Linux only. DIR takes three times the
size.
"""

import filecmp
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from seec.jobs.exit_codes import ExitCode
from seec.pipeline.lab.benchmark.markdown import table
from tests.torture.large_tar import HEADINGS, Peaks, Step, rows, run, start

STACK, PYRAMID = "stack.tif", "pyramid.tif"
REGION = 700, 300, 400, 200  # x, y, width, height
_EDGE, _TILE, _SUB_LEVELS = 1024, 256, 3
# To find how a tile was compressed takes about ten times as long as to code it: a larger one would
# show nothing more.
_PYRAMID_BYTES = 210_000_000
_PLANE_BYTES = 2 * _EDGE * _EDGE
_READ = """
import sys, time
start = time.perf_counter()
import numpy, seec
archive, path, page, kept, *region = sys.argv[1:]
region = tuple(map(int, region)) or None
found = seec.open(archive).pixels(path, region, page=int(page))
print(time.perf_counter() - start)
numpy.save(kept, found)
"""


def cells(number: int, edge: int = _EDGE) -> NDArray[np.uint16]:
    """A plane of 12 bits, [edge, edge]: cells that move a little from plane to plane, and noise."""
    rng = np.random.default_rng(7)
    along = np.arange(edge, dtype=np.float32)
    light = np.full((edge, edge), 180, np.float32)
    for _ in range(24):
        at_y, at_x, size, bright = rng.uniform((0, 0, 20, 200), (edge, edge, 80, 1500))
        down, right = (
            np.exp(-((along - at) ** 2) / (2 * size * size)).astype(np.float32)
            for at in (at_y + number % 17, at_x - number % 11)
        )
        light += np.outer(bright * down, right)
    noise = np.random.default_rng(number).normal(0, 1, light.shape).astype(np.float32)
    return np.clip(light + noise * np.sqrt(light), 0, 4095).astype(np.uint16)


def write_stack(path: Path, size_bytes: int) -> int:
    """Write planes of about so many bytes; returns how many."""
    count = max(2, size_bytes // _PLANE_BYTES)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for number in range(count):
            file.write(cells(number), metadata=None)
    return count


def write_pyramid(path: Path, size_bytes: int) -> None:
    """Write a picture that has about so many bytes before deflate, and smaller ones below it."""
    # REGION has to lie within the level below.
    blocks = max(3, round((size_bytes * 3 / 4 / _PLANE_BYTES) ** 0.5))

    def tiles(step: int) -> Iterator[NDArray[np.uint16]]:
        edge = _EDGE // step
        for row in range(blocks):
            line = [cells(row * blocks + column)[::step, ::step] for column in range(blocks)]
            whole = np.concatenate(line, axis=1)
            for top in range(0, edge, min(_TILE, edge)):
                for left in range(0, whole.shape[1], _TILE):
                    yield np.ascontiguousarray(whole[top : top + _TILE, left : left + _TILE])

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level in range(_SUB_LEVELS):
            edge = blocks * _EDGE >> level
            file.write(
                tiles(1 << level),
                shape=(edge, edge),
                dtype=np.uint16,
                tile=(_TILE, _TILE),
                compression="deflate",
                compressionargs={"level": 6},
                subifds=_SUB_LEVELS - 1 if level == 0 else None,
                subfiletype=int(level > 0),
                metadata=None,
            )


def steps(folder: Path, size_bytes: int, wrong: list[str]) -> Iterator[Step]:
    """Each step as it is done; what is not as it has to be goes into `wrong`."""
    source, archive, restored = (folder / name for name in ("source", "archive", "restored"))
    source.mkdir()
    start = time.monotonic()
    pyramid_bytes = min(size_bytes // 2, _PYRAMID_BYTES)
    planes = write_stack(source / STACK, size_bytes - pyramid_bytes)
    write_pyramid(source / PYRAMID, pyramid_bytes)
    yield Step("write the files", 0, "", time.monotonic() - start, Peaks())

    def job(name: str, *arguments: str) -> Step:
        done = run(name, ["-m", f"seec.jobs.{name}", *arguments])
        if done.exit_code != ExitCode.OK:
            wrong.append(f"{name}: ended with {done.exit_code}")
        return done

    yield job("archive", str(source), str(archive), "--profile", "fast", "--keep", "file")
    stored = sum(one.stat().st_size for one in archive.rglob("*") if one.is_file())
    sizes = [(source / name).stat().st_size for name in (STACK, PYRAMID)]
    if stored > 0.9 * sum(sizes):
        wrong.append(f"{stored:,} bytes are kept of {sizes}")
    yield Step(f"({stored:,} bytes kept of {sizes[0]:,} + {sizes[1]:,})", 0, "", 0, Peaks())
    yield job("verify", str(archive))
    yield _read("read the last plane", archive, STACK, planes - 1, (), folder, wrong)
    yield _read("read a region of a level", archive, PYRAMID, 1, REGION, folder, wrong)
    yield job("restore", str(archive), str(restored))
    wrong += [
        f"{name} came back as another file"
        for name in (STACK, PYRAMID)
        if not filecmp.cmp(source / name, restored / name, shallow=False)
    ]


def _read(
    name: str,
    archive: Path,
    file: str,
    page: int,
    region: tuple[int, ...],
    folder: Path,
    wrong: list[str],
) -> Step:
    kept = folder / "read.npy"
    done = run(name, ["-c", _READ, str(archive), file, str(page), str(kept), *map(str, region)])
    with tifffile.TiffFile(folder / "source" / file) as whole:
        pages = [whole.pages[0].aspage(), *(whole.pages[0].aspage().pages or ())]
        expected = (pages[page].aspage() if region else whole.pages[page].aspage()).asarray()
    if region:
        x, y, width, height = region
        expected = expected[y : y + height, x : x + width]
    if not np.array_equal(np.load(kept), expected):
        wrong.append(f"{name}: other numbers than the file has")
    return Step(name, done.exit_code, done.output, float(done.output or 0), done.peaks)


def main(folder: Path, size_bytes: int, tell: Callable[[str], None]) -> list[str]:
    """Do all of it in a folder. tell: gets lines of a table. Returns what is wrong."""
    wrong: list[str] = []
    for line in table(HEADINGS, rows(steps(folder, size_bytes, wrong), wrong)):
        tell(line)
    return wrong


if __name__ == "__main__":
    start(main)
