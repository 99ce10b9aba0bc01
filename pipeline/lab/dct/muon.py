"""Steps of nearly orthogonal matrices for the weights of hidden layers.

After K. Jordan and others, Muon: an optimizer for hidden layers in neural networks (2024).
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_ITERATIONS = 4
_LINEAR, _CUBIC, _FIFTH = 3.4445, -4.7750, 2.0315


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices [..., m, n] with singular values near 1 and the same singular vectors."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = _LINEAR * x + (_CUBIC * square + _FIFTH * (square @ square)) @ x
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """For parameters that are matrices, or stacks of matrices."""

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["mean"] = torch.zeros_like(weight)
                state["mean"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(state["mean"], group["momentum"])
                size = 0.2 * math.sqrt(max(weight.shape[-2:]))
                weight.add_(orthogonal(ahead), alpha=-group["lr"] * size)
