"""What images take within files of other kinds.

`python -m seec.pipeline.lab.benchmark.within FOLDER [PROFILE]` packs the images of a folder in
files of several kinds, by the libraries that people pack them with, archives each by itself,
restores it, and compares the bytes. Needs the packages of the tests.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import zstandard

from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.storage import Store

HEADINGS = ("images in", "bytes", "zstd -19", "archive", "against loose files")
Files = Mapping[str, bytes]
LOOSE = "loose"


def loose(files: Files, folder: Path) -> None:
    """The files as they are."""
    for name, data in files.items():
        (folder / name).write_bytes(data)


def tar(files: Files, folder: Path) -> None:
    """A tar, by tarfile."""
    with tarfile.open(folder / "images.tar", "w") as target:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            target.addfile(entry, io.BytesIO(data))


def stored_zip(files: Files, folder: Path) -> None:
    """A zip without compression, by zipfile."""
    _zip(files, folder, zipfile.ZIP_STORED)


def deflated_zip(files: Files, folder: Path) -> None:
    """A zip of deflated members, by zipfile."""
    _zip(files, folder, zipfile.ZIP_DEFLATED)


def _zip(files: Files, folder: Path, method: int) -> None:
    with zipfile.ZipFile(folder / "images.zip", "w", method) as target:
        for name, data in files.items():
            target.writestr(name, data)


def parquet(files: Files, folder: Path) -> None:
    """A column of bytes in snappy pages, by pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"name": list(files), "image": list(files.values())}
    cast(Any, pq).write_table(cast(Any, pa).table(columns), folder / "images.parquet")


def lmdb(files: Files, folder: Path) -> None:
    """A database, by lmdb."""
    import lmdb

    size = 2 * sum(map(len, files.values())) + (1 << 20)
    place = str(folder / "images.lmdb")
    with (
        cast(Any, lmdb).open(place, map_size=size, subdir=False) as target,
        target.begin(write=True) as transaction,
    ):
        for name, data in files.items():
            transaction.put(name.encode(), data)
    (folder / "images.lmdb-lock").unlink(missing_ok=True)


def hdf5(files: Files, folder: Path) -> None:
    """A data set of bytes for each image, by h5py."""
    import h5py
    import numpy as np

    with cast(Any, h5py).File(folder / "images.h5", "w") as target:
        for name, data in files.items():
            target[name] = np.frombuffer(data, np.uint8)


KINDS: dict[str, Callable[[Files, Path], None]] = {
    "loose files": loose,
    "tar": tar,
    "zip, stored": stored_zip,
    "zip, deflated": deflated_zip,
    "Parquet, snappy": parquet,
    "LMDB": lmdb,
    "HDF5": hdf5,
}


def archived_bytes(source: Path, folder: Path, profile: str) -> int:
    """Bytes of payloads and manifest parts; SystemExit if a file does not come back.

    Loose images may come back as other files with the same pixels.
    """
    root, out = folder / "archive", folder / "out"
    _seec("archive", source, root, "--profile", profile, "--jpeg", "seec")
    _seec("restore", root, out)
    for path in () if source.name == LOOSE else source.iterdir():
        if path.read_bytes() != (out / path.name).read_bytes():
            raise SystemExit(f"{path}: comes back as another file")
    held = Store(str(root)).listed()
    return sum(item.size_bytes for item in held if item.name.startswith(("blobs/", "manifest/")))


def _seec(job: str, *arguments: object) -> None:
    command = [sys.executable, "-m", f"seec.jobs.{job}", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def rows(files: Files, profile: str) -> Iterator[Sequence[str]]:
    """For each kind of file: its bytes, those of zstd, ours, and ours against loose files."""
    beside = None
    for kind, pack in KINDS.items():
        with tempfile.TemporaryDirectory() as place:
            source = Path(place) / (LOOSE if pack is loose else "packed")
            source.mkdir()
            pack(files, source)
            data = [path.read_bytes() for path in source.iterdir()]
            packed = sum(len(zstandard.compress(one, 19)) for one in data)
            ours = archived_bytes(source, Path(place), profile)
        beside = beside or ours
        size = sum(map(len, data))
        yield kind, f"{size:,}", f"{packed:,}", f"{ours:,}", f"{100 * ours / beside - 100:+.2f} %"


if __name__ == "__main__":
    images = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_file())
    found = rows({path.name: path.read_bytes() for path in images}, (*sys.argv[2:], "fast")[0])
    for line in table(HEADINGS, found):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
