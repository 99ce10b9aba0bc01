"""What a model costs its decoder, counted and not timed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.codec import Model
from pipeline.codec.profile import INPUTS, Profile
from pipeline.codec.transforms import (
    HYPER_STRIDE,
    LATENT_STRIDE,
    hyper_synthesis,
    synthesis,
)


def parameters(model: Model) -> int:
    """Weights and biases in the model file, the encoder's share included."""
    return sum(layer.weight.size + layer.bias.size for layer in model.layers.values())


def multiplications(profile: Profile) -> int:
    """Multiplications of the decoder's layers for one pixel, for which one expert speaks."""
    p = profile
    context = INPUTS * p.width
    fusion = (p.width + p.features) * p.fused
    expert = p.fused * p.expert_hidden + p.expert_hidden * p.outputs
    return context + fusion + expert + _side_multiplications(p)


def _side_multiplications(p: Profile) -> int:
    """h_s and g_s, their share of one pixel (SIC)."""
    if not p.latents:
        return 0
    counted = _Counting()
    z = torch.empty((1, p.latents, 1, 1), device="meta")
    hyper_synthesis(counted, z, p)
    y = torch.empty((1, p.latents, HYPER_STRIDE, HYPER_STRIDE), device="meta")
    synthesis(counted, y, p)
    return round(counted.total / (HYPER_STRIDE * LATENT_STRIDE) ** 2)


@dataclass
class _Counting:
    """An arithmetic (`pipeline.codec.transforms`) that computes nothing and counts."""

    total: int = 0

    def layer(self, name: str, x: Tensor, out: int, kernel: int = 1, stride: int = 1) -> Tensor:
        n, c, h, w = x.shape
        y = x.new_empty((n, out, h // stride, w // stride))
        self.total += y.numel() * c * kernel**2
        return y

    def leak(self, x: Tensor) -> Tensor:
        return x

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a

    def normalise(self, name: str, x: Tensor, *, inverse: bool) -> Tensor:
        self.total += x.numel()
        return self.layer(name, x, x.shape[1])

    def attend(self, name: str, qkv: Tensor, heads: int, window: int, shift: int) -> Tensor:
        values = qkv[:, : qkv.shape[1] // 3]
        self.total += 2 * values.numel() * window**2
        return values
