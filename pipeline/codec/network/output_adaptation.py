"""Output layers that learn while a tile is decoded.

A tile has corrections of its own, shared by all entropy models: one for each weight and bias that
give pi, mu and sigma of a channel. They start at zero. Each coded pixel adds the gradient of its
code length; after enough pixels each correction takes a step of a fixed size against the sign of
the sum (sign descent). All numbers are integers below 2^31: exact anywhere.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture
from seec.pipeline.codec.model.profile import (
    ADAPTATION_BITS,
    ADAPTATION_LIMIT,
    CHANNELS,
    HIDDEN_BITS,
    HIDDEN_LIMIT,
    OUTPUT_BITS,
    Adaptation,
    Profile,
)
from seec.pipeline.codec.network.layers import with_one

OUTPUT_GRADIENT_LIMIT = 127
_SHIFT = ADAPTATION_BITS + HIDDEN_BITS - OUTPUT_BITS


class OutputAdapter:
    """The corrections of the tiles of a group on their way through it, step by step."""

    def __init__(self, profile: Profile, adaptation: Adaptation, tiles: int, device: str):
        shape = (CHANNELS, tiles, profile.adapted_outputs, profile.hidden + 1)
        self._adaptation = adaptation
        # Doubles carry these integers, and sums of their products, exactly.
        self._weights = torch.zeros(shape, dtype=torch.float64, device=device)
        self._sums = torch.zeros_like(self._weights)
        self._pixels = np.zeros(tiles, np.int64)  # since the last update

    def correct(
        self, channel: int, tile: NDArray[np.int64], hidden: Tensor, outputs: Tensor
    ) -> Tensor:
        """The outputs of output layers for pixels of these tiles, [n, outputs] int32, corrected.

        tile: [n]. hidden: [n, hidden features], inputs of the layers. outputs: of the model.
        """
        own = self._weights[channel, torch.from_numpy(tile).to(hidden.device)]
        sums = (own @ with_one(hidden)[:, :, None])[:, :, 0].to(torch.int32)
        change = ((sums + (1 << (_SHIFT - 1))) >> _SHIFT).clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)
        adapted = outputs.clone()
        adapted[:, : change.shape[1]] += change
        return adapted.clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)

    def accumulate(
        self, channel: int, tile: NDArray[np.int64], hidden: Tensor, gradients: Tensor
    ) -> None:
        """Add up the gradients [n, 3 K] int32 of pixels of these tiles."""
        products = gradients.to(torch.float64)[:, :, None] * with_one(hidden)[:, None]
        self._sums[channel].index_add_(0, torch.from_numpy(tile).to(hidden.device), products)

    def end_step(self, tile: NDArray[np.int64]) -> Tensor:
        """Count the pixels of a step, in these tiles [n]; tiles with enough of them take a step.

        Returns the numbers of these tiles.
        """
        self._pixels += np.bincount(tile, minlength=len(self._pixels))
        due = np.flatnonzero(self._pixels >= self._adaptation.every)
        tiles = torch.from_numpy(due).to(self._weights.device)
        if not len(due):
            return tiles
        self._pixels[due] = 0
        moved = self._weights[:, tiles] - self._adaptation.rate * self._sums[:, tiles].sign()
        self._weights[:, tiles] = moved.clamp(-ADAPTATION_LIMIT, ADAPTATION_LIMIT)
        self._sums[:, tiles] = 0
        return tiles


def gradients_of(m: Mixture, value: Tensor) -> Tensor:
    """How the code length of values [n] rises with pi, mu and sigma, [n, 3 K] int32.

    Each of the three in a unit of its own, within +-127. That of mu is the gradient by the mean in
    units of the scale. 0 where bins are not one value wide.
    """
    bounds = torch.stack([value, value + 1], 1)
    away, share = m.shares(bounds)
    below = torch.where(value[:, None] == 0, 0, share[:, 0])
    above = torch.where(value[:, None] == 255, 1 << 15, share[:, 1])

    mass = (m.weight * (above - below)) >> 5
    spread = (m.weight * (_slant(away[:, 1], above) - _slant(away[:, 0], below))) >> 5
    total = mass.sum(-1, keepdim=True, dtype=torch.int32) + 1
    prior = _share_of(m.weight, m.weight.sum(-1, keepdim=True, dtype=torch.int32))
    own = _share_of(mass, total)
    pi = (prior - own + 4) >> 3
    mu = (own * ((1 << 15) - below - above) + (1 << 17)) >> 18
    sigma = (_share_of(spread, total) + 16) >> 5
    gradients = torch.cat([pi, mu, sigma], 1).clamp(-OUTPUT_GRADIENT_LIMIT, OUTPUT_GRADIENT_LIMIT)
    return torch.where(m.width[:, None] == 1, gradients, 0)


def _slant(away: Tensor, share: Tensor) -> Tensor:
    """How the share below a bound falls with the logarithm of the scale, in 2^-15."""
    return (away * ((share * ((1 << 15) - share)) >> 15)) >> 11


def _share_of(part: Tensor, whole: Tensor) -> Tensor:
    return torch.div(part << 10, whole, rounding_mode="floor")
