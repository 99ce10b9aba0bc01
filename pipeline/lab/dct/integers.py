"""What networks of the coefficient coder have in common while they are trained.

They are trained in floats, and once `rounded` is set every layer computes what integers do: bytes
as inputs of layers, int8 weights.
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from abc import abstractmethod

import torch
from torch import Tensor, nn

# Units of bytes and of weights; sums of hidden layers are in their product.
BYTE, HIDDEN, OUTPUT = 64, 128, 32


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


class IntegerNetwork(nn.Module):
    """Layers of weights with biases, in floats. Names of biases end with `_bias`."""

    def __init__(self) -> None:
        super().__init__()
        self.rounded = False

    @abstractmethod
    def units(self) -> list[tuple[nn.Parameter, Tensor | int]]:
        """Weights of all layers, in their order, and how fine they are; of columns or of all."""

    def matrices(self) -> list[nn.Parameter]:
        """Weights of hidden layers."""
        return [weight for weight, _ in self.units()[:-1]]

    def outputs(self) -> nn.Parameter:
        """Weights of the last layer."""
        return self.units()[-1][0]

    def biases(self) -> list[nn.Parameter]:
        """All biases."""
        return [p for name, p in self.named_parameters() if name.endswith("_bias")]

    @torch.no_grad()
    def keep_in_range(self) -> None:
        """Cut weights to what an int8 holds."""
        for weight, unit in self.units():
            limit = 127 / torch.as_tensor(unit)
            weight.copy_(torch.maximum(torch.minimum(weight, limit), -limit))

    def weights(self) -> list[Tensor]:
        """Weights of all layers as the network computes with them."""
        if self.rounded:
            return [rounded(weight, unit) for weight, unit in self.units()]
        return [weight for weight, _ in self.units()]

    def as_bytes(self, sums: Tensor) -> Tensor:
        """What a layer hands to the next one."""
        kept = sums.clamp(0, 255 / BYTE)
        if self.rounded:
            kept = kept + (torch.floor(kept * BYTE) / BYTE - kept).detach()
        return kept
