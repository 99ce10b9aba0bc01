"""Archives as data sets of PyTorch: order, shares, labels, crops, and going on where one was."""

import multiprocessing
import pickle
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import seec
from seec.torch import ArchiveDataset, IterableArchiveDataset, Paths
from tests.archives import life
from tests.pictures import textured

FILES = 23


def path_of(path: str) -> str:
    """A label that says which file it is."""
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 23 pictures in two folders, gray and RGB and with a palette, and a table."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(FILES):
        pixels = textured(16 + number % 3, 20, number)
        if number == 7:  # stored, since no codec makes noise smaller
            pixels = np.random.default_rng(number).integers(256, size=pixels.shape, dtype=np.uint8)
        image = Image.fromarray(pixels)
        if number % 5 == 1:
            image = image.convert("L")
        if number % 5 == 2:
            image = image.quantize(200)
        name = folder / "source" / ("cats" if number % 2 else "dogs") / f"{number:02d}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        image.save(name)
    (folder / "source" / "labels.csv").write_text("a,b\n")
    life.archive(folder / "source", folder / "archive", shard_files=6)
    return folder / "archive"


def paths_in(loader: Any) -> list[str]:
    """What came out of a loader whose labels are paths, batch by batch."""
    return [path for _, paths in loader for path in paths]


def test_items_are_images_by_index_with_labels(root: Path) -> None:
    archive = seec.open(str(root))
    data = ArchiveDataset(str(root), labels="folder")
    assert len(data) == FILES
    assert data.classes == ["cats", "dogs"]
    for index, path in enumerate(data.paths):
        image, label = data[index]
        assert image.dtype == torch.uint8
        assert image.shape[0] == 3
        assert data.classes[label] == path.partition("/")[0]
        assert np.array_equal(image.permute(1, 2, 0).numpy(), archive.pixels(path, mode="RGB"))
        assert Image.fromarray(archive.pixels(path, mode="RGB")).mode == "RGB"
    with pytest.raises(IndexError):
        data[FILES]
    with pytest.raises(ValueError, match="no file is wanted"):
        ArchiveDataset(str(root), ["*.jpg"])


@pytest.mark.parametrize("form", ["tensor", "array", "image", "bytes"])
def test_items_come_in_the_form_that_was_asked_for(root: Path, form: Any) -> None:
    archive = seec.open(str(root))
    data = ArchiveDataset(archive, ["dogs/*"], form=form, mode="L", transform=lambda item: [item])
    [item] = data[3]
    pixels = archive.pixels(data.paths[3], mode="L")
    if form == "bytes":
        assert item == archive.read(data.paths[3])
    elif form == "image":
        assert item.mode == "L"
        assert np.array_equal(np.asarray(item), pixels)
    else:
        assert np.array_equal(np.asarray(item).reshape(pixels.shape), pixels)
        assert tuple(item.shape) == ((1, *pixels.shape) if form == "tensor" else pixels.shape)


def test_crops_lie_where_seed_and_epoch_say(root: Path) -> None:
    data = ArchiveDataset(str(root), crop=(8, 12), form="array", seed=3)
    whole = ArchiveDataset(str(root), form="array")

    def crops() -> list[Any]:
        return [data[index] for index in range(FILES)]

    assert "store" in {data.archive.row(path).route for path in data.paths}
    first = crops()
    assert all(np.array_equal(one, two) for one, two in zip(first, crops(), strict=True))
    data.set_epoch(1)
    moved = sum(not np.array_equal(a, b) for a, b in zip(first, crops(), strict=True))
    assert moved > FILES // 2
    for index, crop in enumerate(first):
        assert crop.shape == (8, 12, 3)
        windows = np.lib.stride_tricks.sliding_window_view(whole[index], (8, 12, 3))
        assert (windows == crop).all(axis=(-1, -2, -3)).any()
    with pytest.raises(ValueError, match="cannot be cut"):
        ArchiveDataset(str(root), crop=(19, 8))[0]
    with pytest.raises(ValueError, match="goes with pixels"):
        ArchiveDataset(str(root), crop=4, form="bytes")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_order_is_that_of_seed_and_epoch_for_any_number_of_workers(
    root: Path, workers: int
) -> None:
    data = IterableArchiveDataset(str(root), batch_size=4, labels=path_of, crop=8, seed=5)
    loader = DataLoader(data, batch_size=4, num_workers=workers)
    expected = [[data.files.paths[at] for at in data.order(epoch)] for epoch in range(2)]
    assert expected[0] != expected[1]
    assert sorted(expected[0]) == sorted(expected[1]) == sorted(data.files.paths)
    for epoch in range(2):
        data.set_epoch(epoch)
        assert paths_in(loader) == expected[epoch]
    assert len(loader) == 6
    again = IterableArchiveDataset(str(root), seed=5)
    assert np.array_equal(again.order(1), data.order(1))
    assert not np.array_equal(IterableArchiveDataset(str(root), seed=6).order(1), data.order(1))
    in_order = IterableArchiveDataset(str(root), shuffle=False, batch_size=4)
    assert in_order.order().tolist() == list(range(FILES))


