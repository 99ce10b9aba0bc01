"""What archiving costs beside the codec.

`python -m seec.pipeline.lab.benchmark.overhead PHOTOS DIR EDGE N...` writes N square crops of
photographs, EDGE pixels wide, to DIR as PNG files. Then the codec alone encodes them, an image on
each processor at a time, and `seec archive` does all of its work on the same processors. Linux
only: memory is read from /proc.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from seec.pipeline.codec import Encoder, default_model
from seec.pipeline.images import files, pillow
from seec.pipeline.images.raster import Pixels
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.lab.benchmark.measure import read_pixels
from seec.pipeline.lab.benchmark.process import size_bytes, status

HEADINGS = (
    "crops",
    "images",
    "codec alone, images/s",
    "seec archive, images/s",
    "of it",
    "private memory",
)
_POLL_S = 1.0


def crops(photographs: Path, edge: int, count: int) -> Iterator[Pixels]:
    """So many different crops of edge x edge, from as many photographs as are large enough."""
    paths = sorted(p for p in photographs.iterdir() if p.is_file())
    images = (read_pixels(path) for path in paths)
    large = [image for image in images if min(image.shape[:2]) >= edge]
    rng = np.random.default_rng(0)
    for number in range(count):
        image = large[number % len(large)]
        y, x = (int(rng.integers(size - edge + 1)) for size in image.shape[:2])
        yield np.ascontiguousarray(image[y : y + edge, x : x + edge])


def codec_alone(paths: list[Path], processors: int) -> float:
    """Images per second of the encoder, the files read before."""
    encoder = Encoder(default_model())
    images = [files.read_pixels(path.read_bytes()) for path in paths]
    start = time.perf_counter()
    with ThreadPoolExecutor(processors) as pool:
        list(pool.map(lambda image: encoder.encode_batch([image], [None]), images))
    return len(images) / (time.perf_counter() - start)


def archiving(source: Path, processors: int) -> tuple[float, int]:
    """Seconds of `seec archive`, and the most private memory in bytes that it all took."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "seec.jobs.archive",
            str(source),
            str(Path(folder) / "archive"),
        ]
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--cpus", str(processors)], stdout=subprocess.DEVNULL, start_new_session=True
        )
        most, ended = 0, None
        while ended is None:
            with suppress(subprocess.TimeoutExpired):
                ended = process.wait(_POLL_S)
            most = max(most, _private_memory(process.pid))
        seconds = time.perf_counter() - start
        if ended:
            raise SystemExit(f"seec archive ended with {ended}")
        return seconds, most


def _private_memory(parent: int) -> int:
    """Bytes that a process and all that descend from it do not share."""
    children: dict[int, list[int]] = {}
    memory: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = status(entry.name)
        except OSError:  # it ended
            continue
        pid = int(entry.name)
        children.setdefault(int(fields["PPid"]), []).append(pid)
        memory[pid] = size_bytes(fields.get("RssAnon", "0 kB"))
    total, waiting = 0, [parent]
    while waiting:
        pid = waiting.pop()
        total += memory.get(pid, 0)
        waiting += children.get(pid, [])
    return total


def rows(photographs: Path, folder: Path, edge: int, counts: list[int]) -> Iterator[Sequence[str]]:
    """For each number of images: images per second and memory, as `HEADINGS` says."""
    processors = len(os.sched_getaffinity(0))
    for count in counts:
        source = folder / f"crops-{edge}-{count}"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        paths = [source / f"{number:06d}.png" for number in range(count)]
        for path, crop in zip(paths, crops(photographs, edge, count), strict=True):
            path.write_bytes(pillow.encode(crop, "PNG"))
        alone = codec_alone(paths, processors)
        seconds, memory = archiving(source, processors)
        speed = count / seconds
        share = f"{100 * speed / alone:.0f} %"
        size = f"{edge} x {edge}"
        yield size, f"{count:,}", f"{alone:.1f}", f"{speed:.1f}", share, f"{memory / 1e6:.0f} MB"


if __name__ == "__main__":
    photos, place, width, *numbers = sys.argv[1:]
    found = rows(Path(photos), Path(place), int(width), [int(n) for n in numbers])
    for line in table(HEADINGS, found):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
