"""Mixtures of discretised distributions as integer frequencies of nibbles.

A value, 0..255, is coded as two 16-way symbols: the high nibble of its bin, then the low one. A
bin is one value where coding is lossless and several neighbouring ones where it is not.
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false

from dataclasses import dataclass

import torch
from torch import Tensor

FLOOR = 4  # added to the frequency of each of the 256 bins


@dataclass(frozen=True)
class Mixture:
    """Mixtures of n values.

    mean (1/64 of a value), weight, inverse, reach: [n, K] int32. total [n] int32, the
    cumulative frequency of all values, without floors. nodes [513] int32: the table of the
    cumulative distribution of a component. first, width [n] int32: bin j holds the `width`
    values from first + j width on; width 0 codes nothing.
    """

    mean: Tensor
    weight: Tensor
    inverse: Tensor
    reach: Tensor
    total: Tensor
    nodes: Tensor
    first: Tensor
    width: Tensor

    def rows(self, picked: Tensor) -> "Mixture":
        """The mixtures of some of the values: their places, [m] int64, ascending.

        All of them are this mixture itself, so lossless coding copies nothing.
        """
        if len(picked) == len(self.mean):
            return self
        return Mixture(
            self.mean[picked],
            self.weight[picked],
            self.inverse[picked],
            self.reach[picked],
            self.total[picked],
            self.nodes,
            self.first[picked],
            self.width[picked],
        )

    def shares(self, bounds: Tensor) -> tuple[Tensor, Tensor]:
        """How far from each component bounds [n, B] int32 are, and how much of it lies below.

        In 1/2048 of its scale, and 2^-15 of it; [n, B, K] int32 each.
        """
        distance = 64 * bounds[:, :, None] - 32 - self.mean[:, None]
        reach = self.reach[:, None]
        distance = torch.minimum(torch.maximum(distance, -reach), reach)
        away = ((distance * self.inverse[:, None]) >> 10).clamp(-32768, 32767)
        u = away + 32768
        node = u >> 7
        low = self.nodes[node]
        return away, low + (((self.nodes[node + 1] - low) * (u & 127)) >> 7)

    def below(self, bounds: Tensor) -> Tensor:
        """Cumulative frequency below each value 0..256, without floors; bounds [n, B] int32."""
        share = self.shares(bounds)[1]
        inside = (self.weight[:, None] * share).sum(-1, dtype=torch.int32) >> 2
        inside = torch.where(bounds == 0, 0, inside)
        return torch.where(bounds == 256, self.total[:, None], inside)

    def _below_bins(self, bins: Tensor) -> Tensor:
        return self.below((self.first[:, None] + bins * self.width[:, None]).clamp(0, 256))

    def high(self) -> Tensor:
        """Frequencies of the high nibble of the bin, [n, 16] int32."""
        bins = torch.arange(0, 257, 16, dtype=torch.int32, device=self.mean.device)
        return self._below_bins(bins.expand(len(self.mean), 17)).diff(dim=1) + 16 * FLOOR

    def low(self, high: Tensor) -> Tensor:
        """Frequencies of the low nibble given the high one [n], [n, 16] int32."""
        steps = torch.arange(17, dtype=torch.int32, device=self.mean.device)
        return self._below_bins(16 * high[:, None] + steps).diff(dim=1) + FLOOR

    def mass(self, bins: Tensor) -> Tensor:
        """Frequency of one bin [n] of each mixture, without its floor, [n] int32."""
        return self._below_bins(torch.stack([bins, bins + 1], 1)).diff(dim=1)[:, 0]

    def bin_of(self, value: Tensor) -> Tensor:
        """The bins of values [n]; width must not be 0."""
        return (value - self.first).div(self.width, rounding_mode="floor")

    def value_of(self, bins: Tensor) -> Tensor:
        """The value that stands for a bin, [n] int32: its middle, inside 0..255."""
        return (self.first + bins * self.width + (self.width >> 1)).clamp(0, 255)

    def likeliest(self) -> Tensor:
        """The mean of the heaviest component, [n] int32: what stands where nothing is coded."""
        best = self.weight.argmax(-1, keepdim=True)
        return ((self.mean.gather(1, best)[:, 0] + 32) >> 6).clamp(0, 255)


def bins_around(prediction: Tensor, width: Tensor) -> Tensor:
    """Where bins of these widths start so that one has the prediction in its middle.

    prediction, width: [n] int32; a width of 0 counts as 1. Returns [n] int32, none positive.
    """
    wide = width.clamp_min(1)
    away = (prediction - (wide >> 1)).remainder(wide)
    return torch.where(away > 0, away - wide, 0)
