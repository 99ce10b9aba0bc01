"""The integer arithmetic of the decoder in torch, on any device.

Layers are matrix products of small integers carried in floats: exact in any order, because
loading a model proves that no partial sum reaches 2^24 (bounds.py). Everything else is
int32. This is the reference that FORMAT.md describes and that the C kernels repeat. A network
with predictors is in adaptive.py; how networks code tile groups, in torch_kernels.py.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture, bins_around
from seec.pipeline.codec.coding.tiles import GroupCanvas, Pixels, Wavefront
from seec.pipeline.codec.model.profile import (
    ACTIVITY_TAPS,
    BETA_LIMIT,
    INPUT_LIMIT,
    LEAK_SHIFT,
    NW,
    SCALE_BIAS,
    SCALE_COUNT,
    TAPS,
    N,
    W,
)
from seec.pipeline.codec.model.tables import LOGISTIC_ONE
from seec.pipeline.codec.model.weights import Layer, Model
from seec.pipeline.codec.sic.synthesis import CarriedLayer

Tables = Mapping[str, Tensor]

# ---------------------------------------------------------------- inputs


@dataclass(frozen=True)
class Context:
    """Per pixel: MED prediction and activity, [..., 3] int32."""

    med: Tensor
    activity: Tensor


def normalised_taps(taps: Tensor, reciprocal: Tensor) -> tuple[Context, Tensor]:
    """The taps [..., 22, 3] int32 as differences from MED in units of the activity.

    Returns the context, and the same shape of integers in [-127, 127].
    """
    west, north = taps[..., W, :], taps[..., N, :]
    low, high = torch.minimum(west, north), torch.maximum(west, north)
    med = torch.minimum(torch.maximum(west + north - taps[..., NW, :], low), high)
    difference = taps - med[..., None, :]
    activity = difference[..., list(ACTIVITY_TAPS), :].abs().sum(-2, dtype=torch.int32)
    scale = reciprocal[activity.sum(-1)]
    return Context(med, activity), in_units(difference, scale[..., None, None])


def in_units(difference: Tensor, scale: Tensor) -> Tensor:
    """Differences of values in units of the activity, given its reciprocal."""
    return ((difference * scale + 2048) >> 12).clamp(-INPUT_LIMIT, INPUT_LIMIT)


def surroundings(context: Context, log_activity: Tensor) -> Tensor:
    """The six inputs of every network that tell of activity and brightness, [..., 6]."""
    return torch.cat([log_activity[context.activity] - 32, (context.med - 128) >> 1], -1)


def front_end(taps: Tensor, log_activity: Tensor, reciprocal: Tensor) -> tuple[Context, Tensor]:
    """The integers before a network without predictors.

    taps: [..., 22, 3] int32, the causal neighbours; the tables as in tables.py.
    Returns the context, and the network inputs [..., 72] int32.
    """
    context, scaled = normalised_taps(taps, reciprocal)
    by_channel = scaled.transpose(-1, -2).flatten(-2)
    return context, torch.cat([by_channel, surroundings(context, log_activity)], -1)


# ---------------------------------------------------------------- what networks have in common


@dataclass(frozen=True)
class Part:
    """Some pixels of a group: rows of its coding order.

    flat: the group's canvas on the device, [bytes] uint8. at: [n] int64, where in it each pixel
    is.
    """

    group: GroupCanvas
    order: Wavefront
    rows: slice
    flat: Tensor
    at: Tensor

    @staticmethod
    def of_steps(
        group: GroupCanvas, order: Wavefront, flat: Tensor, first: int, last: int
    ) -> "Part":
        """The pixels of the wavefront steps from first to before last."""
        rows = slice(int(order.starts[first]), int(order.starts[last]))
        at = torch.from_numpy(order.offset[rows]).to(flat.device)
        return Part(group, order, rows, flat, at)

    @property
    def labels(self) -> Pixels:
        """Which entropy model speaks for each pixel, [n] uint8."""
        return self.order.label[self.rows]

    @property
    def tiles(self) -> NDArray[np.int64]:
        """Which tile each pixel is in, [n]."""
        return self.order.tile[self.rows]

    def widths(self) -> Tensor:
        """Of each pixel's bins, [n] int32."""
        return torch.from_numpy(self.order.width[self.rows]).to(self.flat.device, torch.int32)

    def pixels(self) -> Tensor:
        """The pixels themselves, [n, 3] int32; of a full canvas."""
        return self.gather(((0, 0),))[:, 0]

    def gather(self, places: tuple[tuple[int, int], ...]) -> Tensor:
        """The pixels at these distances (dy, dx) from each pixel, [n, places, 3] int32."""
        return self.flat[self.at[:, None, None] + self.offsets(places)].to(torch.int32)

    def offsets(self, places: tuple[tuple[int, int], ...]) -> Tensor:
        """How far away samples (dy, dx) are in a flat canvas, [places, 3] int64."""
        columns = self.group.canvas.shape[2]
        starts = torch.tensor([3 * (dy * columns + dx) for dy, dx in places])
        return (starts[:, None] + torch.arange(3)).to(self.flat.device)


