"""What a model costs its decoder, counted and not timed."""

import torch
from torch import Tensor

from seec.pipeline.codec import Model
from seec.pipeline.codec.model.profile import INPUTS, Profile, SideSizes
from seec.pipeline.codec.model.transforms import (
    HYPER_STRIDE,
    LATENT_STRIDE,
    Shapes,
    hyper_synthesis,
    synthesis,
)


def parameters(model: Model) -> int:
    """Weights and biases in the model file, the encoder's share included."""
    return sum(layer.weight.size + layer.bias.size for layer in model.layers.values())


def multiplications(profile: Profile) -> int:
    """Multiplications of the decoder's layers for one pixel, under one entropy model."""
    p = profile
    context = INPUTS * p.width
    fusion = (p.width + p.features) * p.fused
    entropy_model = p.fused * p.hidden + p.hidden * p.outputs
    return context + fusion + entropy_model + _side_multiplications(p.side)


def _side_multiplications(p: SideSizes | None) -> int:
    """h_s and g_s, their share of one pixel (SIC)."""
    if p is None:
        return 0
    counted = _Counting()
    z = torch.empty((1, p.latents, 1, 1), device="meta")
    hyper_synthesis(counted, z, p)
    y = torch.empty((1, p.latents, HYPER_STRIDE, HYPER_STRIDE), device="meta")
    synthesis(counted, y, p)
    return round(counted.total / (HYPER_STRIDE * LATENT_STRIDE) ** 2)


class _Counting(Shapes):
    """An arithmetic that computes nothing and counts multiplications."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def layer(self, name: str, x: Tensor, out: int, kernel: int = 1, stride: int = 1) -> Tensor:
        y = super().layer(name, x, out, kernel, stride)
        self.total += y.numel() * x.shape[1] * kernel**2
        return y

    def normalise(self, name: str, x: Tensor, *, inverse: bool) -> Tensor:
        self.total += x.numel()
        return super().normalise(name, x, inverse=inverse)

    def attend(self, name: str, qkv: Tensor, heads: int, window: int, shift: int) -> Tensor:
        values = super().attend(name, qkv, heads, window, shift)
        self.total += 2 * values.numel() * window**2
        return values
