"""Trainable layers in floats that hold exactly the decoder's integers.

Every layer rounds its weights and activations as the integer decoder does, with
straight-through gradients, so the network that is trained is the network that runs.
All values are the decoder's integers divided by a power of two.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import torch
from torch import Tensor, nn

from seec.pipeline.codec.model.profile import (
    HIDDEN_BITS,
    HIDDEN_LIMIT,
    LEAK_SHIFT,
    WEIGHT_BITS_RANGE,
    WEIGHT_LIMIT,
)

_ROW_LIMIT = 8000  # of the sum of |weights| in a row: times 2047, and a bias, below 2^24


def straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    """Forward `rounded`, backward the gradient of `value`."""
    return value + (rounded - value).detach()


def row_bits(weight: Tensor) -> Tensor:
    """Fractional bits of each weight row: as many as keep it inside int8 and its sums exact.

    weight: [..., out, in] float. Returns [..., out, 1] float, whole numbers.
    """
    size = weight.detach().abs()
    room = (WEIGHT_LIMIT + 0.49) / size.amax(-1, keepdim=True).clamp_min(1e-9)
    # Rounding adds up to half for each weight.
    sums = (_ROW_LIMIT - weight.shape[-1] / 2) / size.sum(-1, keepdim=True).clamp_min(1e-9)
    return torch.floor(torch.log2(torch.minimum(room, sums))).clamp(*WEIGHT_BITS_RANGE)


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

    groups > 1 stacks that many independent layers (one per entropy model).
    """

    def __init__(self, inputs: int, outputs: int, in_bits: int, out_bits: int, groups: int):
        super().__init__()
        self.in_bits, self.out_bits = in_bits, out_bits
        self.weight = nn.Parameter(torch.randn(groups, outputs, inputs) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(groups, outputs))

    def forward(self, x: Tensor, group: int | Tensor = 0) -> Tensor:
        """x: [pixels, inputs]. Returns [pixels, outputs].

        group: of all pixels; or [runs] int64, where each is of so many equal runs of pixels.
        """
        if isinstance(group, int):
            y = nn.functional.linear(x, *self._rounded(self.weight[group], self.bias[group]))
        else:
            weight, bias = self._rounded(self.weight, self.bias)
            runs = x.view(len(group), -1, x.shape[-1])
            y = torch.baddbmm(bias[group][:, None], runs, weight[group].transpose(1, 2))
            y = y.flatten(0, 1)
        grid = 2**self.out_bits
        return _Snap.apply(y, grid, HIDDEN_LIMIT / grid)  # type: ignore[no-any-return]

    def _rounded(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        integers, bits = quantise_weight(weight)
        unit = 2 ** (bits[..., 0] + self.in_bits)
        return (
            straight_through(weight, integers * 2**-bits),
            straight_through(bias, (bias * unit).round() / unit),
        )


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
