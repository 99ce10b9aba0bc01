"""The trainable SEEC networks, in floats that hold exactly the decoder's integers.

Every layer rounds its weights and activations as the integer decoder does, with
straight-through gradients, so the network that is trained is the network that runs.
All values are the decoder's integers divided by a power of two.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import torch
from torch import Tensor, nn

from pipeline.codec.profile import (
    HIDDEN_BITS,
    HIDDEN_LIMIT,
    INPUT_BITS,
    INPUTS,
    LEAK_SHIFT,
    OUTPUT_BITS,
    WEIGHT_BITS_RANGE,
    WEIGHT_LIMIT,
    Profile,
)


def straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    """Forward `rounded`, backward the gradient of `value`."""
    return value + (rounded - value).detach()


def row_bits(weight: Tensor) -> Tensor:
    """Fractional bits of each weight row: as many as keep the row inside int8.

    weight: [..., out, in] float. Returns [..., out, 1] float, whole numbers.
    """
    largest = weight.detach().abs().amax(-1, keepdim=True).clamp_min(1e-9)
    return torch.floor(torch.log2((WEIGHT_LIMIT + 0.49) / largest)).clamp(*WEIGHT_BITS_RANGE)


def quantise_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (int8-valued weights as float integers, fractional bits per row)."""
    bits = row_bits(weight)
    return (weight * 2**bits).round().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT), bits


class _Snap(torch.autograd.Function):
    """Round half up to multiples of 1 / grid, then clamp; straight-through inside."""

    @staticmethod
    def forward(ctx, y: Tensor, grid: float, limit: float) -> Tensor:  # type: ignore[override]
        snapped = (y * grid + 0.5).floor_().mul_(1 / grid)
        ctx.save_for_backward(snapped.abs() <= limit)
        return snapped.clamp_(-limit, limit)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (inside,) = ctx.saved_tensors
        return grad * inside, None, None


class IntegerLinear(nn.Module):
    """A 1 x 1 layer: int8 weights, integer inputs, a rounding shift, a clamp.

    groups > 1 stacks that many independent layers (one per expert).
    """

    def __init__(self, inputs: int, outputs: int, in_bits: int, out_bits: int, groups: int):
        super().__init__()
        self.in_bits, self.out_bits = in_bits, out_bits
        self.weight = nn.Parameter(torch.randn(groups, outputs, inputs) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(groups, outputs))

    def forward(self, x: Tensor, group: int = 0) -> Tensor:
        """x: [pixels, inputs]. Returns [pixels, outputs]."""
        integers, bits = quantise_weight(self.weight[group])
        weight = straight_through(self.weight[group], integers * 2**-bits)
        unit = 2 ** (bits[:, 0] + self.in_bits)
        bias = straight_through(self.bias[group], (self.bias[group] * unit).round() / unit)
        y = nn.functional.linear(x, weight, bias)
        grid = 2**self.out_bits
        return _Snap.apply(y, grid, HIDDEN_LIMIT / grid)  # type: ignore[no-any-return]


class _Leak(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(y)
        grid = 2**HIDDEN_BITS
        low = torch.floor(y * (grid / 2**LEAK_SHIFT)) * (1 / grid)
        return torch.maximum(y, low)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[override]
        (y,) = ctx.saved_tensors
        leak = 2**-LEAK_SHIFT
        return grad * (y >= 0).to(grad.dtype).mul_(1 - leak).add_(leak)


def leaky(y: Tensor) -> Tensor:
    """Leaky ReLU on the hidden grid, rounding negative values down."""
    return _Leak.apply(y)  # type: ignore[return-value]


class SeecNetwork(nn.Module):
    """Context, fusion and entropy models (SMEM): inputs to mixture parameters.

    The masked convolution is a matrix product over the gathered causal taps.
    """

    def __init__(self, profile: Profile):
        super().__init__()
        self.profile = profile
        p = profile
        self.context = IntegerLinear(INPUTS, p.width, INPUT_BITS, HIDDEN_BITS, 1)
        self.fusion = IntegerLinear(p.width, p.fused, HIDDEN_BITS, HIDDEN_BITS, 1)
        self.expert_hidden = IntegerLinear(
            p.fused, p.expert_hidden, HIDDEN_BITS, HIDDEN_BITS, p.experts
        )
        self.expert_output = IntegerLinear(
            p.expert_hidden, p.outputs, HIDDEN_BITS, OUTPUT_BITS, p.experts
        )
        self._spread_components()

    def _spread_components(self) -> None:
        """Start with a sensible mixture: means spread around the prediction."""
        k = self.profile.mixtures
        with torch.no_grad():
            self.expert_output.weight.mul_(0.3)
            bias = self.expert_output.bias.view(-1, 12, k)
            bias[:, 3:6] = torch.linspace(-0.3, 0.3, k)
            bias[:, 6:9] = -0.25

    def features(self, inputs: Tensor) -> Tensor:
        """inputs: [pixels, 72], network inputs / 32. Returns fused features [pixels, fused]."""
        return leaky(self.fusion(leaky(self.context(inputs))))

    def expert(self, features: Tensor, label: int) -> Tensor:
        """Mixture parameters [pixels, 12 K] of one entropy model."""
        return self.expert_output(leaky(self.expert_hidden(features, label)), label)
