"""Hidden layers that learn while a tile is decoded.

A tile has weights of its own for the fusion and the hidden layers of entropy models: those of the
model in finer steps, and changes that all entropy models share. The gradients of the mixture
parameters (output_adaptation.py) are propagated back through the network in integers below 2^31:
output layer, hidden layer, fusion. After enough pixels each weight takes a step of a fixed size
against the sum of its gradients.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture
from seec.pipeline.codec.model.profile import (
    HIDDEN_BITS,
    HIDDEN_LIMIT,
    LEAK_SHIFT,
    OUTPUT_BITS,
    WEIGHT_LIMIT,
    Adaptation,
)
from seec.pipeline.codec.model.weights import Layer, Model
from seec.pipeline.codec.network.layers import with_one

FINE_BITS = 5  # by which weights that learn are finer than a model's
CHANGE_LIMIT = 1023
# Of a pixel in the mean: less is noise, and in a black sky steps that follow it do harm.
LEAST_GRADIENT = 64
GRADIENT_LIMIT = 511
PULL_LIMIT = 65535
BACK_BITS = 6  # fractional bits of weights that gradients go through

Runs = list[tuple[int, int, Tensor]]  # tile, label, and which pixels those are


def runs_of(tile: NDArray[np.int64], labels: NDArray[np.uint8], device: torch.device) -> Runs:
    """The pixels of a step by tile and label."""

    def found() -> Iterator[tuple[int, int, Tensor]]:
        for t in np.unique(tile).tolist():
            for label in np.unique(labels[tile == t]).tolist():
                rows = np.flatnonzero((tile == t) & (labels == label))
                yield t, label, torch.from_numpy(rows).to(device)

    return list(found())


class LearnedLayer:
    """A layer of a model, one for each entropy model or for all, in the tiles of a group.

    changes: [tiles, out, in + 1], in 1/32 of a weight; the last is the bias, in inputs of one.
    """

    def __init__(self, model: Layer, tiles: int, rate: int, adaptation: Adaptation, device: str):
        self._rate, self._least = rate, LEAST_GRADIENT * adaptation.every
        self._memory = adaptation.memory
        # Doubles carry these integers, and sums of their products, exactly.
        weight = np.concatenate([model.weight, np.zeros_like(model.weight[..., :1])], -1)
        fine = weight.astype(np.float64) * (1 << FINE_BITS)
        self._model = torch.from_numpy(fine).to(device)
        shift = torch.from_numpy(model.shift.astype(np.int64)).to(device)
        bias = torch.from_numpy(model.bias.astype(np.int64)).to(device)
        self._start = (bias << FINE_BITS) + (1 << (shift + FINE_BITS - 1))
        self._shift = shift + FINE_BITS
        shape = (tiles, *self._model.shape[1:])
        self.changes = torch.zeros(shape, dtype=torch.float64, device=device)
        self._sums = torch.zeros_like(self.changes)

    def forward(self, inputs: Tensor, runs: Runs) -> Tensor:
        """Leaky outputs [n, out] int32 of pixels with these inputs [n, in]."""
        inputs = with_one(inputs)
        outputs = torch.empty(
            (len(inputs), self._model.shape[1]), dtype=torch.int32, device=inputs.device
        )
        for tile, label, rows in runs:
            group = label if len(self._model) > 1 else 0
            weight = self._model[group] + self.changes[tile]
            sums = (inputs[rows] @ weight.T).to(torch.int64) + self._start[group]
            y = (sums >> self._shift[group]).clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)
            outputs[rows] = torch.maximum(y, y >> LEAK_SHIFT).to(torch.int32)
        return outputs

    def accumulate(self, inputs: Tensor, gradient: Tensor, runs: Runs) -> None:
        """Add up the gradients [n, out] of pixels with these inputs [n, in]."""
        inputs, gradient = with_one(inputs), gradient.to(torch.float64)
        for tile, _, rows in runs:
            self._sums[tile] += gradient[rows].T @ inputs[rows]

    def step(self, tiles: Tensor) -> None:
        """The weights of these tiles take a step against their gradient sums."""
        sums = self._sums[tiles]
        way = torch.where(sums.abs() > self._least, sums.sign(), 0)
        moved = self.changes[tiles] - self._rate * way
        self.changes[tiles] = moved.clamp(-CHANGE_LIMIT, CHANGE_LIMIT)
        self._sums[tiles] = (sums / 2).floor() if self._memory else 0


class HiddenAdapter:
    """The fusion and the hidden layers of a group's tiles on their way through it."""

    def __init__(self, model: Model, adaptation: Adaptation, tiles: int, device: str):
        layers, p = model.layers, model.profile
        self._fused, self.means = p.fused, bool(adaptation.means)
        self._fusion = LearnedLayer(
            layers["fusion"], tiles, adaptation.fusion_rate, adaptation, device
        )
        self._hidden = [
            LearnedLayer(
                layers[f"hidden_{name}"], tiles, adaptation.hidden_rate, adaptation, device
            )
            for name in "rgb"
        ]
        coarse = HIDDEN_BITS - OUTPUT_BITS
        self._back = [
            (
                _back_weights(layers[f"output_{name}"], coarse).to(device),
                _back_weights(layers[f"hidden_{name}"], 0).to(device),
            )
            for name in "rgb"
        ]

    def fuse(self, context: Tensor, runs: Runs) -> Tensor:
        """Fused features [n, fused] int32."""
        return self._fusion.forward(context, runs)

    def hidden(self, channel: int, inputs: Tensor, runs: Runs) -> Tensor:
        """Hidden features of a channel, [n, hidden] int32."""
        return self._hidden[channel].forward(inputs, runs)

    def backprop(
        self, channel: int, inputs: Tensor, hidden: Tensor, gradient: Tensor, runs: Runs
    ) -> Tensor:
        """Propagate the gradient of a channel back to the fused features, and add it up.

        inputs: [n, in] and hidden: [n, hidden], inputs and outputs of its hidden layer. gradient:
        [n, 3 K or more] int32, of pi, mu and sigma, and with `means` of gamma and beta. Returns
        the gradient of the fused features, [n, fused] int32.
        """
        to_hidden, to_fused = self._back[channel]
        back = _through(gradient, to_hidden[:, : gradient.shape[1]], BACK_BITS - 1, runs)
        back = _leak_back(back, hidden)
        self._hidden[channel].accumulate(inputs, back, runs)
        return _through(back, to_fused[..., : self._fused], BACK_BITS, runs)

    def backprop_fusion(self, context: Tensor, fused: Tensor, gradient: Tensor, runs: Runs) -> None:
        """Add up the gradient of the fused features, the sum over channels: [n, fused] int32."""
        self._fusion.accumulate(context, _leak_back(gradient, fused), runs)

    def step(self, tiles: Tensor) -> None:
        """All layers of these tiles take a step."""
        for layer in (self._fusion, *self._hidden):
            layer.step(tiles)


