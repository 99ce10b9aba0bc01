"""Training of a network with a trunk for luma's AC coefficients."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.dct.weights import TRUNK_LAYERS, Layer
from seec.pipeline.lab.dct.loop import Settings, Training
from seec.pipeline.lab.dct.priming import Primer, Start
from seec.pipeline.lab.dct.sampled import bits_a_value, drawn, held
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
    chance = np.random.default_rng(settings.seed)
    network = TrunkNetwork(shape, drawn(samples, chance, _MEAN_BLOCKS))

    def loss(chance: np.random.Generator) -> Tensor:
        blocks = drawn(samples, chance, batch)
        return code_length(network(blocks), blocks).sum() / max(len(blocks.value), 1)

    return Training(network, loss, settings, checkpoint)


def code_lengths(network: TrunkNetwork, blocks: Batch) -> Tensor:
    """Nats of each value, without those below a magnitude's class: [n]."""
    return code_length(network(blocks), blocks)[:, 0]


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
    few = list(held(kept, _HELD, _FEW))
    run.run(lambda: bits_a_value(partial(code_lengths, run.network), few), report)
    layers = run.network.export()
    return tuple(layers[name] for name in TRUNK_LAYERS)
