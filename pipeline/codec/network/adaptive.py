"""Networks with predictors in integers.

The inputs of such a network are the pixel's neighbours, the predictions of local least-squares
predictors (predictors.py) and the errors of these nearby. Its entropy models code channel by
channel: those of G and B also see the errors of the predictors in the channels before. Means are
corrections of the predictions, and scales start from their errors.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import dataclass

import torch
from torch import Tensor

from seec.pipeline.codec.coding.tiles import GroupCanvas
from seec.pipeline.codec.model.profile import ACTIVITY_TAPS, TAPS
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.network.adaptive_layers import AdaptiveLayers
from seec.pipeline.codec.network.adaptive_steps import (
    FollowedStep,
    HiddenAdaptedStep,
    OutputAdaptedStep,
    PredictedStep,
    StepInputs,
)
from seec.pipeline.codec.network.hidden_adaptation import HiddenAdapter
from seec.pipeline.codec.network.inputs import Context, NetworkInputs, Tables, normalised_taps
from seec.pipeline.codec.network.output_adaptation import OutputAdapter
from seec.pipeline.codec.network.parts import Part
from seec.pipeline.codec.network.predictors import Learner, Planes, at_places, follow, samples_of
from seec.pipeline.codec.network.protocol import Reader, StepModel

_NEAR = tuple(TAPS[tap] for tap in ACTIVITY_TAPS)


class AdaptiveNetwork:
    """A network with predictors on a device."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        self._model, self._device = model, device
        self._layers = AdaptiveLayers(model, device, carrier)

    def follow(self, group: GroupCanvas) -> Reader:
        """See IntegerNetwork."""
        p, layers, tiles = self._model.profile, self._layers, len(group.sizes)
        learner = Learner(p.predictors, self._model.starts, group, self._device)
        if p.adaptation is None:
            return _Following(layers, learner, None, None)
        output_adapter = OutputAdapter(p, p.adaptation, tiles, self._device)
        if not p.adaptation.deep:
            return _Following(layers, learner, output_adapter, None)
        hidden_adapter = HiddenAdapter(self._model, p.adaptation, tiles, self._device)
        return _Following(layers, learner, output_adapter, hidden_adapter)

    def recall(self, group: GroupCanvas) -> Reader:
        """See IntegerNetwork. Layers that would adapt are those of the model."""
        predictors, starts = self._model.profile.predictors, self._model.starts
        planes = follow(predictors, starts, self._layers.tables, group, self._device)
        return _Recalling(self._layers, planes)


@dataclass(frozen=True)
class _Following:
    """Step by step: predictors learn from each, and so do layers that adapt."""

    layers: AdaptiveLayers
    learner: Learner
    output_adapter: OutputAdapter | None
    hidden_adapter: HiddenAdapter | None

    def model_of(self, part: Part) -> StepModel:
        context, scaled, scale = _taps(part, self.layers.tables)
        live = self.learner.predict(part, context, scaled, scale)
        inputs = NetworkInputs(context, scaled, scale, _around(part, self.learner.error), live.ls)
        step = StepInputs(self.layers, part, inputs, live)
        if self.output_adapter is None:
            return FollowedStep(step, live)
        if self.hidden_adapter is None:
            return OutputAdaptedStep(step, live, self.output_adapter)
        return HiddenAdaptedStep(step, live, self.output_adapter, self.hidden_adapter)


@dataclass(frozen=True)
class _Recalling:
    """Any pixels of a full canvas, whose predictions are known."""

    layers: AdaptiveLayers
    planes: Planes

    def model_of(self, part: Part) -> StepModel:
        context, scaled, scale = _taps(part, self.layers.tables)
        predictions = _Recalled(self.planes, samples_of(part))
        inputs = NetworkInputs(
            context, scaled, scale, _around(part, self.planes.error), predictions.ls
        )
        return PredictedStep(StepInputs(self.layers, part, inputs, predictions))


def _taps(part: Part, tables: Tables) -> tuple[Context, Tensor, Tensor]:
    context, scaled = normalised_taps(part.gather(TAPS), tables["reciprocal"])
    return context, scaled, tables["reciprocal"][context.activity.sum(-1)]


def _around(part: Part, error: Tensor) -> Tensor:
    """Errors of the predictors at the nearest places, [n, 6, P, 3] int32."""
    places = part.at[:, None, None] + part.offsets(_NEAR)
    return at_places(error, places).permute(1, 2, 0, 3)


@dataclass(frozen=True)
class _Recalled:
    """Predictions, from planes. places: [n, 3] int64, of the pixels' channels in the canvas."""

    planes: Planes
    places: Tensor

    @property
    def ls(self) -> Tensor:
        return at_places(self.planes.ls, self.places).transpose(0, 1)

    def of(self, channel: int, pixel: Tensor) -> tuple[Tensor, Tensor]:
        place = self.places[:, channel]
        return at_places(self.planes.full, place).T, at_places(self.planes.base, place).T
