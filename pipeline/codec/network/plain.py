"""Networks without predictors, in integers."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import dataclass

import torch
from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture
from seec.pipeline.codec.coding.tiles import GroupCanvas, Pixels
from seec.pipeline.codec.model.profile import BETA_LIMIT, TAPS
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.network.inputs import Context, Tables, front_end
from seec.pipeline.codec.network.layers import Layers, by_label, leak
from seec.pipeline.codec.network.mixtures import make_mixture
from seec.pipeline.codec.network.parts import Part
from seec.pipeline.codec.network.protocol import ChannelModel, Reader, StepModel


class PlainNetwork:
    """A network without predictors: it learns nothing, and is its own reader."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        layers = Layers(model, device, carrier)
        self._device, self._carrier, self.tables = device, carrier, layers.tables
        self.outputs = model.profile.outputs
        self._context, self._fusion = layers.single("context"), layers.single("fusion")
        self._hidden = layers.entropy_models("hidden")
        self._output = layers.entropy_models("output")

    def follow(self, group: GroupCanvas) -> Reader:
        """See IntegerNetwork."""
        return self

    recall = follow

    def model_of(self, part: Part) -> StepModel:
        """See Reader."""
        taps = part.gather(TAPS)
        tables = self.tables
        context, inputs = front_end(taps, tables["log_activity"], tables["reciprocal"])
        order, rows = part.order, part.rows
        side = part.group.side[order.tile[rows], order.y[rows], order.x[rows]]
        features = self.fuse(
            inputs.to(self._carrier), torch.from_numpy(side).to(self._device, self._carrier)
        )
        return _PlainStep(self, context, features, part.labels)

    def fuse(self, inputs: Tensor, side: Tensor) -> Tensor:
        """The masked convolution, then the fusion with the features of SIC."""
        context = leak(self._context(inputs), self._carrier)
        return leak(self._fusion(torch.cat([context, side], -1)), self._carrier)

    def mixture_params(self, label: int, features: Tensor) -> Tensor:
        """Mixture parameters [n, 12 K] int32 of an entropy model."""
        return self._output[label](leak(self._hidden[label](features), self._carrier))


@dataclass(frozen=True)
class _PlainStep:
    network: PlainNetwork
    context: Context
    features: Tensor
    labels: Pixels

    def channel_model(self, label: int | None = None) -> ChannelModel:
        network = self.network
        params = by_label(
            self.labels, label, self.features, network.outputs, network.mixture_params
        )
        return _PlainChannelModel(self.network.tables, self.context, params.unflatten(-1, (12, -1)))

    def learn(self, pixel: Tensor) -> None:
        """Nothing: all that it knows is in its weights."""


@dataclass(frozen=True)
class _PlainChannelModel:
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
