"""A network of luma's AC coefficients with a trunk, which is run once for a block.

The trunk sees the block's surroundings, and hands each position a few numbers. A head is run for
each coefficient; it sees these, the coefficient's bytes and what is known of the block.
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from seec.pipeline.dct.weights import (
    HEAD_OUTPUTS,
    POSITIONS,
    SHARED,
    TRUNK,
    TRUNK_LAYERS,
    Layer,
)
from seec.pipeline.lab.dct.integers import BYTE, HIDDEN, OUTPUT, IntegerNetwork, rounded
from seec.pipeline.lab.dct.networks import LEAST, SIGN, decisions
from seec.pipeline.lab.dct.trunk_samples import HEAD, Batch

# Signed bytes are half as fine as magnitude bytes. They count twice, and their weights are twice
# as fine, so that all products are in the same unit.
_SIGNED = 2
_SIGNED_TRUNK = (slice(0, 256), slice(704, 768), slice(976, TRUNK))
# Logits: zero; magnitudes of what is positive; sign; magnitudes of what is negative; the first bit
# below classes 4 to 8 of what is positive and of what is negative.
_MAGNITUDES, _BELOW = SIGN - 1, 5
OUTPUTS = 1 + 2 * _MAGNITUDES + 1 + 2 * _BELOW
_FIRST_BELOW = 4
_MIDDLE = (6, 9, 15, 27, 51)  # from where that bit is 1


@dataclass(frozen=True)
class Shape:
    """Sizes of hidden layers."""

    trunk: tuple[int, int] = (192, 192)
    head: tuple[int, int] = (256, 64)


class TrunkNetwork(IntegerNetwork):
    """Layers by name; inputs count from the rounded means of a batch, which biases can hold."""

    trunk_unit: Tensor
    trunk_mean: Tensor
    head_mean: Tensor

    def __init__(self, shape: Shape, batch: Batch) -> None:
        super().__init__()
        trunk, head = shape.trunk, shape.head
        scale = torch.ones(TRUNK)
        for part in _SIGNED_TRUNK:
            scale[part] = _SIGNED
        self.register_buffer("trunk_unit", scale * HIDDEN)
        self.register_buffer("trunk_mean", batch.trunk.float().mean(0).round())
        self.register_buffer("head_mean", batch.features.float().mean(0).round())

        def weights(*sizes: int, spread: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*sizes) * spread)

        def biases(*sizes: int, start: float = 0.0) -> nn.Parameter:
            return nn.Parameter(torch.full(sizes, start))

        self.trunk_first = weights(trunk[0], TRUNK, spread=0.05)
        self.trunk_first_bias = biases(trunk[0], start=0.3)
        self.trunk_second = weights(trunk[1], trunk[0], spread=1 / math.sqrt(trunk[0]))
        self.trunk_second_bias = biases(trunk[1], start=0.2)
        self.share = weights(POSITIONS, SHARED, trunk[1], spread=1 / math.sqrt(trunk[1]))
        self.share_bias = biases(POSITIONS * SHARED, start=0.3)
        self.head_first = weights(head[0], HEAD + SHARED + 2 * POSITIONS, spread=0.1)
        self.head_first_bias = biases(head[0], POSITIONS, start=0.3)
        self.head_second = weights(head[1], head[0], spread=1 / math.sqrt(head[0]))
        self.head_second_bias = biases(head[1])
        self.head_third = weights(OUTPUTS, head[1], spread=0.1)
        self.head_third_bias = biases(OUTPUTS, POSITIONS)

    @torch.no_grad()
    def export(self) -> dict[str, Layer]:
        """The layers as integers, by name.

        Inputs of `trunk_first` are bytes as they are, TRUNK of them. Those of `head_first` are
        HEAD bytes, what the trunk hands over, and of what is known of the block signed bytes less
        128, then magnitude bytes. Rows of `share` are those of position 0, then of position 1.
        Sums of all layers but `head_third` become bytes by >> 7 and a cut to 0..255; those of
        `head_third` become logits in 1/256 by >> 3, the first OUTPUTS of them.
        """
        means = {"trunk_first": self.trunk_mean, "head_first": self.head_mean}
        layers: dict[str, Layer] = {}
        for name, (weight, unit) in zip(TRUNK_LAYERS, self.units(), strict=True):
            near = torch.round(rounded(weight, unit) * unit).flatten(0, -2)
            fine = BYTE * (OUTPUT if name == "head_third" else HIDDEN)
            bias = torch.round(getattr(self, f"{name}_bias") * fine)
            bias = bias.t() if bias.dim() > 1 else bias[None]
            if name == "head_third":
                unused = (0, HEAD_OUTPUTS - OUTPUTS)
                near, bias = functional.pad(near, (0, 0, *unused)), functional.pad(bias, unused)
            if name in means:
                mean = means[name]
                # Exactly: float32 would round such a sum.
                bias = bias - near[:, : len(mean)].double() @ mean.double()
            layers[name] = Layer(
                near.to(torch.int8).numpy(), bias.to(torch.int32).contiguous().numpy()
            )
        return layers

    def forward(self, batch: Batch) -> Tensor:
        """Logits [n, OUTPUTS] float32."""
        first, second, share, head_first, head_second, head_third = self.weights()
        at = torch.zeros(len(batch.position), POSITIONS)
        at.scatter_(1, batch.position[:, None], 1)

        seen = (batch.trunk.float() - self.trunk_mean) * (self.trunk_unit / (HIDDEN * BYTE))
        one = self.as_bytes(functional.linear(seen, first, self._bias("trunk_first")))
        two = self.as_bytes(functional.linear(one, second, self._bias("trunk_second")))
        shared = self.as_bytes(functional.linear(two, share.flatten(0, 1), self._bias("share")))
        shared = shared.view(-1, SHARED)
        columns = [
            (batch.features.float() - self.head_mean) / BYTE,
            shared.index_select(0, batch.block * POSITIONS + batch.position),
            *self._own(batch),
            at,
        ]
        by_position = torch.cat([head_first, self._bias("head_first")], 1)
        one = self.as_bytes(functional.linear(torch.cat(columns, 1), by_position))
        two = self.as_bytes(functional.linear(one, head_second, self._bias("head_second")))
        third = torch.cat([head_third, self._bias("head_third")], 1)
        return functional.linear(torch.cat([two, at], 1), third)

    def _own(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is known of each coefficient's block: signed, then magnitudes; [n, 64] each."""
        known = torch.ones(POSITIONS, POSITIONS).triu(1)
        known = known.index_select(0, batch.position)
        signed = (batch.own[:, 0].float() - 128) * (_SIGNED / BYTE)
        sizes = batch.own[:, 1].float() / BYTE
        return (
            signed.index_select(0, batch.block) * known,
            sizes.index_select(0, batch.block) * known,
        )

    def units(self) -> list[tuple[nn.Parameter, Tensor | int]]:
        """See IntegerNetwork."""
        head = torch.full((self.head_first.shape[1],), HIDDEN)
        head[HEAD + SHARED :][:POSITIONS] *= _SIGNED
        return [
            (self.trunk_first, self.trunk_unit),
            (self.trunk_second, HIDDEN),
            (self.share, HIDDEN),
            (self.head_first, head),
            (self.head_second, HIDDEN),
            (self.head_third, OUTPUT),
        ]

    def _bias(self, layer: str) -> Tensor:
        bias = getattr(self, f"{layer}_bias")
        if self.rounded:
            unit = BYTE * (OUTPUT if layer == "head_third" else HIDDEN)
            bias = bias + (torch.round(bias * unit) / unit - bias).detach()
        return bias


def code_length(logits: Tensor, batch: Batch) -> Tensor:
    """Nats of each coefficient's decisions, then of its first bit below a class: [n, 2]."""
    value = batch.value[:, None]
    positive, sign, negative, below, below_negative = logits[:, 1:].split(
        (_MAGNITUDES, 1, _MAGNITUDES, _BELOW, _BELOW), 1
    )
    chosen = torch.where(value < 0, negative, positive)
    taken, met = decisions(batch.value, batch.known)
    entropy = functional.binary_cross_entropy_with_logits
    each = entropy(torch.cat([logits[:, :1], chosen, sign], 1), taken, reduction="none") * met
    size, least = value.abs(), torch.tensor(LEAST[_FIRST_BELOW:])
    inside = ((size >= least[:-1]) & (size < least[1:])).float()
    bit = (size >= torch.tensor(_MIDDLE)).float()
    bits = entropy(torch.where(value < 0, below_negative, below), bit, reduction="none") * inside
    return torch.stack([each.sum(1), bits.sum(1)], 1)
