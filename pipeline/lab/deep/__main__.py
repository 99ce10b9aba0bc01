"""`python -m seec.pipeline.lab.deep FOLDER`: samples of any depth, ours against every peer.

FOLDER holds a folder for each class, with arrays as .npy files. Prints a table: bytes of each class
with us, and with the peer that is smallest over the class; the worst file; megasamples a second of
one core. `--json FILE` keeps what peers take, which is most of the time.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seec.pipeline import deep
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.lab.deep import peers
from seec.pipeline.lab.deep.samples import Samples, as_rasters, classes, load
from seec.schemas.planes import Shape

_HEADINGS = (
    "class",
    "files",
    "MS",
    "ours",
    "best peer",
    "",
    "ours / peer",
    "worst",
    "encode, decode MS/s",
    "encode MP/s",
)


@dataclass
class Totals:
    """Of the files of a class. peers: bytes of each peer, file by file."""

    files: int = 0
    samples: int = 0
    pixels: int = 0
    size: int = 0
    encoding_s: float = 0
    decoding_s: float = 0
    worst: float = 0
    worst_name: str = ""
    peers: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def best_peer(self) -> tuple[int, str]:
        """The least bytes of a peer that takes all files, and its name."""
        return min(
            (sum(sizes), name) for name, sizes in self.peers.items() if len(sizes) == self.files
        )


def main() -> None:
    """Measure, file by file, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m seec.pipeline.lab.deep", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, help="keeps what peers take, for the next time")
    args = parser.parse_args()
    known: dict[str, dict[str, int]] = (
        json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    )
    for line in table(_HEADINGS, _rows(args.folder, args.json, known)):
        print(line, flush=True)  # noqa: T201


def _rows(
    folder: Path, kept: Path | None, known: dict[str, dict[str, int]]
) -> Iterator[Sequence[str]]:
    for name, files in classes(folder):
        totals = Totals()
        for path in files:
            samples = load(path)
            key = f"{name}/{path.stem}"
            if key not in known:
                known[key] = peers.sizes(samples)
                if kept:
                    kept.write_text(json.dumps(known, indent=1))
            _code(totals, samples, key, known[key])
        if totals.files:
            yield _row(name, totals)


def _code(totals: Totals, samples: Samples, name: str, others: dict[str, int]) -> None:
    rasters, depth = as_rasters(samples)
    began = time.process_time()
    code = deep.encode(rasters, depth)
    between = time.process_time()
    if code is None:
        print(f"{name}: spreads too far")  # noqa: T201
        return
    totals.files += 1
    height, width, bands = rasters[0].shape
    decoded = deep.decode(code, Shape(width, height, bands, depth), len(rasters))
    ended = time.process_time()
    if not all(np.array_equal(one, back) for one, back in zip(rasters, decoded, strict=True)):
        raise AssertionError(f"{name}: does not come back")
    totals.samples += samples.size
    totals.pixels += samples.size // bands
    totals.size += len(code)
    totals.encoding_s += between - began
    totals.decoding_s += ended - between
    ratio = len(code) / min(others.values())
    if ratio > totals.worst:
        totals.worst, totals.worst_name = ratio, name.split("/")[1]
    for peer, size in others.items():
        totals.peers.setdefault(peer, []).append(size)


def _row(name: str, t: Totals) -> list[str]:
    size, peer = t.best_peer()
    return [
        name,
        str(t.files),
        f"{t.samples / 1e6:.1f}",
        str(t.size),
        str(size),
        peer,
        f"{t.size / size:.3f}",
        f"{t.worst:.3f} {t.worst_name}",
        f"{t.samples / t.encoding_s / 1e6:.2f}, {t.samples / t.decoding_s / 1e6:.2f}",
        f"{t.pixels / t.encoding_s / 1e6:.2f}",
    ]


if __name__ == "__main__":
    main()
