"""Networks with predictors in integers: what predictors say, and how they erred, is input.

Such a network sees the pixel's neighbours, what local least-squares predictors (predictor.py)
make of them and by how much those were off nearby. Its entropy models speak channel by channel:
those of G and B also see how the predictors did on the channels before them. Means are corrections
of the predictions, and scales start from their errors.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import dataclass

import torch
from torch import Tensor

from seec.pipeline.codec.coding.tiles import GroupCanvas
from seec.pipeline.codec.model.profile import (
    ACTIVITY_TAPS,
    TAPS,
)
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.network.adaptive_views import (
    AdaptiveView,
    FollowingView,
    LearningView,
    Step,
    TunedView,
)
from seec.pipeline.codec.network.hidden_adaptation import HiddenAdapter
from seec.pipeline.codec.network.inputs import Sight, network_inputs
from seec.pipeline.codec.network.integer import (
    Context,
    Layers,
    Part,
    Reader,
    Tables,
    View,
    leak,
    normalised_taps,
)
from seec.pipeline.codec.network.output_adaptation import OutputAdapter
from seec.pipeline.codec.network.predictors import (
    Learner,
    Planes,
    at_places,
    follow,
    samples_of,
)

_NEAR = tuple(TAPS[tap] for tap in ACTIVITY_TAPS)


class AdaptiveNetwork:
    """A network with predictors on a device."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        layers = Layers(model, device, carrier)
        self.profile, self.tables = model.profile, layers.tables
        self._model, self._device, self.carrier = model, device, carrier
        self._context, self._fusion = layers.single("context"), layers.single("fusion")
        self._hidden = [layers.entropy_models(f"hidden_{name}") for name in "rgb"]
        self._output = [layers.entropy_models(f"output_{name}") for name in "rgb"]

    def follow(self, group: GroupCanvas) -> Reader:
        """See IntegerNetwork."""
        p = self.profile
        tiles, starts = len(group.sizes), self._model.starts
        learner = Learner(p.predictors, starts, group, self._device)
        if p.adaptation is None:
            return _Following(self, learner, None, None)
        output_adapter = OutputAdapter(p, p.adaptation, tiles, self._device)
        if not p.adaptation.deep:
            return _Following(self, learner, output_adapter, None)
        learning = HiddenAdapter(self._model, p.adaptation, tiles, self._device)
        return _Following(self, learner, output_adapter, learning)

    def recall(self, group: GroupCanvas) -> Reader:
        """See IntegerNetwork. What output layers would learn it does not know."""
        predictors = self.profile.predictors
        return _Recalling(
            self, follow(predictors, self._model.starts, self.tables, group, self._device)
        )

    def features(self, sight: Sight) -> Tensor:
        """Fused features [n, fused]."""
        return leak(self._fusion(self.context(sight)), self.carrier)

    def context(self, sight: Sight) -> Tensor:
        """Features of the context layer, [n, width]."""
        inputs = network_inputs(sight, self.tables).to(self.carrier)
        return leak(self._context(inputs), self.carrier)

    def speak(self, channel: int, label: int, seen: Tensor) -> Tensor:
        """Mixture parameters of a channel, [n, 3 K + P + c] int32.

        seen: [n, fused + head inputs], as hidden features.
        """
        return self.conclude(channel, label, self.think(channel, label, seen))

    def think(self, channel: int, label: int, seen: Tensor) -> Tensor:
        """Hidden features of a channel, [n, hidden] int32."""
        return leak(self._hidden[channel][label](seen), torch.int32)

    def conclude(self, channel: int, label: int, hidden: Tensor) -> Tensor:
        """Mixture parameters from hidden features."""
        return self._output[channel][label](hidden.to(self.carrier))


@dataclass(frozen=True)
class _Following:
    """Step by step: predictors learn from each, and layers with what they learn by."""

    network: AdaptiveNetwork
    learner: Learner
    output_adapter: OutputAdapter | None
    learning: HiddenAdapter | None

    def look(self, part: Part) -> View:
        context, scaled, scale = _taps(part, self.network.tables)
        live = self.learner.ask(part, context, scaled, scale)
        sight = Sight(context, scaled, scale, _around(part, self.learner.error), live.ls)
        step = Step(self.network, part, sight, live)
        if self.output_adapter is None:
            return FollowingView(step, live)
        if self.learning is None:
            return TunedView(step, live, self.output_adapter)
        return LearningView(step, live, self.output_adapter, self.learning)


@dataclass(frozen=True)
class _Recalling:
    """Any pixels of a full canvas: what predictors say of them is known."""

    network: AdaptiveNetwork
    planes: Planes

    def look(self, part: Part) -> View:
        context, scaled, scale = _taps(part, self.network.tables)
        said = _Recalled(self.planes, samples_of(part))
        sight = Sight(context, scaled, scale, _around(part, self.planes.error), said.ls)
        return AdaptiveView(Step(self.network, part, sight, said))


def _taps(part: Part, tables: Tables) -> tuple[Context, Tensor, Tensor]:
    context, scaled = normalised_taps(part.gather(TAPS), tables["reciprocal"])
    return context, scaled, tables["reciprocal"][context.activity.sum(-1)]


def _around(part: Part, error: Tensor) -> Tensor:
    """Errors of the predictors at the nearest places, [n, 6, P, 3] int32."""
    places = part.at[:, None, None] + part.offsets(_NEAR)
    return at_places(error, places).permute(1, 2, 0, 3)


@dataclass(frozen=True)
class _Recalled:
    """Said, from planes. places: [n, 3] int64, of the pixels' channels in the canvas."""

    planes: Planes
    places: Tensor

    @property
    def ls(self) -> Tensor:
        return at_places(self.planes.ls, self.places).transpose(0, 1)

    def of(self, channel: int, pixel: Tensor) -> tuple[Tensor, Tensor]:
        place = self.places[:, channel]
        return at_places(self.planes.full, place).T, at_places(self.planes.base, place).T