class Voice(Protocol):
    """An entropy model that speaks for n pixels, or for each of them its own."""

    def mixture(self, channel: int, pixel: Tensor, width: Tensor | None = None) -> Mixture:
        """The mixture of one channel; pixel [n, 3] int32: the channels before it are known.

        width: [n] int32, of the bins; None is 1, lossless.
        """
        ...


class View(Protocol):
    """What a network makes of the surroundings of n pixels."""

    def speak(self, label: int | None = None) -> Voice:
        """What an entropy model makes of it; None asks for each pixel the one of its label."""
        ...

    def learn(self, pixel: Tensor) -> None:
        """Take note of what the pixels [n, 3] are; only after that look at the next step."""
        ...


class Reader(Protocol):
    """A network on its way through a group."""

    def look(self, part: Part) -> View:
        """See the surroundings of some pixels."""
        ...


class IntegerNetwork(Protocol):
    """A model on a device."""

    def follow(self, group: GroupCanvas) -> Reader:
        """For a group whose pixels come step by step, each to be learnt from."""
        ...

    def recall(self, group: GroupCanvas) -> Reader:
        """For a full canvas: any of its steps at once, in any order."""
        ...


class Layers:
    """The layers and tables of a model on a device; activations travel as `carrier`."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        self.device, self.carrier = device, carrier
        self.profile, self._layers = model.profile, model.layers
        self.tables: Tables = {k: torch.from_numpy(v).to(device) for k, v in model.tables.items()}

    def single(self, name: str) -> CarriedLayer:
        """A layer that all entropy models share."""
        return self._carried(self._layers[name], 0)

    def entropy_models(self, name: str) -> list[CarriedLayer]:
        """A layer that each entropy model has for itself."""
        layer = self._layers[name]
        return [self._carried(layer, label) for label in range(self.profile.entropy_models)]

    def _carried(self, layer: Layer, group: int) -> CarriedLayer:
        return CarriedLayer(layer, group, self.device, self.carrier)


def leak(y: Tensor, carrier: torch.dtype) -> Tensor:
    """Leaky ReLU of an int32 layer output, as the next layer wants it."""
    return torch.maximum(y, y >> LEAK_SHIFT).to(carrier)


def by_label(
    labels: Pixels,
    label: int | None,
    features: Tensor,
    outputs: int,
    ask: Callable[[int, Tensor], Tensor],
) -> Tensor:
    """`ask` (label, features) of each row of features [n, ...]: [n, outputs] int32.

    label: of all rows; None takes that of each row's label.
    """
    if label is not None:
        return ask(label, features)
    said = torch.empty((len(labels), outputs), dtype=torch.int32, device=features.device)
    for e in np.unique(labels).tolist():
        own = torch.from_numpy(np.flatnonzero(labels == e)).to(features.device)
        said[own] = ask(e, features[own])
    return said


def make_mixture(
    tables: Tables,
    pi: Tensor,
    mean: Tensor,
    scale: Tensor,
    level: Tensor,
    med: Tensor,
    width: Tensor | None,
) -> Mixture:
    """The mixture of n values from what a network says of them.

    pi, mean (1/64 of a value), scale: [n, K] int32. level: [n] int32, what scales start from.
    med: [n] int32, what bins lie around. width: of the bins; None is 1.
    """
    below = (pi.amax(-1, keepdim=True) - pi).clamp_max(511)
    weight = tables["exp"][below]
    index = ((scale >> 2) + level[:, None] + SCALE_BIAS).clamp(0, SCALE_COUNT - 1)
    width = torch.ones_like(level) if width is None else width
    return Mixture(
        mean,
        weight,
        tables["inverse_scale"][index],
        tables["reach"][index],
        (LOGISTIC_ONE >> 2) * weight.sum(-1, dtype=torch.int32),
        tables["logistic"],
        bins_around(med, width),
        width,
    )


# ---------------------------------------------------------------- networks without predictors


class ContextNetwork:
    """A network without predictors: it learns nothing, and is its own reader."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        layers = Layers(model, device, carrier)
        self._device, self._carrier, self.tables = device, carrier, layers.tables
        self.outputs = model.profile.outputs
        self._context, self._fusion = layers.single("context"), layers.single("fusion")
        self._hidden, self._output = (
            layers.entropy_models("hidden"),
            layers.entropy_models("output"),
        )

    def follow(self, group: GroupCanvas) -> Reader:
        """See IntegerNetwork."""
        return self

    recall = follow

    def look(self, part: Part) -> View:
        """See Reader."""
        taps = part.gather(TAPS)
        tables = self.tables
        context, inputs = front_end(taps, tables["log_activity"], tables["reciprocal"])
        order, rows = part.order, part.rows
        side = part.group.side[order.tile[rows], order.y[rows], order.x[rows]]
        features = self.fuse(
            inputs.to(self._carrier), torch.from_numpy(side).to(self._device, self._carrier)
        )
        return _ContextView(self, context, features, part.labels)

    def fuse(self, inputs: Tensor, side: Tensor) -> Tensor:
        """The masked convolution, then the fusion with the features of SIC."""
        context = leak(self._context(inputs), self._carrier)
        return leak(self._fusion(torch.cat([context, side], -1)), self._carrier)

    def speak(self, label: int, features: Tensor) -> Tensor:
        """Mixture parameters [n, 12 K] int32 of an entropy model."""
        return self._output[label](leak(self._hidden[label](features), self._carrier))


