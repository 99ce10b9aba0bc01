"""A classifier trained from an archive in a bucket, stopped in the middle, and gone on with."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from seec.jobs import archive as archive_job
from seec.torch import IterableArchiveDataset
from tests.faults import points

FILES, BATCH, SIZE, EPOCHS = 60, 5, 16, 2


@pytest.fixture(scope="module")
def url(s3_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pictures in two folders: rows that become brighter downwards, and those that do not."""
    source = tmp_path_factory.mktemp("classes")
    noise = np.random.default_rng(7)
    for number in range(FILES):
        ramp = np.linspace(40, 200, SIZE + 4).astype(np.uint8)[:, None, None]
        pixels = np.broadcast_to(ramp if number % 2 else ramp[::-1], (SIZE + 4, SIZE + 4, 3))
        pixels = pixels + noise.integers(30, size=pixels.shape, dtype=np.uint8)
        target = source / ("down" if number % 2 else "up") / f"{number:02d}.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(target)
    target = f"{s3_url}/classes"
    points.archive_in_process(
        archive_job.Settings(str(source), target, model=points.MODEL, shard_files=16)
    )
    return target


class Stopped(NamedTuple):
    """What a job writes to disk: weights, those of the optimiser, and where it was."""

    model: dict[str, Any]
    optimiser: dict[str, Any]
    data: dict[str, int]


class Job:
    """A training loop as users write it. seen: paths in the order in which they were used."""

    def __init__(self, url: str) -> None:
        torch.manual_seed(1)
        self.data = IterableArchiveDataset(
            url,
            batch_size=BATCH,
            seed=11,
            crop=SIZE,
            labels=lambda path: (path, float(path.startswith("down"))),
        )
        self.loader = DataLoader(self.data, batch_size=BATCH, num_workers=4)
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 1))
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.5)
        self.seen: list[str] = []
        self.losses: list[float] = []

    def load(self, state: Stopped) -> None:
        self.model.load_state_dict(state.model)
        self.optimiser.load_state_dict(state.optimiser)
        self.data.load_state_dict(state.data)

    def run(self, stop_after: int | None = None) -> Stopped | None:
        """Train to the end of the last epoch, or stop after so many batches of this call."""
        batches = 0
        for epoch in range(self.data.epoch, EPOCHS):
            self.data.set_epoch(epoch)
            done = self.data.state_dict()["start"]
            for images, (paths, labels) in self.loader:
                self._step(images, labels)
                self.seen += paths
                done += len(paths)
                batches += 1
                if batches == stop_after:
                    return Stopped(
                        self.model.state_dict(),
                        self.optimiser.state_dict(),
                        self.data.state_dict(samples=done),
                    )
        return None

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        scores = self.model(images.float() / 255 - 0.5)[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(scores, labels.float())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.losses.append(float(loss.detach()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
def test_two_epochs_stopped_in_the_middle_are_two_epochs(url: str, tmp_path: Path) -> None:
    whole = Job(url)
    assert whole.run() is None
    assert len(whole.seen) == EPOCHS * FILES
    assert whole.seen[:FILES] != whole.seen[FILES:]
    assert sorted(whole.seen[:FILES]) == sorted(whole.seen[FILES:])
    assert np.mean(whole.losses[-6:]) < 0.5 * np.mean(whole.losses[:3])

    first = Job(url)
    per_epoch = FILES // BATCH
    state = first.run(stop_after=per_epoch + 5)  # in the second epoch
    torch.save(state._asdict() if state else {}, tmp_path / "checkpoint")
    second = Job(url)
    second.load(Stopped(**torch.load(tmp_path / "checkpoint")))
    assert second.run() is None
    assert first.seen + second.seen == whole.seen
    for name, weights in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], weights), name
