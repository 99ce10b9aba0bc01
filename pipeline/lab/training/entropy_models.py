"""How the entropy models share the blocks, and what the network pays for them (SMEM)."""

import numpy as np
import torch
from torch import Tensor

from seec.pipeline.codec.training.networks import AdaptiveNetwork, SeecNetwork
from seec.pipeline.lab.training.data import BLOCK, PixelBatch

Network = SeecNetwork | AdaptiveNetwork

BLOCK_PIXELS = BLOCK * BLOCK
# A quincunx, a quarter of each block: x = 0, 4, 8, 12 in even rows, 2, 6, 10, 14 in odd ones.
_Y, _X = np.mgrid[:BLOCK, :BLOCK]
_SAMPLED = torch.from_numpy(np.flatnonzero((_X + 2 * _Y) % 4 == 0))


def coded_bits(params: Tensor, batch: PixelBatch) -> Tensor:
    """Coded bits of each pixel over its channels, [pixels]."""
    return (batch.code_length(params) * batch.weight).sum(-1)


def code_lengths_by_label(network: Network, features: Tensor, batch: PixelBatch) -> Tensor:
    """Bits of every whole block under every entropy model: [blocks, entropy models]."""
    lengths = [
        coded_bits(network.mixture_params(features, e), batch).view(-1, BLOCK_PIXELS).sum(-1)
        for e in range(network.profile.entropy_models)
    ]
    return torch.stack(lengths, -1)


@torch.no_grad()
def sampled_rates(network: Network, features: Tensor, batch: PixelBatch) -> Tensor:
    """Bits per sub-pixel of every block under every entropy model, from a quarter of its pixels.

    features: [pixels, F] of the whole batch. Returns [blocks, entropy models] on the CPU.
    """
    rows = _pixels_of(torch.arange(batch.blocks), _SAMPLED)
    few, features = batch.take(rows), features[rows]
    subpixels = few.weight.view(batch.blocks, -1).sum(-1)
    rates = [
        coded_bits(network.mixture_params(features, e), few).view(batch.blocks, -1).sum(-1)
        / subpixels
        for e in range(network.profile.entropy_models)
    ]
    return torch.stack(rates, -1).cpu()


def assign(rates: Tensor, temperature: float, rng: np.random.Generator) -> Tensor:
    """Draw the entropy model of each block with probability softmax(-rate / temperature).

    rates: [blocks, entropy models], bits per sub-pixel; temperature in the same unit, where 0 gives
    each block its best entropy model. Returns [blocks] int64.
    """
    if temperature <= 0:
        return rates.argmin(-1)
    # The largest of logits plus Gumbel noise is a draw from their softmax.
    noise = torch.from_numpy(rng.gumbel(size=tuple(rates.shape))).to(rates.dtype)
    return (noise - rates / temperature).argmax(-1)


def labelled_bits(
    network: Network, features: Tensor, batch: PixelBatch, labels: Tensor | int
) -> Tensor:
    """Coded bits of the whole batch, each block under the entropy model that its label names.

    features: [pixels, F]; labels: [blocks] int64, or one for all.
    """
    return coded_bits(network.mixture_params(features, labels), batch).sum()


def _pixels_of(blocks: Tensor, pixels: Tensor) -> Tensor:
    """Rows of a batch: these pixels of these blocks, block by block."""
    return (blocks[:, None] * BLOCK_PIXELS + pixels).view(-1)


@torch.no_grad()
def copy_first_entropy_model(network: Network, optimiser: torch.optim.Optimizer) -> None:
    """Make all entropy models equal to the first, in weights and in the optimiser's moments."""
    for layer in network.entropy_layers():
        for parameter in (layer.weight, layer.bias):
            moments = optimiser.state[parameter]
            for values in (parameter, moments["exp_avg"], moments["exp_avg_sq"]):
                values[1:] = values[:1].clone()
