"""Time the parts of the C kernels: `python -m seec.pipeline.lab.benchmark.timing IMAGE [PROFILE]`.

Times are the coding thread's own CPU time, the least of several runs, so that other work on
the machine disturbs them little.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from seec.pipeline.codec import Model, packaged_model
from seec.pipeline.codec.coding.tiles import (
    BlockMaps,
    GroupCanvas,
    Tile,
    border_colours,
    empty_canvas,
    fill_canvas,
)
from seec.pipeline.codec.model.packaged import DEFAULT_PROFILE
from seec.pipeline.codec.native.kernels import NativeKernels, _kernels, levels
from seec.pipeline.images.files import read_pixels
from seec.pipeline.images.raster import Pixels

EDGE = 512
RUNS = 5


def time_parts(pixels: Pixels, model: Model, level: str) -> dict[str, dict[str, float]]:
    """Nanoseconds per pixel of each part, by what is done: measure, encode, decode.

    pixels: [H, W, 3] uint8, of which the top left 512 x 512 are coded as one tile. level: one of
    `levels()`. Each part also counts in "all", which is timed without booking parts.
    """
    tile = Tile(0, 0, min(EDGE, pixels.shape[0]), min(EDGE, pixels.shape[1]))
    borders = border_colours(pixels, [tile])
    maps = BlockMaps.blank(tile.height, tile.width, 4)
    kernels = NativeKernels(model, level)

    def empty() -> GroupCanvas:
        return empty_canvas([tile], borders, maps)

    full = empty()
    fill_canvas(full, pixels, [tile])
    best = kernels.measure(full).argmin(-1)[0]
    maps.labels[:] = best[: maps.labels.shape[0], : maps.labels.shape[1]]
    full.labels[:] = empty().labels
    words = kernels.encode(full)
    work: dict[str, Callable[[], object]] = {
        "measure": lambda: kernels.measure(full),
        "encode": lambda: kernels.encode(full),
        "decode": lambda: kernels.decode([empty()], [words]),
    }
    count = tile.height * tile.width
    return {name: _parts(job, count) for name, job in work.items()}


def _parts(job: Callable[[], object], pixels: int) -> dict[str, float]:
    """The least time of each part in several runs, and of all without booking, ns per pixel."""
    total = []
    for _ in range(RUNS):
        start = time.thread_time_ns()
        job()
        total.append(time.thread_time_ns() - start)
    booked = []
    _kernels.book_times(True)
    _kernels.take_times()
    for _ in range(RUNS):
        job()
        booked.append(_kernels.take_times())
    _kernels.book_times(False)
    parts = {name: min(run[name] for run in booked) / pixels for name in booked[0]}
    return parts | {"all": min(total) / pixels}


def lines_of(found: dict[str, dict[str, float]]) -> list[str]:
    """A Markdown table: parts down, work across, nanoseconds per pixel and the share."""
    lines = [f"| ns per pixel | {' | '.join(found)} |", f"| --- |{' --- |' * len(found)}"]
    for part in next(iter(found.values())):
        cells = []
        for times in found.values():
            whole = sum(t for name, t in times.items() if name != "all")
            share = "" if part == "all" else f" ({times[part] / whole:.0%})"
            cells.append(f"{times[part]:.0f}{share}" if times[part] >= 0.5 else "-")
        lines.append(f"| {part} | {' | '.join(cells)} |")
    speeds = [f"{1000 / times['all']:.2f}" for times in found.values()]
    return [*lines, f"| MP/s | {' | '.join(speeds)} |"]


def main(arguments: Sequence[str]) -> None:
    """Print a table for each profile (the default one if none is named) and level."""
    image, *profiles = arguments
    pixels = np.ascontiguousarray(read_pixels(Path(image).read_bytes()))
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    for name in profiles or [DEFAULT_PROFILE]:
        for level in reversed(levels()):
            lines = lines_of(time_parts(pixels, packaged_model(name), level))
            sys.stdout.write("\n".join([f"\n{name}, {level}\n", *lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
