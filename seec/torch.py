"""Archives as data sets of PyTorch: `seec-archive[torch]`.

`ArchiveDataset` is indexed, for samplers of your own. `IterableArchiveDataset` shuffles, shares the
files among ranks and worker processes, and goes on where a run was stopped. Both read an archive as
it lies, on a disk or in a bucket, and decode in the worker processes of a DataLoader.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.patterns import Patterns
from seec.pipeline.extras import needs
from seec.pipeline.reading.archive import OpenedArchive, open_archive
from seec.pipeline.reading.listing import paths_below

with needs("torch", "seec.torch"):
    import torch
    from torch.utils.data import Dataset, IterableDataset, get_worker_info

__all__ = ["ArchiveDataset", "IterableArchiveDataset"]

Form = Literal["tensor", "array", "image", "bytes"]
# What files are taken for images if nothing says which files are wanted.
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".qoi"),
)


_CROP = 1  # tells the numbers of places from those of the order


class ArchiveDataset(Dataset[Any]):
    """The images of an archive, by index, sorted by path.

    An item is what transform makes of the image, or with labels a pair of that and the label.
    paths: of all items; memory holds them once for all processes that are forked. classes: with
    `labels="folder"`, the names of the folders, sorted; a label is an index of them.
    """

    def __init__(
        self,
        archive: str | OpenedArchive,
        include: Sequence[str] = (),
        *,
        form: Form = "tensor",
        mode: str | None = "RGB",
        crop: int | tuple[int, int] | None = None,
        transform: Callable[[Any], Any] | None = None,
        labels: Literal["folder"] | Callable[[str], Any] | None = None,
        seed: int = 0,
        members: bool = False,
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int = 10 << 30,
    ) -> None:
        """archive: a URL, a path, or what `seec.open` gave.

        include: patterns, as of `seec.Archive.paths`; without any, all files whose names end as
        those of images. form: `tensor`, [C, H, W] uint8; `array`, [H, W, C] or [H, W]; `image`, of
        Pillow; `bytes`, the file. mode: of Pillow, to which pixels are converted; None leaves them.
        crop: height and width of a rectangle at a random place, of which alone the tiles are
        decoded; seed and epoch say where. transform: called with the image. labels: `folder`, that
        directly holds the file, or called with the path. members: images within tar, zip or
        Parquet files, too, as of `seec.Archive.paths`. cache, cache_bytes: as of `seec.open`.

        Raises MissingPackage without torch, ValueError if no file is wanted; else as `seec.open`.
        """
        if not isinstance(archive, OpenedArchive):
            archive = open_archive(archive, cache=cache, cache_bytes=cache_bytes)
        if crop is not None and form == "bytes":
            raise ValueError("crop goes with pixels, and form is 'bytes'")
        self.archive, self.form, self.mode, self.seed = archive, form, mode, seed
        self.crop = (crop, crop) if isinstance(crop, int) else crop
        self.transform = transform
        wanted = Patterns(include) if include else _is_image
        if members:
            self.paths = Paths(
                sorted({path for path in archive.paths(members=True) if wanted(path)})
            )
        else:
            self.paths = Paths(paths_below(archive.lookup, wanted=wanted))
        if not len(self.paths):
            raise ValueError(f"{archive.url}: no file is wanted; seec ls {archive.url} lists all")
        self.classes: list[str] = []
        if labels == "folder":
            self.classes = sorted({_folder(path) for path in self.paths})
        self._class_numbers = {name: at for at, name in enumerate(self.classes)}
        self._label_of = labels if callable(labels) else None
        # Epoch, and samples of it that are done: workers that live on see what becomes of them.
        self._progress = torch.zeros(2, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        """One sample. Raises IndexError; else as `seec.Archive.pixels` or `read`."""
        path = self.paths[index]
        sample = self._load(path, index)
        if self.transform is not None:
            sample = self.transform(sample)
        if self._label_of is not None:
            return sample, self._label_of(path)
        if self.classes:
            return sample, self._class_numbers[_folder(path)]
        return sample

    @property
    def epoch(self) -> int:
        """Which epoch it is."""
        return int(self._progress[0])

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch, whose order and crops are its own; worker processes learn of it, too."""
        if epoch != self.epoch:
            self._progress[1] = 0
        self._progress[0] = epoch

    def _load(self, path: str, index: int) -> Any:
        if self.form == "bytes":
            return self.archive.read(path)
        if self.crop is None:
            pixels = self.archive.pixels(path, mode=self.mode)
        else:
            pixels = self._cropped(path, index, *self.crop)
        if self.form == "array":
            return pixels
        if self.form == "image":
            from PIL import Image

            return Image.fromarray(pixels)
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return torch.from_numpy(np.array(planes))  # of its own: decoded arrays may be read-only

    def _cropped(self, path: str, index: int, height: int, width: int) -> NDArray[Any]:
        """A rectangle at a place that seed, epoch and index decide."""
        image = self.archive.row(path).image
        whole = None
        if image is None:  # a stored file, of whose pictures the archive knows nothing
            whole = self.archive.pixels(path, mode=self.mode)
            high, wide = whole.shape[:2]
        else:
            high, wide = image.height, image.width
        if height > high or width > wide:
            raise ValueError(
                f"{path}: {wide} x {high} pixels, from which {width} x {height} cannot be cut; "
                "give a smaller crop, or none and a transform that resizes"
            )
        place = int(_mixed(np.array([index], np.uint64), self.seed, self.epoch, _CROP)[0])
        x, y = (place >> 32) % (wide - width + 1), (place & 0xFFFFFFFF) % (high - height + 1)
        if whole is not None:
            return whole[y : y + height, x : x + width]
        return self.archive.pixels(path, (x, y, width, height), self.mode)


