"""Training of a network with a trunk for luma's AC coefficients."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seec.pipeline.dct.weights import TRUNK_LAYERS, Layer
from seec.pipeline.lab.dct.muon import Muon
from seec.pipeline.lab.dct.priming import Primer, Start
from seec.pipeline.lab.dct.trunk_network import Shape, TrunkNetwork, code_length
from seec.pipeline.lab.dct.trunk_samples import Batch, BlockSamples, gather

_HELD_BLOCKS, _FEW = 512, 8  # of a batch of the validation split; batches for a first look
_MEAN_BLOCKS = 3000  # that tell what inputs are in the mean
_WARM, _FLOOR = 200, 0.005  # steps until the rate is full; its share at the end
_REPORTS, _SAVED_S, _CUT_STEPS = 20, 120.0, 10
_SHARE = 0.5  # of blocks that are sampled


@dataclass(frozen=True)
class Settings:
    """How to train.

    length: of all training, in seconds of CPU or in steps. blocks: of a batch. rounded_from: from
    this share of all training on the network computes what integers do.
    """

    shape: Shape
    length: float
    in_steps: bool = False
    blocks: int = 256
    rate: float = 2e-3
    rounded_from: float = 0.6
    seed: int = 1


class Training:
    """A network on its way; `run` goes on where the checkpoint ends."""

    def __init__(self, settings: Settings, training: BlockSamples, checkpoint: Path) -> None:
        torch.manual_seed(settings.seed)
        self._settings, self._training, self._checkpoint = settings, training, checkpoint
        drawn = np.random.default_rng(settings.seed).integers(0, len(training), _MEAN_BLOCKS)
        self.network = TrunkNetwork(settings.shape, training.batch(np.sort(drawn)))
        biases, matrices = self.network.biases(), self.network.matrices()
        groups = [{"params": [self.network.head_third]}, {"params": biases}]
        self._adam = torch.optim.AdamW(
            groups, lr=settings.rate, betas=(0.9, 0.99), weight_decay=0.0
        )
        self._muon = Muon(matrices, settings.rate)
        self.step, self._spent_s = 0, 0.0
        if checkpoint.exists():
            self._load()

    def run(self, validation: BlockSamples, report: Callable[[str], None]) -> TrunkNetwork:
        """Train to the end; report takes lines with bits a value of the validation split."""
        few = list(_held(validation, max(1, len(validation) // (_HELD_BLOCKS * _FEW))))
        saved = now = time.process_time()
        reported = int(self._done() * _REPORTS)
        while self._done() < 1:
            self._move()
            began, now = now, time.process_time()
            self._spent_s += now - began
            if now - saved > _SAVED_S:
                self._save()
                saved = now
            if int(self._done() * _REPORTS) > reported:
                reported = int(self._done() * _REPORTS)
                bits = bits_a_value(self.network, few)
                report(f"{self.step} steps, {self._spent_s:.0f} s: {bits:.4f} bits")
                now = time.process_time()
        self.network.rounded = True
        self._save()
        return self.network

    def _done(self) -> float:
        s = self._settings
        return (self.step if s.in_steps else self._spent_s) / s.length

    def _move(self) -> None:
        s, network, done = self._settings, self.network, self._done()
        network.rounded = done >= s.rounded_from
        cosine = _FLOOR + (1 - _FLOOR) * math.cos(math.pi * done / 2) ** 2
        rate = s.rate * min(1, (self.step + 1) / _WARM) * cosine
        weights, biases = self._adam.param_groups
        weights["lr"] = self._muon.param_groups[0]["lr"] = rate
        biases["lr"] = 2 * rate
        # By the step alone, so that a run that was cut short sees the blocks that it would have.
        drawn = np.random.default_rng((s.seed, self.step))
        batch = self._training.batch(np.sort(drawn.integers(0, len(self._training), s.blocks)))
        loss = code_length(network(batch), batch).sum() / max(len(batch.value), 1)
        network.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        self._adam.step()
        self._muon.step()
        if self.step % _CUT_STEPS == 0:
            network.keep_in_range()
        self.step += 1

    def _save(self) -> None:
        part = self._checkpoint.with_suffix(".part")
        states = {
            "network": self.network.state_dict(),
            "adam": self._adam.state_dict(),
            "muon": self._muon.state_dict(),
            "shape": asdict(self._settings.shape),
            "step": self.step,
            "spent_s": self._spent_s,
        }
        torch.save(states, part)
        part.replace(self._checkpoint)

    def _load(self) -> None:
        kept = torch.load(self._checkpoint, weights_only=True)
        if kept["shape"] != asdict(self._settings.shape):
            raise ValueError(f"{self._checkpoint} is of another shape: {kept['shape']}")
        self.network.load_state_dict(kept["network"])
        self._adam.load_state_dict(kept["adam"])
        self._muon.load_state_dict(kept["muon"])
        self.step, self._spent_s = kept["step"], kept["spent_s"]


def _held(validation: BlockSamples, each: int = 1) -> Iterator[Batch]:
    """All batches of a split, or each so many of them."""
    for first in range(0, len(validation), each * _HELD_BLOCKS):
        yield validation.batch(np.arange(first, min(first + _HELD_BLOCKS, len(validation))))


def bits_a_value(network: TrunkNetwork, batches: Iterable[Batch]) -> float:
    """Bits a value, without those below a magnitude's class."""
    nats = count = 0.0
    with torch.no_grad():
        for batch in batches:
            cost = code_length(network(batch), batch)[:, 0]
            nats, count = nats + cost.double().sum().item(), count + len(cost)
    return nats / max(count, 1) / math.log(2)


def train_trunk(
    work: Path,
    linear: NDArray[np.int16],
    training: Sequence[Path],
    validation: Sequence[Path],
    seconds: float,
    report: Callable[[str], None],
) -> tuple[Layer, ...]:
    """The layers of a network of luma's AC, of TRUNK_LAYERS.

    work: where samples of images and a checkpoint are, or will be. linear: predictions of the
    model. seconds: of CPU, in all. UnreadableImage if no image can be read.
    """
    torch.set_num_threads(1)
    primer = Primer(Start(linear, {}))
    seen = gather(work, "training", primer, training, _SHARE, report)
    held = gather(work, "validation", primer, validation, _SHARE, report)
    run = Training(Settings(Shape(), seconds), seen, work / "luma.ac.trunk.pt")
    layers = run.run(held, report).export()
    return tuple(layers[name] for name in TRUNK_LAYERS)
