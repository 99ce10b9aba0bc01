"""`python -m tests.archives.estimates [TREE ...]`: estimates against archives, as a table.

Three trees of files, and four of large files that hold images or arrays: slices are sampled.
"""

import io
import random
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seec.jobs import archive as archive_job
from seec.jobs import estimate
from seec.pipeline.stages.slices import files_with_index, sliced
from seec.pipeline.storage import Source
from seec.schemas.plan import SourceFile
from tests.faults.points import archive_in_process
from tests.jpegs import detailed
from tests.pictures import screenshot, textured
from tests.sources import image_bytes

SLICE_BYTES = 1 << 17
SAMPLE_FILES, SAMPLE_BYTES = 90, 1 << 21
Tree = Callable[[Path, random.Random], None]


def photographs(root: Path, chance: random.Random) -> None:
    """Mostly PNG of several sizes, with some notes."""
    for number in range(150):
        edge = chance.choice((32, 48, 64, 96))
        data = image_bytes(textured(edge, edge + 8, number), "PNG")
        (root / f"{number}.png").write_bytes(data)
    for number in range(30):
        words = " ".join(chance.choices(("light", "shadow", "lens", "hour"), k=60))
        (root / f"{number}.txt").write_text(f"{number} {words}")


def scans(root: Path, chance: random.Random) -> None:
    """JPEG files of several qualities, screenshots, and files that are no pictures."""
    for number in range(60):
        quality = chance.choice((60, 80, 92))
        data = image_bytes(detailed(number)[:96, :128], "JPEG", quality=quality)
        (root / f"{number}.jpg").write_bytes(data)
    for number in range(40):
        (root / f"s{number}.png").write_bytes(image_bytes(screenshot(64, 96, number), "PNG"))
    for number in range(40):
        (root / f"{number}.dat").write_bytes(chance.randbytes(chance.randrange(500, 9000)))


def renders(root: Path, chance: random.Random) -> None:
    """PNG that compress very differently, TIFF of 16 bits, and empty files."""
    for number in range(90):
        pixels = textured(64, 64, number)
        if number % 3 == 0:
            pixels = np.zeros_like(pixels) + np.uint8(number)
        (root / f"{number}.png").write_bytes(image_bytes(pixels, "PNG"))
    for number in range(60):
        deep = textured(40, 40, number)[..., 0].astype(np.uint16) * 257
        (root / f"{number}.tif").write_bytes(image_bytes(deep, "TIFF"))
    for number in range(10):
        (root / f"{number}.done").touch()


def tars(root: Path, chance: random.Random) -> None:
    """Tars of PNG, JPEG and notes, as WebDataset has them, each with many slices."""
    for number in range(4):
        with tarfile.open(root / f"{number}.tar", "w") as tar:
            for name, data in _samples(number, chance):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


def zips(root: Path, chance: random.Random) -> None:
    """The same in zip files, deflated: notes get smaller by that, and pictures hardly."""
    for number in range(4):
        with zipfile.ZipFile(root / f"{number}.zip", "w", zipfile.ZIP_DEFLATED) as made:
            for name, data in _samples(number, chance):
                stored = None if name.endswith("txt") else zipfile.ZIP_STORED
                made.writestr(name, data, stored)


def parquets(root: Path, chance: random.Random) -> None:
    """PNG and JPEG in columns of row groups, packed by snappy, with captions."""
    for number in range(4):
        samples = [data for _, data in _samples(number, chance)]
        columns = {"png": samples[::3], "jpg": samples[1::3], "caption": samples[2::3]}
        path = root / f"{number}.parquet"
        # Pages have a quarter of the bytes of a slice, as with usual settings.
        pq.write_table(
            pa.table(columns),
            path,
            row_group_size=20,
            use_dictionary=False,
            data_page_size=SLICE_BYTES // 4,
            write_batch_size=1,
        )


def arrays(root: Path, chance: random.Random) -> None:
    """HDF5 files of one array each: of pictures, noise, and volumes of 16 bits."""
    for number in range(4):
        pictures = np.stack([detailed(100 * number + i)[:64, :64] for i in range(90)])
        volume = pictures[..., 0].astype(np.uint16) * 9 + chance.randrange(9)
        noise = np.frombuffer(chance.randbytes(200_000), np.uint8)
        with h5py.File(root / f"{number}.h5", "w") as file:
            file["volume" if number % 2 else "pictures"] = volume if number % 2 else pictures
            file["noise"] = noise


def _samples(number: int, chance: random.Random) -> list[tuple[str, bytes]]:
    """A PNG, a JPEG and a note of each of a hundred pictures, and their names."""
    found: list[tuple[str, bytes]] = []
    for sample in range(100 * number, 100 * number + 100):
        pixels = detailed(sample)[: chance.choice((48, 64)), :64]
        words = " ".join(chance.choices(("light", "shadow", "lens", "hour"), k=9))
        found.append((f"{sample:04d}.png", image_bytes(pixels, "PNG")))
        found.append((f"{sample:04d}.jpg", image_bytes(pixels, "JPEG", quality=90)))
        found.append((f"{sample:04d}.txt", words.encode()))
    return found


FILES: tuple[Tree, ...] = (photographs, scans, renders)
HOLDERS: tuple[Tree, ...] = (tars, zips, parquets, arrays)


@dataclass(frozen=True)
class Compared:
    """An estimate, the bytes of the archive, and how many bytes the estimate read."""

    found: estimate.Summary
    truth: archive_job.ArchiveSummary
    read_bytes: int

    @property
    def error(self) -> float:
        """Of the estimate, as a part of the truth."""
        return self.found.stored.value / self.truth.blob_size_bytes - 1


def compared(tree: Tree, folder: Path) -> Compared:
    """Make a tree, estimate it, and archive it. folder: an empty one."""
    root = folder / "source"
    root.mkdir()
    tree(root, random.Random(3))
    settings = estimate.Settings(str(root), profile="fast", seed=1)
    if tree in FILES:
        settings = replace(settings, sample_files=SAMPLE_FILES)
    else:
        settings = replace(settings, sample_bytes=SAMPLE_BYTES)
    read: list[int] = []

    def counted(name: str) -> Callable[..., bytes]:
        real = getattr(Source, name)

        def reads(self: Source, file: SourceFile, *part: int) -> bytes:
            data = real(self, file, *part)
            read.append(len(data))
            return data

        return reads

    with ExitStack() as held:
        for name in ("read", "read_part", "read_range"):
            held.enter_context(patch.object(Source, name, counted(name)))
        for function in (sliced, files_with_index):
            small = partial(function, slice_bytes=SLICE_BYTES)
            held.enter_context(patch.object(estimate, function.__name__, small))
        found = estimate.run(settings)
    archiving = archive_job.Settings(str(root), str(folder / "archive"), profile="fast")
    return Compared(found, archive_in_process(archiving), sum(read))


def main() -> None:
    """Print the table."""
    heads = "tree", "bytes", "read", "estimated", "confidence of 95 %", "archive", "error"
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")  # noqa: T201
    for tree in (
        tree for tree in (*FILES, *HOLDERS) if tree.__name__ in (sys.argv[1:] or tree.__name__)
    ):
        with tempfile.TemporaryDirectory() as folder:
            made = compared(tree, Path(folder))
        stored = made.found.stored
        cells = (
            tree.__name__,
            f"{made.found.source_bytes:,}",
            f"{made.read_bytes / made.found.source_bytes:.0%}",
            f"{stored.value:,.0f}",
            f"{stored.low:,.0f} to {stored.high:,.0f}",
            f"{made.truth.blob_size_bytes:,}",
            f"{made.error:+.1%}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
