"""Training of a network with a trunk for luma's AC coefficients."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.dct.weights import TRUNK_LAYERS, Layer
from seec.pipeline.lab.dct.loop import Settings, Training
from seec.pipeline.lab.dct.priming import Primer, Start
from seec.pipeline.lab.dct.trunk_network import Shape, TrunkNetwork, code_length
from seec.pipeline.lab.dct.trunk_samples import Batch, BlockSamples, gather

_BATCH, _RATE = 256, 2e-3
_HELD, _FEW = 512, 8  # blocks of a batch of the validation split; batches while training
_MEAN_BLOCKS = 3000  # that tell what inputs are in the mean
_SHARE = 0.5  # of blocks that are sampled


def make_training(
    settings: Settings, shape: Shape, samples: BlockSamples, checkpoint: Path, batch: int = _BATCH
) -> Training[TrunkNetwork]:
    """A network on its way. batch: its blocks."""
    torch.manual_seed(settings.seed)
    drawn = np.random.default_rng(settings.seed).integers(0, len(samples), _MEAN_BLOCKS)
    network = TrunkNetwork(shape, samples.batch(np.sort(drawn)))

    def loss(chance: np.random.Generator) -> Tensor:
        blocks = samples.batch(np.sort(chance.integers(0, len(samples), batch)))
        return code_length(network(blocks), blocks).sum() / max(len(blocks.value), 1)

    return Training(network, loss, settings, checkpoint)


def held(validation: BlockSamples, each: int = 1) -> Iterator[Batch]:
    """All batches of a split, or each so many of them."""
    for first in range(0, len(validation), each * _HELD):
        yield validation.batch(np.arange(first, min(first + _HELD, len(validation))))


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
    kept = gather(work, "validation", primer, validation, _SHARE, report)
    run = make_training(Settings(seconds, _RATE), Shape(), seen, work / "luma.ac.trunk.pt")
    few = list(held(kept, max(1, len(kept) // (_HELD * _FEW))))
    run.run(lambda: bits_a_value(run.network, few), report)
    layers = run.network.export()
    return tuple(layers[name] for name in TRUNK_LAYERS)
