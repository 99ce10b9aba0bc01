"""Local least-squares predictors, which learn while a tile is decoded.

A predictor predicts the channels of a pixel from the taps around it and from the channels before.
A tile is cut into strips of rows, and each strip has weights of its own: it begins with those of
the strip above, and every few steps of the wavefront they take a few sweeps of coordinate descent
towards the least-squares solution for the pixels of both strips, older ones forgotten bit by bit.
All numbers are integers below 2^53 (model/bounds.py): exact anywhere.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.codec.coding.tiles import GroupCanvas, wavefront
from seec.pipeline.codec.model.profile import (
    CHANNELS,
    INPUT_LIMIT,
    PREDICTOR_BITS,
    PREDICTOR_LIMIT,
    RIDGE,
    TAPS,
    Predictor,
)
from seec.pipeline.codec.model.weights import PredictorStart
from seec.pipeline.codec.network.inputs import Context, Tables, in_units, normalised_taps
from seec.pipeline.codec.network.parts import Part

Numbers = Any  # int64: an array of numpy or a tensor, which know the same operations

_OFFSET_LIMIT = 4095
_HALF = 1 << (PREDICTOR_BITS - 1)


class Predictions(Protocol):
    """The predictions of P predictors for n pixels."""

    @property
    def ls(self) -> Tensor:
        """Before anything of the pixels is known: network inputs, [n, P, 3] int32."""
        ...

    def of(self, channel: int, pixel: Tensor) -> tuple[Tensor, Tensor]:
        """Head numbers and predictions (1/64 of a value) of a channel, [n, P] int32 each.

        pixel: [n, 3] int32; the channels before this one are known.
        """
        ...


@dataclass(frozen=True)
class Planes:
    """The predictions of P predictors for each pixel of a group, from the pixels before it.

    ls, full: network inputs and head numbers. base: predictions, 1/64 of a value. error: of the
    predictions, 1/4 of a value. All [P, tiles, rows + 3, columns + 6, 3] int32, placed as the
    canvas; 0 outside the tiles.
    """

    ls: Tensor
    full: Tensor
    base: Tensor
    error: Tensor

    @staticmethod
    def blank(predictors: int, group: GroupCanvas, device: str) -> "Planes":
        """No predictions yet."""
        shape = (predictors, *group.canvas.shape)
        return Planes(*(torch.zeros(shape, dtype=torch.int32, device=device) for _ in range(4)))


def error_of(value: Tensor, base: Tensor) -> Tensor:
    """By how much values are off what was predicted, in 1/4."""
    return 4 * value - ((base + 8) >> 4)


def at_places(plane: Tensor, index: Tensor) -> Tensor:
    """The samples [P, ...] of planes laid out as a canvas at flat places of it."""
    return plane.flatten(1)[:, index]


def samples_of(part: Part) -> Tensor:
    """The flat places of all channels of some pixels, [n, 3] int64."""
    return part.at[:, None] + torch.arange(CHANNELS, device=part.at.device)


class Learner:
    """All predictors of a model on their way through a group, step by step.

    error: [P, tiles, rows + 3, columns + 6, 3] int32, as in Planes, of the steps so far.
    """

    def __init__(
        self,
        predictors: Sequence[Predictor],
        starts: Sequence[PredictorStart],
        group: GroupCanvas,
        device: str,
    ):
        shape = (len(predictors), *group.canvas.shape)
        self.error = torch.zeros(shape, dtype=torch.int32, device=device)
        self._states = [
            _State(p, start, group, device) for p, start in zip(predictors, starts, strict=True)
        ]

    def predict(
        self, part: Part, context: Context, scaled: Tensor, scale: Tensor
    ) -> "LivePredictions":
        """The predictions for the pixels of the next step.

        scaled: [n, 22, 3] int32, normalised taps; scale: [n] int32, the reciprocal behind them.
        """
        if len(part.at):
            tile, y, x = (a[part.rows] for a in (part.order.tile, part.order.y, part.order.x))
            for state in self._states:
                state.begin(int(2 * y[0] + x[0]), tile, y)
        predictions = [_StepPredictions(state, scaled) for state in self._states]
        return LivePredictions(self, part, context, scale, predictions)


class _State:
    """One predictor: sums and weights of each strip of each tile.

    Strips are numbered tile by tile, each tile's after an empty one that stands above its first.
    """

    def __init__(self, p: Predictor, start: PredictorStart, group: GroupCanvas, device: str):
        self.p, self._device = p, device
        self._strips = -(-int(group.sizes[:, 0].max()) // p.rows) + 1
        strips, size = len(group.sizes) * self._strips, p.regressors + CHANNELS
        self._prior = torch.from_numpy(start.prior).to(device, torch.int64)
        self._start = torch.from_numpy(start.start).to(device, torch.int64)
        self._sums = torch.zeros((strips, size, size), dtype=torch.int64, device=device)
        self._new = torch.zeros_like(self._sums)
        self._weights = torch.zeros((strips, CHANNELS, size - 1), dtype=torch.int64, device=device)
        self._nearest = torch.tensor(p.nearest, device=device)

    def begin(self, step: int, tile: NDArray[np.int64], y: NDArray[np.int64]) -> None:
        """Start a step, before its pixels are predicted."""
        self._step = step
        self._row = torch.from_numpy(y % self.p.rows).to(self._device)
        strip = tile * self._strips + y // self.p.rows + 1
        active, index = np.unique(strip, return_inverse=True)
        self._active = torch.from_numpy(active).to(self._device)
        self._index = torch.from_numpy(index).to(self._device)
        if step % (2 * self.p.rows) == 0:
            number = step // (2 * self.p.rows) + 1
            own = self._active[self._active % self._strips == number]
            self._weights[own] = self._start if number == 1 else self._weights[own - 1]

    def weights(self) -> Tensor:
        """Of the strip of each pixel of the step, [n, 3, T + 2] int64."""
        return self._weights[self._active][self._index]

    def regressors(self, scaled: Tensor) -> Tensor:
        """Of pixels with these normalised taps [n, 22, 3], [n, T] int64."""
        return scaled[:, self._nearest].flatten(1).to(torch.int64)

    def learn(self, numbers: Tensor) -> None:
        """Add the products of the numbers of the pixels of the step, [n, T + 3] int64."""
        rows = torch.zeros(
            (len(self._active), self.p.rows, numbers.shape[1]),
            dtype=torch.float64,
            device=self._device,
        )
        rows[self._index, self._row] = numbers.to(torch.float64)
        self._new[self._active] += (rows.transpose(1, 2) @ rows).to(torch.int64)
        if (self._step + 1) % self.p.every == 0:
            self._update()

    def _update(self) -> None:
        own = self._active
        self._sums[own] += self._new[own]
        self._new[own] = 0
        sums = self._sums[own] + self._sums[own - 1] + self._prior
        if self._device == "cpu":
            found = solve(sums.numpy(), self._weights[own].numpy(), self.p.sweeps)
            self._weights[own] = torch.from_numpy(found)
        else:
            self._weights[own] = solve(sums, self._weights[own], self.p.sweeps)
        self._sums[own] -= self._sums[own] >> self.p.forget


def solve(sums: Numbers, weights: Numbers, sweeps: int) -> Numbers:
    """Weights after some sweeps of coordinate descent, [b, 3, T + 2] int64.

    sums: [b, T + 3, T + 3] int64, of products. weights: [b, 3, T + 2] int64; channel c has
    T + c of them, and zeros behind. Both are arrays of numpy or tensors: numpy takes less time
    for each of the many small operations, torch has devices.
    """
    known = sums.shape[-1] - CHANNELS
    rows, found = sums[:, :-1, :-1], weights + 0
    left = (sums[:, known:, :-1] << PREDICTOR_BITS) - found @ rows
    for _ in range(sweeps):
        for i in range(known + CHANNELS - 1):
            own = slice(max(i - known + 1, 0), CHANNELS)  # the channels that see number i
            here, old = left[:, own, i], found[:, own, i] + 0
            step = abs(here) // (rows[:, i, i] + RIDGE)[:, None]
            step = step - 2 * step * (here < 0)  # rounded towards zero
            found[:, own, i] = (old + step).clip(-PREDICTOR_LIMIT, PREDICTOR_LIMIT)
            moved = found[:, own, i] - old
            left[:, own] -= moved[..., None] * rows[:, i, None]
    return found


class _StepPredictions:
    """The predictions of one predictor for the pixels of a step."""

    def __init__(self, state: _State, scaled: Tensor):
        self.state, self.regressors = state, state.regressors(scaled)
        known = self.regressors.shape[1]
        weights = state.weights() if len(scaled) else self.regressors.new_zeros((0, 3, known + 2))
        trunk = (weights[:, :, :known] * self.regressors[:, None]).sum(-1)
        self.trunk, self._rest = trunk.to(torch.int32), weights[:, :, known:].to(torch.int32)

    def full(self, channel: int, residual: Tensor) -> Tensor:
        """Of a channel, given the residuals [n, 2 or 3] int32 of those before it; [n] int32."""
        known = self._rest[:, channel, :channel] * residual[:, :channel]
        return self.trunk[:, channel] + known.sum(-1, dtype=torch.int32)


class LivePredictions:
    """The predictions for the pixels of a step, while its channels become known."""

    def __init__(
        self,
        learner: Learner,
        part: Part,
        context: Context,
        scale: Tensor,
        predictions: list[_StepPredictions],
    ):
        self._learner, self._part, self._predictions = learner, part, predictions
        self._context, self._scale = context, scale
        self._gain = 27 + context.activity.sum(-1, dtype=torch.int32)

    @property
    def ls(self) -> Tensor:
        """See Predictions."""
        return _input(torch.stack([a.trunk for a in self._predictions], 1))

    def of(self, channel: int, pixel: Tensor) -> tuple[Tensor, Tensor]:
        """See Predictions."""
        residual = self._residual(pixel)
        full = torch.stack([a.full(channel, residual) for a in self._predictions], 1)
        q = ((full + 128) >> 8).clamp(-_OFFSET_LIMIT, _OFFSET_LIMIT)
        offset = (q * self._gain[:, None] * 91 + 4096) >> 13
        base = 64 * self._context.med[:, channel, None] + offset
        return _input(full), base.clamp(0, 64 * 255)

    def learn(self, pixel: Tensor) -> None:
        """The predictors learn from the pixels [n, 3]."""
        if not len(pixel):
            return
        places = samples_of(self._part)
        base = torch.stack([self.of(c, pixel)[1] for c in range(CHANNELS)], -1)  # [n, P, 3]
        error = error_of(pixel[:, None], base)
        self._learner.error.flatten(1)[:, places] = error.transpose(0, 1)
        residual = self._residual(pixel).to(torch.int64)
        for predictions in self._predictions:
            predictions.state.learn(torch.cat([predictions.regressors, residual], 1))

    def _residual(self, pixel: Tensor) -> Tensor:
        return in_units(pixel - self._context.med, self._scale[:, None])


def _input(sums: Tensor) -> Tensor:
    """A sum of products of weights as a network input."""
    return ((sums + _HALF) >> PREDICTOR_BITS).clamp(-INPUT_LIMIT, INPUT_LIMIT)


def follow(
    predictors: Sequence[Predictor],
    starts: Sequence[PredictorStart],
    tables: Tables,
    group: GroupCanvas,
    device: str = "cpu",
) -> Planes:
    """The predictions for each pixel of a full canvas; labels and entropy models do not matter.

    tables: `reciprocal`, int32 on the device.
    """
    planes = Planes.blank(len(predictors), group, device)
    learner = Learner(predictors, starts, group, device)
    order = wavefront(group)
    flat = torch.from_numpy(group.canvas).to(device).view(-1)
    for first in range(len(order.starts) - 1):
        part = Part.of_steps(group, order, flat, first, first + 1)
        context, scaled = normalised_taps(part.gather(TAPS), tables["reciprocal"])
        scale = tables["reciprocal"][context.activity.sum(-1)]
        live, pixel = learner.predict(part, context, scaled, scale), part.pixels()
        live.learn(pixel)
        predicted = [live.of(channel, pixel) for channel in range(CHANNELS)]
        full, base = (torch.stack(parts, -1) for parts in zip(*predicted, strict=True))
        places = samples_of(part)
        for plane, values in ((planes.ls, live.ls), (planes.full, full), (planes.base, base)):
            plane.flatten(1)[:, places] = values.transpose(0, 1)
    planes.error[:] = learner.error
    return planes
