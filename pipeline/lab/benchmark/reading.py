"""Images a second out of archives, next to the same files on disk, in a tar file and in LMDB.

`python -m seec.pipeline.lab.benchmark.reading PHOTOS DIR EDGE N [png|jpg]` writes N square crops of
photographs, EDGE pixels wide, to DIR as PNG and as JPEG files, and makes a tar file, an LMDB and
archives of them, or of those of one format (kept, so that a second run only measures). One archive
is of the tar file, whose members are read. Then one thread reads images in order and in random
order, as pixels and as the bytes of the files; `seec.Archive.iter` reads pixels in order, with
threads that read ahead. All in images per second of CPU time, which others on the machine hardly
change; the last column is images per second by the clock, on all cores. Pixels of files on disk, in
the tar file and in LMDB are decoded by Pillow. All files are in the system's cache, so the figures
are those of decoding, not of a disk.
"""

import io
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from seec.pipeline.extras import needs
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.lab.benchmark.overhead import crops
from seec.pipeline.reading import OpenedArchive, open_archive

_FORMATS = {"png": ("PNG", {}), "jpg": ("JPEG", {"quality": 90, "subsampling": 2})}
# Archives of the files of a format, by name, with options of `seec archive`. The first is made of
# the tar file, too, and read from its cache.
_ARCHIVES = {
    "png": {name: ("--profile", name) for name in ("fast", "lite", "max")},
    "jpg": {
        "lite": ("--profile", "lite", "--jpeg", "seec"),
        "jpegxl": ("--jpeg", "jpegxl"),
    },
}
_LEAST_IMAGES, _LEAST_S, _MOST_S = 8, 1.0, 10.0
HEADINGS = (
    "files",
    "held as",
    "bytes",
    "pixels in order",
    "pixels at random",
    "files in order",
    "files at random",
    "pixels by `iter`",
    "pixels by `iter`, by the clock",
)


class Way(NamedTuple):
    """A way to hold files.

    size_bytes: of all of it. pixels, file: of one file by its path, the second its bytes. together:
    pixels of all files in order, on all cores; None where nothing does so.
    """

    size_bytes: int
    pixels: Callable[[str], object]
    file: Callable[[str], bytes]
    together: Callable[[], Iterable[object]] | None = None


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


def _plain(size_bytes: int, file: Callable[[str], bytes]) -> Way:
    """A way whose files Pillow decodes."""

    def pixels(path: str) -> object:
        with Image.open(io.BytesIO(file(path))) as image:
            return np.asarray(image)

    return Way(size_bytes, pixels, file)


def on_disk(files: Path) -> Way:
    """As they are."""
    return _plain(_size_of(files), lambda path: (files / path).read_bytes())


def in_tar(files: Path, target: Path) -> Way:
    """In a tar file, whose index was read before."""
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        with tarfile.open(target, "w") as tar:
            tar.add(files, arcname="")
    with tarfile.open(target) as tar:
        places = {item.name: (item.offset_data, item.size) for item in tar if item.isfile()}
    mapped = np.memmap(target, np.uint8, "r")

    def file(path: str) -> bytes:
        offset, size = places[path]
        return mapped[offset : offset + size].tobytes()

    return _plain(target.stat().st_size, file)


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
    return _plain(size_bytes, lambda path: bytes(transaction.get(path.encode(), b"")))


def in_archive(
    files: Path, target: Path, options: Sequence[str], *, cache: Path | None = None
) -> Way:
    """In an archive; with a cache that holds all of it, if one is given."""
    archive = _archive(files, target, options, cache)
    if cache is not None:
        for pixels in (True, False):
            for _ in archive.iter(pixels=pixels):
                pass
    return Way(
        _size_of(target),
        archive.pixels,
        archive.read,
        lambda: (pixels for _, pixels in archive.iter(pixels=True)),
    )


def in_archived_tar(tar: Path, target: Path, options: Sequence[str]) -> Way:
    """In an archive of a tar file, by the paths of its members."""
    archive = _archive(tar.parent, target, options, None)
    return Way(
        _size_of(target),
        lambda path: archive.pixels(f"{tar.name}/{path}"),
        lambda path: archive.read(f"{tar.name}/{path}"),
        lambda: (pixels for _, pixels in archive.iter(members=True, pixels=True)),
    )


def _archive(
    source: Path, target: Path, options: Sequence[str], cache: Path | None
) -> OpenedArchive:
    if not target.exists():
        command = [sys.executable, "-m", "seec.jobs.archive", str(source), str(target)]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    return open_archive(str(target), cache=cache)


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def speed(make: Callable[[], Iterable[object]], clock: Callable[[], float]) -> float:
    """How many come in a second of a clock: as many as some seconds allow, again and again.

    make: gives all of them in order. One of them is made before the clock runs, with what all need.
    """
    next(iter(make()))
    start, count = clock(), 0
    while True:
        for _ in make():
            count += 1
            if count >= _LEAST_IMAGES and clock() - start > _MOST_S:
                return count / (clock() - start)
        if clock() - start > _LEAST_S:
            return count / (clock() - start)


def ways(folder: Path, suffix: str) -> Iterator[tuple[str, Way]]:
    """Each way to hold the files of one format, with its name."""
    files, tar = folder / suffix, folder / f"{suffix}-tar" / "images.tar"
    yield "files on disk", on_disk(files)
    yield "tar", in_tar(files, tar)
    yield "LMDB", in_lmdb(files, folder / f"{suffix}.lmdb")
    for name, options in _ARCHIVES[suffix].items():
        target = folder / f"{suffix}-{name}.archive"
        yield f"archive, `{name}`", in_archive(files, target, options)
    name, options = next(iter(_ARCHIVES[suffix].items()))
    target = folder / f"{suffix}-tar-{name}.archive"
    yield f"archive of the tar, `{name}`", in_archived_tar(tar, target, options)
    first = folder / f"{suffix}-{name}.archive"
    kept = in_archive(files, first, options, cache=folder / f"{suffix}.cache")
    yield "archive, from its cache on disk", kept


def rows_of(folder: Path, formats: Iterable[str] = _FORMATS) -> Iterator[Sequence[str]]:
    """What was measured, as `HEADINGS` says."""
    for suffix in formats:
        files = folder / suffix
        paths = [str(path.relative_to(files)) for path in sorted(files.rglob(f"*.{suffix}"))]
        shuffled = random.Random(0).sample(paths, len(paths))
        for name, way in ways(folder, suffix):
            alone = [
                speed(_each(read, order), time.process_time)
                for read in (way.pixels, way.file)
                for order in (paths, shuffled)
            ]
            clocks = (time.process_time, time.perf_counter)
            ahead = [
                "" if way.together is None else _shown(speed(way.together, clock))
                for clock in clocks
            ]
            yield suffix.upper(), name, f"{way.size_bytes:,}", *map(_shown, alone), *ahead


def _each(read: Callable[[str], Any], paths: Sequence[str]) -> Callable[[], Iterable[object]]:
    return lambda: map(read, paths)


def _shown(images_per_s: float) -> str:
    return f"{images_per_s:,.0f}" if images_per_s >= 100 else f"{images_per_s:.3g}"


def main(
    photographs: Path, folder: Path, edge: int, count: int, formats: Iterable[str] = _FORMATS
) -> None:
    """Write the table to stdout, a row as soon as it is measured."""
    write_files(photographs, folder, edge, count)
    for line in table(HEADINGS, rows_of(folder, formats)):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    place, target, edge_pixels, number, *only = sys.argv[1:]
    main(Path(place), Path(target), int(edge_pixels), int(number), only or _FORMATS)