@dataclass(frozen=True)
class _ContextView:
    network: ContextNetwork
    context: Context
    features: Tensor
    labels: Pixels

    def speak(self, label: int | None = None) -> Voice:
        network = self.network
        params = by_label(self.labels, label, self.features, network.outputs, network.speak)
        return _ContextVoice(self.network.tables, self.context, params.unflatten(-1, (12, -1)))

    def learn(self, pixel: Tensor) -> None:
        """Nothing: all that it knows is in its weights."""


@dataclass(frozen=True)
class _ContextVoice:
    """params: [n, 12, K] int32."""

    tables: Tables
    context: Context
    params: Tensor

    def mixture(self, channel: int, pixel: Tensor, width: Tensor | None = None) -> Mixture:
        p, med = self.params, self.context.med
        beta = p[:, 9:12].clamp(-BETA_LIMIT, BETA_LIMIT)
        activity = self.context.activity[:, channel]
        residual = pixel - med
        gain = (activity + 3).clamp_min(6)
        mean = 64 * med[:, channel, None] + ((p[:, 3 + channel] * gain[:, None]) >> 2)
        if channel == 1:
            mean = mean + beta[:, 0] * residual[:, :1]
        if channel == 2:
            mean = mean + beta[:, 1] * residual[:, :1] + beta[:, 2] * residual[:, 1:2]
        level = self.tables["log_activity"][activity]
        pi, scale = p[:, channel], p[:, 6 + channel]
        return make_mixture(self.tables, pi, mean, scale, level, med[:, channel], width)
