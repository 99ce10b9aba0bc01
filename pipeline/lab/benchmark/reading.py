"""Images a second out of archives, next to the same files on disk, in a tar file and in LMDB.

`python -m seec.pipeline.lab.benchmark.reading PHOTOS DIR EDGE N` writes N square crops of
photographs, EDGE pixels wide, to DIR as PNG and as JPEG files, and makes a tar file, an LMDB and
archives of them (kept, so that a second run only measures). Then one thread reads images in order
and in random order and decodes each to pixels: images per second of CPU time, which others on the
machine hardly change. And `seec.Archive.iter` reads them in order on all cores, by the clock. All
files are in the system's cache, so the figures are those of decoding, not of a disk.
"""

import io
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from seec.pipeline.extras import needs
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.lab.benchmark.overhead import crops
from seec.pipeline.reading import open_archive

Read = Callable[[str], object]
# A way to hold files: bytes on disk, and functions that read one file and, or None, all in order.
Way = tuple[int, Read, Callable[[], Iterator[object]] | None]

_FORMATS = {"png": ("PNG", {}), "jpg": ("JPEG", {"quality": 90, "subsampling": 2})}
_PROFILES = {"png": ("fast", "lite", "max"), "jpg": ("lite",)}
_LEAST_IMAGES, _MOST_S = 8, 10.0
HEADINGS = (
    "files",
    "held as",
    "bytes",
    "in order, images per CPU second",
    "at random, images per CPU second",
    "`iter`, all cores, images/s",
)


def write_files(photographs: Path, folder: Path, edge: int, count: int) -> None:
    """Write the crops, unless they are there."""
    if folder.exists():
        return
    partial = folder.with_suffix(".partial")
    for number, pixels in enumerate(crops(photographs, edge, count)):
        for suffix, (name, options) in _FORMATS.items():
            target = partial / suffix / f"{number % 10}" / f"{number:06d}.{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target, name, **options)
    partial.rename(folder)


def on_disk(files: Path) -> Way:
    """As they are."""
    size_bytes = sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
    return size_bytes, lambda path: _decoded((files / path).read_bytes()), None


def in_tar(files: Path, target: Path) -> Way:
    """In a tar file, whose index was read before."""
    if not target.exists():
        with tarfile.open(target, "w") as tar:
            tar.add(files, arcname="")
    with tarfile.open(target) as tar:
        places = {item.name: (item.offset_data, item.size) for item in tar if item.isfile()}
    mapped = np.memmap(target, np.uint8, "r")

    def read(path: str) -> object:
        offset, size = places[path]
        return _decoded(mapped[offset : offset + size].tobytes())

    return target.stat().st_size, read, None


def in_lmdb(files: Path, target: Path) -> Way:
    """In an LMDB, by path."""
    with needs("test", "the comparison with LMDB"):
        import lmdb
    if not target.exists():
        with lmdb.open(str(target), map_size=1 << 34) as made, made.begin(write=True) as writing:
            for path in sorted(files.rglob("*.*")):
                writing.put(str(path.relative_to(files)).encode(), path.read_bytes())
    transaction = lmdb.open(str(target), readonly=True).begin()
    size_bytes = (target / "data.mdb").stat().st_size
    return size_bytes, lambda path: _decoded(transaction.get(path.encode(), b"")), None


def in_archive(files: Path, target: Path, profile: str, *, cache: Path | None = None) -> Way:
    """In an archive; with a cache that holds all of it, if one is given."""
    if not target.exists():
        command = [sys.executable, "-m", "seec.jobs.archive", str(files), str(target)]
        subprocess.run([*command, "--profile", profile], check=True, stdout=subprocess.DEVNULL)
    archive = open_archive(str(target), cache=cache)
    size_bytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if cache is not None:
        for _ in archive.iter(pixels=True):
            pass
    return size_bytes, archive.pixels, lambda: (p for _, p in archive.iter(pixels=True))


def _decoded(data: bytes) -> object:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def speed(read: Iterator[object], clock: Callable[[], float]) -> float:
    """How many come in a second of a clock: all of them, or as many as some seconds allow."""
    start, count = clock(), 0
    for _ in read:
        count += 1
        if count >= _LEAST_IMAGES and clock() - start > _MOST_S:
            break
    return count / (clock() - start)


def ways(folder: Path, suffix: str) -> Iterator[tuple[str, Way]]:
    """Each way to hold the files of one format, with its name."""
    files = folder / suffix
    yield "files on disk", on_disk(files)
    yield "tar", in_tar(files, folder / f"{suffix}.tar")
    yield "LMDB", in_lmdb(files, folder / f"{suffix}.lmdb")
    for profile in _PROFILES[suffix]:
        target = folder / f"{suffix}-{profile}.archive"
        yield f"archive, `{profile}`", in_archive(files, target, profile)
    profile = _PROFILES[suffix][0]
    first = folder / f"{suffix}-{profile}.archive"
    kept = in_archive(files, first, profile, cache=folder / f"{suffix}.cache")
    yield "archive, from its cache on disk", kept


def rows_of(folder: Path) -> Iterator[Sequence[str]]:
    """What was measured, as `HEADINGS` says."""
    for suffix in _FORMATS:
        files = folder / suffix
        paths = [str(path.relative_to(files)) for path in sorted(files.rglob(f"*.{suffix}"))]
        shuffled = random.Random(0).sample(paths, len(paths))
        for name, (size_bytes, read, together) in ways(folder, suffix):
            alone = [speed(map(read, order), time.process_time) for order in (paths, shuffled)]
            ahead = "" if together is None else _shown(speed(together(), time.perf_counter))
            yield suffix.upper(), name, f"{size_bytes:,}", *map(_shown, alone), ahead


def _shown(images_per_s: float) -> str:
    return f"{images_per_s:,.0f}" if images_per_s >= 100 else f"{images_per_s:.3g}"


def main(photographs: Path, folder: Path, edge: int, count: int) -> None:
    """Write the table to stdout, a row as soon as it is measured."""
    write_files(photographs, folder, edge, count)
    for line in table(HEADINGS, rows_of(folder)):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