def in_one_unit(
    gradients: Tensor, m: Mixture, gain: Tensor, mean_terms: Tensor | None = None
) -> Tensor:
    """Gradients [n, 3 K] of pi, mu and sigma, all in 1/128 of a natural bit for a step of one.

    gradients: as of output_adaptation.gradients_of, each of the three kinds in its own unit.

    gain: [n] int32, the unit of mu. mean_terms: [n, P + channels before] int32, what gamma and beta
    multiply, in 1/4096 of a value; None without `means`. Returns int32 within +-511, those of
    gamma and beta behind those of sigma.
    """
    pi, mu, sigma = gradients.chunk(3, -1)
    narrow = (m.inverse >> 5).clamp_max(32767)
    steep = (narrow * gain[:, None]) >> 8
    found = [pi, (mu * steep.clamp_max(HIDDEN_LIMIT) + 32) >> 6, (11 * sigma + 2) >> 2]
    if mean_terms is not None:
        pull = ((mu * narrow).sum(-1, keepdim=True) + 8) >> 4
        moved = pull.clamp(-PULL_LIMIT, PULL_LIMIT).to(torch.int64) * mean_terms
        found.append((moved + 2048) >> 12)
    return torch.cat(found, -1).clamp(-GRADIENT_LIMIT, GRADIENT_LIMIT).to(torch.int32)


def _back_weights(layer: Layer, coarse: int) -> Tensor:
    """[groups, out, in] float64, with BACK_BITS fractional bits.

    coarse: fractional bits that outputs have less than inputs.
    """
    fine = BACK_BITS - (layer.shift.astype(np.int64) - coarse)[..., None]
    weight = layer.weight.astype(np.int64)
    finer = weight << np.maximum(fine, 0)
    drop = np.maximum(-fine, 0)
    coarser = (weight + ((1 << drop) >> 1)) >> drop
    found = np.where(fine >= 0, finer, coarser).clip(-WEIGHT_LIMIT, WEIGHT_LIMIT)
    return torch.from_numpy(found.astype(np.float64))


def _through(gradient: Tensor, weight: Tensor, shift: int, runs: Runs) -> Tensor:
    """Gradients [n, out] as those of a layer's inputs; weight: [entropy models, out, in]."""
    shape = (len(gradient), weight.shape[2])
    found = torch.empty(shape, dtype=torch.int32, device=gradient.device)
    wide = gradient.to(torch.float64)
    for _, label, rows in runs:
        sums = (wide[rows] @ weight[label]).to(torch.int32)
        found[rows] = (sums + (1 << (shift - 1))) >> shift
    return found.clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)


def _leak_back(gradient: Tensor, output: Tensor) -> Tensor:
    whole = gradient.clamp(-GRADIENT_LIMIT, GRADIENT_LIMIT)
    # To the nearest, halves to even: what is rounded one way adds up over hundreds of pixels.
    odd = (whole >> LEAK_SHIFT) & 1
    less = (whole + (1 << (LEAK_SHIFT - 1)) - 1 + odd) >> LEAK_SHIFT
    return torch.where(output < 0, less, whole)
