"""The small networks of the coefficient coder, trained on what they will see."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seec.pipeline.dct.weights import FEATURES, POSITIONS, Layer
from seec.pipeline.lab.dct.decision_samples import Decisions, DecisionSamples
from seec.pipeline.lab.dct.integers import BYTE, HIDDEN, OUTPUT, IntegerNetwork
from seec.pipeline.lab.dct.loop import Settings, Training
from seec.pipeline.lab.dct.sampled import bits_a_value, drawn, held

_COARSE = 64  # biases are multiples of this, so that model files are smaller
LEAST = (1, 2, 3, 4, 5, 7, 11, 19, 35, 67)
SIGN = 10
_BATCH, _RATE = 4096, 1e-2
_MEAN = 100_000  # decisions that tell what inputs are in the mean
_HELD, _FEW = 1 << 14, 20  # decisions of a batch of the validation split; batches while training


class Network(IntegerNetwork):
    """Three layers, as the coder computes them once `rounded` is set."""

    def __init__(self, decisions: Decisions, last: bool, hidden: tuple[int, int]) -> None:
        super().__init__()
        first, second = hidden
        outputs = 64 if last else 16
        mean = decisions.features.float().mean(0) / BYTE
        self.first = nn.Parameter(torch.randn(first, FEATURES) * 0.1)
        start = 0.3 - self.first.detach() @ mean
        self.first_bias = nn.Parameter(start.repeat(POSITIONS, 1))
        self.second = nn.Parameter(torch.randn(second, first) / math.sqrt(first))
        self.second_bias = nn.Parameter(torch.zeros(second))
        self.third = nn.Parameter(torch.randn(outputs, second) * 0.1)
        self.third_bias = nn.Parameter(torch.zeros(POSITIONS, outputs))

    def units(self) -> list[tuple[nn.Parameter, Tensor | int]]:
        """See IntegerNetwork."""
        return [(self.first, HIDDEN), (self.second, HIDDEN), (self.third, OUTPUT)]

    def forward(self, features: Tensor, position: Tensor) -> Tensor:
        """Logits [n, outputs]."""
        first, second, third = self.weights()
        one = functional.linear(features.float() / BYTE, first) + self.first_bias[position]
        two = functional.linear(self.as_bytes(one), second, self.second_bias)
        return functional.linear(self.as_bytes(two), third) + self.third_bias[position]

    def export(self, by_position: bool) -> tuple[Layer, ...]:
        """The layers as integers."""

        def layer(weight: Tensor, bias: Tensor, unit: int) -> Layer:
            rows = bias.detach().reshape(-1, len(weight)).numpy()
            rows = rows if by_position else rows[:1]
            near = np.rint(weight.detach().numpy() * unit).clip(-127, 127)
            biases = np.rint(rows * (unit * BYTE / _COARSE)).astype(np.int32) * _COARSE
            return Layer(near.astype(np.int8), biases)

        return (
            layer(self.first, self.first_bias, HIDDEN),
            layer(self.second, self.second_bias, HIDDEN),
            layer(self.third, self.third_bias, OUTPUT),
        )


def code_length(logits: Tensor, coded: Decisions, last: bool) -> Tensor:
    """Nats of each value's decisions: [n]."""
    entropy = functional.binary_cross_entropy_with_logits
    if last:
        total, node = torch.zeros(len(logits)), torch.ones_like(coded.value)
        for bit in range(5, -1, -1):
            taken = (coded.value >> bit) & 1
            logit = logits.gather(1, (node - 1)[:, None])[:, 0]
            total = total + entropy(logit, taken.float(), reduction="none")
            node = 2 * node + taken
        return total
    taken, met = decisions(coded.value, coded.known)
    return (entropy(logits[:, : SIGN + 1], taken, reduction="none") * met).sum(1)


def decisions(value: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Of each value whether it is not zero, its magnitude's classes, its sign.

    value: [n] int64. known: [n] float32, whether zero is ruled out. Returns what was decided, and
    whether the decision was met: both [n, 11] float32.
    """
    size, least = value.abs()[:, None], torch.tensor(LEAST)
    taken = torch.cat([size > 0, size >= least[1:], value[:, None] < 0], 1).float()
    met = torch.cat([1 - known[:, None], (size >= least[:-1]).float(), (size > 0).float()], 1)
    return taken, met


def train(
    training: DecisionSamples,
    validation: DecisionSamples,
    kind: int,
    hidden: tuple[int, int],
    seconds: float,
    checkpoint: Path,
    report: Callable[[str], None],
) -> tuple[Layer, ...]:
    """Train a network for so many seconds of CPU in all; goes on where the checkpoint ends."""
    last = kind % 3 == 0
    settings = Settings(seconds, _RATE)
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    chance = np.random.default_rng(settings.seed)
    network = Network(drawn(training, chance, _MEAN), last, hidden)

    def nats(batch: Decisions) -> Tensor:
        return code_length(network(batch.features, batch.position), batch, last)

    def loss(chance: np.random.Generator) -> Tensor:
        return nats(drawn(training, chance, _BATCH)).mean()

    few = list(held(validation, _HELD, _FEW))
    run = Training(network, loss, settings, checkpoint)
    run.run(lambda: bits_a_value(nats, few), report)
    report(f"{run.step} steps: {bits_a_value(nats, held(validation, _HELD)):.4f} bits")
    return network.export(kind % 3 == 2)
