"""Training of a network with a trunk for luma's AC coefficients, and what it takes beside lite's.

    python -m seec.pipeline.lab.dct.trunk FOLDER... --work DIR --seconds N

samples blocks of the images into files in DIR, unless they are there, trains for N seconds of CPU
in all, from where a checkpoint in DIR ends, and prints bits a value by folder.
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seec.pipeline.dct.packaged import packaged_model
from seec.pipeline.dct.weights import FEATURES, Layer
from seec.pipeline.lab.dct.muon import Muon
from seec.pipeline.lab.dct.networks import SIGN, decisions
from seec.pipeline.lab.dct.priming import Primer, Start
from seec.pipeline.lab.dct.train import split
from seec.pipeline.lab.dct.trunk_network import Shape, TrunkNetwork, code_length
from seec.pipeline.lab.dct.trunk_samples import Batch, BlockSamples, gather

_HELD_BLOCKS, _FEW = 512, 8  # of a batch of the validation split; batches for a first look
_MEAN_BLOCKS = 3000  # that tell what inputs are in the mean
_WARM, _FLOOR = 200, 0.005  # steps until the rate is full; its share at the end
_REPORTS, _SAVED_S, _CUT_STEPS = 20, 120.0, 10


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
                bits = bits_by_source(self.network, few)[-1]
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
        loss = code_length(network(batch), batch).sum() / max(batch.total, 1)
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


def bits_by_source(
    network: TrunkNetwork | Sequence[Layer], batches: Sequence[Batch] | Iterator[Batch]
) -> list[float]:
    """Bits a value of each source, then of all; without those below a magnitude's class.

    network: one with a trunk, or the layers of a packaged one. NaN of a source without values.
    """
    nats, counts = np.zeros(256), np.zeros(256)
    with torch.no_grad():
        for batch in batches:
            cost = (
                code_length(network(batch), batch)[:, 0]
                if isinstance(network, TrunkNetwork)
                else _layers_cost(network, batch)
            )[: batch.total]
            source = batch.source[batch.block[: batch.total]].numpy()
            nats += np.bincount(source, cost.double().numpy(), 256)
            counts += np.bincount(source, minlength=256)
    sources = int(counts.nonzero()[0].max(initial=-1)) + 1
    pairs = [*zip(nats[:sources], counts[:sources], strict=True), (nats.sum(), counts.sum())]
    return [float(n / c) / math.log(2) if c else math.nan for n, c in pairs]


def _layers_cost(layers: Sequence[Layer], batch: Batch) -> Tensor:
    """Nats [n] of what packaged integer layers say of a batch."""
    sums = batch.features[:, :FEATURES].float()
    for number, layer in enumerate(layers):
        # Sums of products of bytes are below 2^24, so that float32 has all of them exactly.
        products = functional.linear(sums, torch.from_numpy(layer.weight).float()).int()
        bias = torch.from_numpy(layer.bias)
        sums = products + bias[batch.position if len(bias) > 1 else 0]
        if number < len(layers) - 1:
            sums = (sums >> 7).clamp(0, 255).float()
    logits = (sums >> 3).clamp(-2047, 2047).float() / 256
    taken, met = decisions(batch.value, batch.known)
    entropy = functional.binary_cross_entropy_with_logits
    return (entropy(logits[:, : SIGN + 1], taken, reduction="none") * met).sum(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder of samples and checkpoint")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float, help="of CPU, in all")
    length.add_argument("--steps", type=int)
    parser.add_argument("--share", type=float, default=0.25, help="of blocks that are sampled")
    parser.add_argument("--blocks", type=int, default=256, help="of a batch")
    parser.add_argument("--no-own", action="store_true", help="hide the block from the head")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    """The command."""
    arguments = _parse()
    torch.set_num_threads(1)
    arguments.work.mkdir(exist_ok=True)
    lite = packaged_model("lite")
    primer = Primer(Start(lite.linear, {}))
    training, validation = (
        gather(arguments.work, name, primer, images, arguments.folders, arguments.share, _say)
        for name, images in zip(("training", "validation"), split(arguments.folders), strict=True)
    )
    in_steps = arguments.steps is not None
    settings = Settings(
        Shape(own=not arguments.no_own),
        arguments.steps if in_steps else arguments.seconds,
        in_steps,
        arguments.blocks,
    )
    run = Training(settings, training, arguments.work / "trunk.pt")
    network = run.run(validation, _say)
    network.dtype = torch.float32  # in which whole numbers are exact
    found = bits_by_source(network, _held(validation))
    packaged = bits_by_source(lite.networks["luma.ac"], _held(validation))
    _say("| | trunk | lite |\n| --- | --- | --- |")
    names = [*(str(folder) for folder in arguments.folders), "all"]
    names = names[: len(found) - 1] + names[-1:]
    for name, bits, other in zip(names, found, packaged, strict=True):
        _say(f"| {name} | {bits:.4f} | {other:.4f} |")


if __name__ == "__main__":
    main()
