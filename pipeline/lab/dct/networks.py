"""The small networks of the coefficient coder, trained on what they will see."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seec.pipeline.dct.weights import FEATURES, POSITIONS, Layer

# Units of bytes and of weights; sums of hidden layers are in their product.
BYTE, HIDDEN, OUTPUT = 64, 128, 32
_COARSE = 64  # biases are multiples of this, so that model files are smaller
LEAST = (1, 2, 3, 4, 5, 7, 11, 19, 35, 67)
SIGN = 10
_BATCH, _RATE = 2048, 2e-3


@dataclass(frozen=True)
class Samples:
    """Decisions of one kind: features [n, 64] uint8, position, known_not_zero, value [n]."""

    features: Tensor
    position: Tensor
    known: Tensor
    value: Tensor


def samples_of(sampled: NDArray[np.uint8], kind: int) -> Samples:
    """Of one kind, as `Primer.sample` gives them: 0 last, 1 DC, 2 AC; 3 more for chroma."""
    rows = sampled[sampled[:, FEATURES] == kind]
    value = np.ascontiguousarray(rows[:, FEATURES + 4 :]).view("<i4")[:, 0]
    return Samples(
        torch.from_numpy(np.ascontiguousarray(rows[:, :FEATURES])),
        torch.from_numpy(rows[:, FEATURES + 1].astype(np.int64)),
        torch.from_numpy(rows[:, FEATURES + 2].astype(np.float32)),
        torch.from_numpy(value.astype(np.int64)),
    )


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(_: object, weight: Tensor, unit: float | Tensor) -> Tensor:
        return torch.clamp(torch.round(weight * unit), -127, 127) / unit

    @staticmethod
    def backward(_: object, *slopes: Tensor) -> tuple[Tensor, None]:
        return slopes[0], None


def rounded(weight: Tensor, unit: float | Tensor) -> Tensor:
    """Weights as int8 numbers over a unit hold them; slopes go through as they are."""
    return _Rounded.apply(weight, unit)


class Network(nn.Module):
    """Three layers, as the coder computes them once `rounded` is set."""

    def __init__(self, samples: Samples, last: bool, hidden: tuple[int, int]) -> None:
        super().__init__()
        first, second = hidden
        outputs = 64 if last else 16
        mean = samples.features[:100_000].float().mean(0) / BYTE
        self.first = nn.Parameter(torch.randn(first, FEATURES) * 0.1)
        start = 0.3 - self.first.detach() @ mean
        self.first_bias = nn.Parameter(start.repeat(POSITIONS, 1))
        self.second = nn.Parameter(torch.randn(second, first) / math.sqrt(first))
        self.second_bias = nn.Parameter(torch.zeros(second))
        self.third = nn.Parameter(torch.randn(outputs, second) * 0.1)
        self.third_bias = nn.Parameter(torch.zeros(POSITIONS, outputs))
        self.rounded = False

    def forward(self, features: Tensor, position: Tensor) -> Tensor:
        """Logits [n, outputs]."""
        weights = [self.first, self.second, self.third]
        if self.rounded:
            units = (HIDDEN, HIDDEN, OUTPUT)
            weights = [rounded(w, u) for w, u in zip(weights, units, strict=True)]
        one = functional.linear(features.float() / BYTE, weights[0]) + self.first_bias[position]
        two = functional.linear(self._byte(one), weights[1], self.second_bias)
        return functional.linear(self._byte(two), weights[2]) + self.third_bias[position]

    def _byte(self, sums: Tensor) -> Tensor:
        kept = sums.clamp(0, 255 / BYTE)
        if self.rounded:
            kept = kept + (torch.floor(kept * BYTE) / BYTE - kept).detach()
        return kept

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


def code_length(logits: Tensor, samples: Samples, last: bool) -> Tensor:
    """Nats of each sample's decisions: [n]."""
    entropy = functional.binary_cross_entropy_with_logits
    if last:
        total, node = torch.zeros(len(logits)), torch.ones_like(samples.value)
        for bit in range(5, -1, -1):
            taken = (samples.value >> bit) & 1
            logit = logits.gather(1, (node - 1)[:, None])[:, 0]
            total = total + entropy(logit, taken.float(), reduction="none")
            node = 2 * node + taken
        return total
    taken, met = decisions(samples.value, samples.known)
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
    training: Samples,
    validation: Samples,
    kind: int,
    hidden: tuple[int, int],
    seconds: float,
    checkpoint: Path,
    report: Callable[[str], None],
) -> tuple[Layer, ...]:
    """Train a network for so many seconds of CPU in all; goes on where the checkpoint ends."""
    last = kind % 3 == 0
    network = Network(training, last, hidden)
    biases = [network.first_bias, network.third_bias]
    others = [p for p in network.parameters() if all(p is not b for b in biases)]
    steps = torch.optim.Adam([{"params": others}, {"params": biases}], lr=_RATE, betas=(0.9, 0.99))
    before, step = 0.0, 0
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(kept["network"])
        steps.load_state_dict(kept["steps"])
        before, step = kept["done"], kept["step"]

    def save(done: float) -> None:
        states = {"network": network.state_dict(), "steps": steps.state_dict()}
        part = checkpoint.with_suffix(".part")
        torch.save({**states, "done": done, "step": step}, part)
        part.replace(checkpoint)

    began, reported = time.process_time(), before
    while (done := before + (time.process_time() - began) / seconds) < 1:
        rate = _RATE * min(1, (step + 1) / 100) * (0.01 + 0.99 * math.cos(math.pi * done / 2) ** 2)
        steps.param_groups[0]["lr"], steps.param_groups[1]["lr"] = rate, 2 * rate
        network.rounded = done > 0.4
        chosen = torch.randint(len(training.value), (_BATCH,))
        loss = code_length(*_run(network, training, chosen), last).mean()
        steps.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        steps.step()
        step += 1
        if done - reported > 0.1:
            reported = done
            save(done)
            report(f"{step} steps, {100 * done:.0f} %: {_bits(network, validation, last):.4f} bits")
    network.rounded = True
    save(1.0)
    report(f"{step} steps: {_bits(network, validation, last):.4f} bits")
    return network.export(kind % 3 == 2)


def _run(network: Network, samples: Samples, chosen: Tensor) -> tuple[Tensor, Samples]:
    part = Samples(
        samples.features[chosen],
        samples.position[chosen],
        samples.known[chosen],
        samples.value[chosen],
    )
    return network(part.features, part.position), part


def _bits(network: Network, samples: Samples, last: bool) -> float:
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(samples.value), 1 << 16):
            chosen = torch.arange(start, min(start + (1 << 16), len(samples.value)))
            total += code_length(*_run(network, samples, chosen), last).sum().item()
    return total / max(len(samples.value), 1) / math.log(2)