def test_the_order_is_the_same_for_ever(root: Path) -> None:
    data = IterableArchiveDataset(str(root), seed=5)
    assert data.order(2).tolist() == [
        *[8, 19, 6, 21, 20, 17, 22, 16, 2, 15, 3, 10],
        *[9, 0, 4, 7, 13, 1, 18, 12, 11, 5, 14],
    ]


@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_share_the_files(root: Path, drop_last: bool) -> None:
    ranks = [
        IterableArchiveDataset(str(root), rank=rank, world_size=4, drop_last=drop_last)
        for rank in range(4)
    ]
    orders = [data.order().tolist() for data in ranks]
    assert (
        {len(order) for order in orders} == {len(data) for data in ranks} == {5 + (not drop_last)}
    )
    taken = [index for order in orders for index in order]
    assert len(set(taken)) == (20 if drop_last else FILES)
    assert len(taken) - len(set(taken)) == (0 if drop_last else 1)
    with pytest.raises(ValueError, match="rank 4 of 4"):
        IterableArchiveDataset(str(root), rank=4, world_size=4)


def _report_share(root: Path, rank: int, store: Path, queue: Any) -> None:
    """What a process of a group of two is given."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    data = IterableArchiveDataset(str(root), seed=4)
    queue.put((data.rank, data.world_size, data.order().tolist()))
    torch.distributed.destroy_process_group()


def test_a_process_group_says_which_share_it_is(root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    group = [
        context.Process(target=_report_share, args=(root, rank, tmp_path / "store", queue))
        for rank in range(2)
    ]
    for process in group:
        process.start()
    shares = {rank: (size, order) for rank, size, order in (queue.get() for _ in group)}
    for process in group:
        process.join(60)
    for rank in range(2):
        expected = IterableArchiveDataset(str(root), seed=4, rank=rank, world_size=2)
        assert shares[rank] == (2, expected.order().tolist())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_plain_loader_goes_on_after_so_many_samples(root: Path, workers: int) -> None:
    def loader(data: IterableArchiveDataset) -> Any:
        return DataLoader(data, batch_size=4, num_workers=workers)

    data = IterableArchiveDataset(str(root), batch_size=4, labels=path_of, crop=8, seed=1)
    data.set_epoch(3)
    expected = paths_in(loader(data))
    begun = [path for _, paths in islice(loader(data), 3) for path in paths]
    state = pickle.loads(pickle.dumps(data.state_dict(samples=len(begun))))  # noqa: S301
    other = IterableArchiveDataset(str(root), batch_size=4, labels=path_of, crop=8, seed=1)
    other.load_state_dict(state)
    other.set_epoch(3)  # as a loop over epochs does, which begins with that of the state
    assert begun + paths_in(loader(other)) == expected
    other.set_epoch(4)
    assert len(paths_in(loader(other))) == FILES
    with pytest.raises(ValueError, match="of commit"):
        other.load_state_dict({**state, "commit": 1})


@pytest.mark.filterwarnings("ignore")  # torchdata 0.11 calls what torch 2.13 deprecates
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_goes_on_where_it_was(root: Path, workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader")

    def loader() -> Any:
        data = IterableArchiveDataset(str(root), batch_size=4, labels=path_of, crop=8, seed=1)
        return stateful.StatefulDataLoader(data, batch_size=4, num_workers=workers)

    expected = paths_in(loader())
    one = loader()
    begun = [path for _, paths in islice(one, 3) for path in paths]
    state = one.state_dict()
    other = loader()
    other.load_state_dict(state)
    assert begun + paths_in(other) == expected


def test_workers_that_live_on_learn_of_the_epoch(root: Path) -> None:
    data = IterableArchiveDataset(str(root), batch_size=4, labels=path_of, crop=8)
    loader = DataLoader(data, batch_size=4, num_workers=2, persistent_workers=True)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        assert paths_in(loader) == [data.files.paths[at] for at in data.order(epoch)]


def test_a_map_style_set_serves_workers_that_are_spawned(root: Path, tmp_path: Path) -> None:
    data = ArchiveDataset(str(root), labels=path_of, crop=8, cache=tmp_path / "cache")
    loader = DataLoader(
        data, batch_size=6, num_workers=2, shuffle=True, multiprocessing_context="spawn"
    )
    assert sorted(paths_in(loader)) == list(data.paths)


def test_paths_are_a_sequence() -> None:
    names = ["a", "ä/ö.png", "", "z" * 300]
    paths = Paths(names)
    assert list(paths) == names
    assert (paths[-1], paths[1:3]) == (names[-1], names[1:3])
    assert len(Paths([])) == 0


def test_without_torch_the_extra_is_named() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport seec.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'seec-archive[torch]'" in done.stderr
