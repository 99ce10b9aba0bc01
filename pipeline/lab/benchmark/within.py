"""What images take within files of other kinds.

`python -m seec.pipeline.lab.benchmark.within [--keep-file] FOLDER [PROFILE [KIND...]]` packs the
images of a folder in files of several kinds, by the libraries that people pack them with, archives
each by itself, restores it, and compares the bytes. With `--keep-file` loose files come back byte
for byte, too, as those within others always do. KIND: of those in the table; all without any. Needs
the packages of the tests.
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

import numpy as np
import zstandard

from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.storage import Store

HEADINGS = ("images in", "bytes", "zstd -19", "archive", "against loose files")
Files = Mapping[str, bytes]
Pack = Callable[[Files, Path], None]
LOOSE = "loose"


def loose(files: Files, folder: Path) -> None:
    """The files as they are."""
    for name, data in files.items():
        (folder / name).write_bytes(data)


def ustar(files: Files, folder: Path) -> None:
    """A tar of format ustar, by tarfile."""
    _tar(files, folder, tarfile.USTAR_FORMAT)


def gnu_tar(files: Files, folder: Path) -> None:
    """A tar of format GNU, by tarfile."""
    _tar(files, folder, tarfile.GNU_FORMAT)


def pax_tar(files: Files, folder: Path) -> None:
    """A tar of format pax, with headers that this needs, by tarfile."""
    _tar(files, folder, tarfile.PAX_FORMAT, mtime=1_700_000_000.5)


def _tar(files: Files, folder: Path, form: int, mtime: float = 0) -> None:
    with tarfile.open(folder / "images.tar", "w", format=form) as target:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), mtime
            target.addfile(entry, io.BytesIO(data))


def webdataset(files: Files, folder: Path) -> None:
    """A tar of samples with captions, by webdataset."""
    from webdataset.writer import TarWriter

    with cast(Any, TarWriter)(str(folder / "images.tar")) as target:
        for name, data in files.items():
            stem, _, extension = name.partition(".")
            caption = {"caption": f"picture {stem}"}
            target.write({"__key__": stem, extension: data, "json": caption})


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


def npz(files: Files, folder: Path) -> None:
    """An array of bytes for each image, by numpy."""
    arrays: dict[str, Any] = {name: np.frombuffer(data, np.uint8) for name, data in files.items()}
    np.savez(folder / "images.npz", **arrays)


def datasets(files: Files, folder: Path) -> None:
    """Parquet with a column of images, by datasets."""
    from datasets import Dataset, Features, Image, Value, disable_progress_bars

    cast(Any, disable_progress_bars)()
    images = [{"bytes": data, "path": name} for name, data in files.items()]
    columns: dict[str, Any] = {"image": images, "label": list(range(len(images)))}
    kinds = Features({"image": Image(), "label": Value("int64")})
    made = cast(Any, Dataset).from_dict(columns, features=kinds)
    made.to_parquet(str(folder / "images.parquet"))


def tfrecord(files: Files, folder: Path) -> None:
    """Records of examples, by tfrecord."""
    from tfrecord.writer import TFRecordWriter

    writer: Any = cast(Any, TFRecordWriter)(str(folder / "images.tfrecord"))
    for name, data in files.items():
        writer.write({"image": (data, "byte"), "name": (name.encode(), "byte")})
    writer.close()


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

    with cast(Any, h5py).File(folder / "images.h5", "w") as target:
        for name, data in files.items():
            target[name] = np.frombuffer(data, np.uint8)


KINDS: dict[str, Pack] = {
    "loose files": loose,
    "tar, ustar": ustar,
    "tar, GNU": gnu_tar,
    "tar, pax": pax_tar,
    "WebDataset": webdataset,
    "zip, stored": stored_zip,
    "zip, deflated": deflated_zip,
    "npz": npz,
    "Parquet, by pyarrow": parquet,
    "Parquet, by datasets": datasets,
    "TFRecord": tfrecord,
    "LMDB": lmdb,
    "HDF5": hdf5,
}


def archived_bytes(source: Path, folder: Path, profile: str, keep: str) -> int:
    """Bytes of payloads and manifest parts; SystemExit if a file does not come back.

    keep: as of `seec archive`: whether loose images come back as the same files.
    """
    root, out = folder / "archive", folder / "out"
    _seec("archive", source, root, "--profile", profile, "--jpeg", "seec", "--keep", keep)
    _seec("restore", root, out)
    for path in () if source.name == LOOSE and keep == "pixels" else source.iterdir():
        if path.read_bytes() != (out / path.name).read_bytes():
            raise SystemExit(f"{path}: comes back as another file")
    held = Store(str(root)).listed()
    return sum(item.size_bytes for item in held if item.name.startswith(("blobs/", "manifest/")))


def _seec(job: str, *arguments: object) -> None:
    command = [sys.executable, "-m", f"seec.jobs.{job}", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def rows(
    files: Files, profile: str, keep: str = "pixels", kinds: Mapping[str, Pack] = KINDS
) -> Iterator[Sequence[str]]:
    """For each kind of file: its bytes, those of zstd, ours, and ours against loose files.

    kinds: the first of them is that of loose files.
    """
    beside = None
    for kind, pack in kinds.items():
        with tempfile.TemporaryDirectory() as place:
            source = Path(place) / (LOOSE if pack is loose else "packed")
            source.mkdir()
            pack(files, source)
            data = [path.read_bytes() for path in source.iterdir()]
            packed = sum(len(zstandard.compress(one, 19)) for one in data)
            ours = archived_bytes(source, Path(place), profile, keep)
        beside = beside or ours
        size = sum(map(len, data))
        yield kind, f"{size:,}", f"{packed:,}", f"{ours:,}", f"{100 * ours / beside - 100:+.2f} %"


if __name__ == "__main__":
    exact = "file" if "--keep-file" in sys.argv[1:] else "pixels"
    given = [one for one in sys.argv[1:] if not one.startswith("--")]
    images = sorted(path for path in Path(given[0]).iterdir() if path.is_file())
    packed_files = {path.name: path.read_bytes() for path in images}
    chosen = {kind: pack for kind, pack in KINDS.items() if pack is loose or kind in given[2:]}
    found = rows(packed_files, (*given[1:], "fast")[0], exact, chosen if given[2:] else KINDS)
    for line in table(HEADINGS, found):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