class IterableArchiveDataset(IterableDataset[Any]):
    """The images of an archive in an order that seed and epoch decide alone.

    The order of a rank is the same for any number of worker processes, if batch_size is that of the
    DataLoader. `set_epoch` begins an epoch; without it, each iteration has the order of epoch 0.
    `state_dict` and `load_state_dict` are those that torchdata's StatefulDataLoader calls in each
    worker; with a plain DataLoader, `state_dict(samples=n)` is the state after so many samples of
    this epoch came out of it.
    """

    def __init__(
        self,
        archive: str | OpenedArchive,
        include: Sequence[str] = (),
        *,
        batch_size: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool = False,
        prefetch: int = 4,
        **options: Any,
    ) -> None:
        """batch_size: of the DataLoader; 1 if it makes no batches.

        shuffle: else sorted by path. rank, world_size: which part of so many; by default those of
        torch.distributed where it is initialised. All ranks have as many samples: some files come
        twice, or with drop_last some do not come. prefetch: how many samples a process reads ahead,
        by threads. archive, include, options: as of `ArchiveDataset`.
        """
        self.files = ArchiveDataset(archive, include, seed=seed, **options)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, and must be positive")
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.drop_last, self.prefetch = drop_last, prefetch
        self.rank, self.world_size = _ranks(rank, world_size)
        self._yielded = 0  # by this process, of the part of an epoch that it was given
        self._skipped = 0

    def __len__(self) -> int:
        """Samples of a rank in an epoch."""
        files, ranks = len(self.files), self.world_size
        return files // ranks if self.drop_last else -(-files // ranks)

    @property
    def classes(self) -> list[str]:
        """As of `ArchiveDataset`."""
        return self.files.classes

    @property
    def epoch(self) -> int:
        """Which epoch it is."""
        return self.files.epoch

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch. The one that a loaded state is of goes on where it was."""
        if epoch != self.epoch:
            self._skipped = 0
        self.files.set_epoch(epoch)

    def state_dict(self, samples: int | None = None) -> dict[str, int]:
        """Where the iteration is; samples: how many of this epoch were used, counted by the caller.

        Without samples, that of this process, for the same number of worker processes.
        """
        start = int(self.files._progress[1])
        state = {"epoch": self.epoch, "commit": self.files.archive.commit}
        if samples is None:
            return state | {"start": start, "yielded": self._yielded}
        return state | {"start": samples, "yielded": 0}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a state. ValueError if it is of another commit of the archive."""
        archive, commit = self.files.archive, state["commit"]
        if commit != archive.commit:
            raise ValueError(
                f"the state is of commit {commit}, and {archive.url} was opened at commit "
                f"{archive.commit}; give seec.open(URL, at={commit})"
            )
        self.files._progress[0], self.files._progress[1] = state["epoch"], state["start"]
        self._yielded = self._skipped = state["yielded"]

    def order(self, epoch: int | None = None) -> NDArray[np.int64]:
        """The indices of this rank's files in an epoch, by default in this one, in order."""
        files = len(self.files)
        numbers = np.arange(files)
        if self.shuffle:
            epoch = self.epoch if epoch is None else epoch
            keys = _mixed(numbers.astype(np.uint64), self.seed, epoch)
            numbers = np.argsort(keys, kind="stable")
        return np.resize(numbers, len(self) * self.world_size)[self.rank :: self.world_size]

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        order = self.order()[int(self.files._progress[1]) :]
        # A DataLoader takes batches from its workers in turn.
        batches = np.arange(len(order)) // self.batch_size
        own = order[batches % workers == number][self._skipped :]
        self._yielded, self._skipped = self._skipped, 0
        samples = map(self.files.__getitem__, map(int, own))
        if self.prefetch:
            threads = min(self.prefetch, 8)
            get = self.files.__getitem__
            samples = each_ahead(get, map(int, own), threads, ahead=self.prefetch)
        for sample in samples:
            self._yielded += 1
            yield sample
        self._yielded = 0


class Paths(Sequence[str]):
    """Paths as one piece of memory, which processes that are forked share."""

    def __init__(self, paths: Sequence[str]) -> None:
        encoded = [path.encode() for path in paths]
        self._text = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        at = index % len(self)
        return self._text[self._ends[at] : self._ends[at + 1]].tobytes().decode()


def _is_image(path: str) -> bool:
    return path.lower().endswith(IMAGE_SUFFIXES)


def _folder(path: str) -> str:
    """The name of the folder that holds a file; empty for files at the top."""
    return path.rpartition("/")[0].rpartition("/")[2]


def _ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    if rank is None and world_size is None:
        group = torch.distributed
        if not (group.is_available() and group.is_initialized()):
            return 0, 1
        return group.get_rank(), group.get_world_size()
    if rank is None or world_size is None or not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of {world_size}: give both, with 0 <= rank < world_size")
    return rank, world_size


def _mixed(numbers: NDArray[np.uint64], *keys: int) -> NDArray[np.uint64]:
    """A number that looks random for each, distinct for distinct ones.

    By SplitMix64, since generators of numpy may change their order some day.
    """
    for key in keys:
        numbers = _split_mix(numbers ^ _split_mix(np.array([key % 2**64], np.uint64)))
    return numbers


def _split_mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
