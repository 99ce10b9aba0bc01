"""What pixels take as arrays in files of several kinds.

`python -m seec.pipeline.lab.benchmark.arrays FOLDER EDGE COUNT [PROFILE]` cuts COUNT squares of
EDGE x EDGE out of the images of a folder, and keeps them as PNG files and as one array in files of
several kinds, by the libraries that people use. Each is archived, restored and compared. Needs the
packages of the tests.
"""

import io
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.lab.benchmark.within import HEADINGS, Files, Pack, loose, rows


def squares(images: list[Path], edge: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """[edge, edge, 3], each from another place of an image."""
    chance = np.random.default_rng(0)
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in images]
    large = [picture for picture in pictures if min(picture.shape[:2]) >= edge]
    for picture in islice(cycle(large), count):
        y, x = (int(chance.integers(0, full - edge + 1)) for full in picture.shape[:2])
        yield picture[y : y + edge, x : x + edge]


def _array(files: Files) -> NDArray[Any]:
    """The pixels of all files."""
    return np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in files.values()])


def npy(files: Files, folder: Path) -> None:
    """By numpy."""
    np.save(folder / "images.npy", _array(files))


def _hdf5(libver: str = "earliest", **options: Any) -> Pack:
    """One dataset of all images. options: of the dataset; an image a chunk if it says nothing."""

    def write(files: Files, folder: Path) -> None:
        import h5py

        array = _array(files)
        chosen = {"chunks": (1, *array.shape[1:])} | options if options else {}
        with cast(Any, h5py).File(folder / "images.h5", "w", libver=libver) as target:
            target.create_dataset("images", data=array, **chosen)

    return write


def growing(files: Files, folder: Path) -> None:
    """As programs write that get images in batches, into an array that grows, by h5py.

    With the cache that HDF5 had before version 2: chunks are not in their order in the file.
    """
    import h5py

    array = _array(files)
    options: dict[str, Any] = {"libver": "latest", "rdcc_nbytes": 1 << 20, "rdcc_nslots": 521}
    with cast(Any, h5py).File(folder / "images.h5", "w", **options) as target:
        most = (None, *array.shape[1:])
        shape = (0, *array.shape[1:])
        images = target.create_dataset("images", shape, "u1", maxshape=most, compression=4)
        for first in range(0, len(array), 32):
            images.resize(min(first + 32, len(array)), 0)
            images[first:] = array[first : first + 32]


def groups(files: Files, folder: Path) -> None:
    """A dataset for each image, by h5py."""
    import h5py

    with cast(Any, h5py).File(folder / "images.h5", "w", libver="latest") as target:
        for name, image in zip(files, _array(files), strict=True):
            target.create_dataset(name, data=image)


KINDS: dict[str, Pack] = {
    "PNG files": loose,
    "npy": npy,
    "HDF5": _hdf5(),
    "HDF5, an image a chunk, gzip": _hdf5(compression="gzip"),
    "HDF5, the same, shuffled": _hdf5(compression="gzip", shuffle=True),
    "HDF5, chunks of the library's choice, gzip": _hdf5(compression=4, chunks=True),
    "HDF5, the same, latest format": _hdf5("latest", compression=4, chunks=True),
    "HDF5, the same, in parts of 32 images": growing,
    "HDF5, small chunks, gzip": _hdf5("latest", compression=4, chunks=(50, 8, 8, 1)),
    "HDF5, small chunks": _hdf5("latest", chunks=(50, 8, 8, 1)),
    "HDF5, a dataset an image, latest format": groups,
}

if __name__ == "__main__":
    folder, edge, count, *profile = sys.argv[1:]
    found = sorted(path for path in Path(folder).iterdir() if path.is_file())
    pngs: dict[str, bytes] = {}
    for number, square in enumerate(squares(found, int(edge), int(count))):
        sink = io.BytesIO()
        Image.fromarray(square).save(sink, "PNG")
        pngs[f"{number:06d}.png"] = sink.getvalue()
    for line in table(HEADINGS, rows(pngs, (*profile, "lite")[0], kinds=KINDS)):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
