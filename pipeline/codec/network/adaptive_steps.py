"""The features of some pixels under a network with predictors, and how layers adapt to the pixels.

Entropy models code channel by channel. Means are corrections of the predictions, and scales start
from their errors.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import dataclass

import torch
from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture
from seec.pipeline.codec.model.profile import BETA_LIMIT, HIDDEN_BITS, INPUT_BITS
from seec.pipeline.codec.network.adaptive_layers import AdaptiveLayers
from seec.pipeline.codec.network.hidden_adaptation import HiddenAdapter, in_one_unit, runs_of
from seec.pipeline.codec.network.inputs import NetworkInputs, head_inputs
from seec.pipeline.codec.network.layers import by_label
from seec.pipeline.codec.network.mixtures import make_mixture
from seec.pipeline.codec.network.output_adaptation import OutputAdapter, gradients_of
from seec.pipeline.codec.network.parts import Part
from seec.pipeline.codec.network.predictors import LivePredictions, Predictions, error_of
from seec.pipeline.codec.network.protocol import ChannelModel


@dataclass(frozen=True)
class StepInputs:
    """Some pixels: the inputs of the network, and the predictions."""

    layers: AdaptiveLayers
    part: Part
    inputs: NetworkInputs
    predictions: Predictions


class PredictedStep:
    """The features of n pixels, all of which may be known; see StepModel."""

    def __init__(self, step: StepInputs):
        self.step = step
        self.layers, self.inputs, self.predictions = step.layers, step.inputs, step.predictions
        self.labels = step.part.labels
        self.features = self.fuse()

    def fuse(self) -> Tensor:
        """Fused features [n, fused]."""
        return self.layers.fused(self.inputs)

    def channel_model(self, label: int | None = None) -> ChannelModel:
        """See StepModel."""
        return _AdaptiveChannelModel(self, label)

    def learn(self, pixel: Tensor) -> None:
        """Nothing: planes hold the predictions of predictors that have learnt."""


class FollowedStep(PredictedStep):
    """The same of the pixels of a step, from which predictors then learn."""

    def __init__(self, step: StepInputs, live: LivePredictions):
        super().__init__(step)
        self._live = live

    def learn(self, pixel: Tensor) -> None:
        """See StepModel."""
        self._live.learn(pixel)


class OutputAdaptedStep(FollowedStep):
    """The same, and output layers adapt."""

    def __init__(self, step: StepInputs, live: LivePredictions, output_adapter: OutputAdapter):
        super().__init__(step, live)
        self.output_adapter, self.tile = output_adapter, step.part.tiles
        self.hidden: dict[int, Tensor] = {}  # by channel, under the labels
        self.mixtures: dict[int, Mixture] = {}
        self.mean_terms: dict[int, Tensor] = {}  # what gamma and beta multiply: see in_one_unit

    def channel_model(self, label: int | None = None) -> ChannelModel:
        """See StepModel. Layers learn only from pixels under their own labels."""
        if label is not None:
            return _AdaptiveChannelModel(self, label)
        return _AdaptedChannelModel(self, None)

    def learn(self, pixel: Tensor) -> None:
        """See StepModel."""
        for channel, mixture in self.mixtures.items():
            gradients = gradients_of(mixture, pixel[:, channel])
            self.output_adapter.accumulate(channel, self.tile, self.hidden[channel], gradients)
            self.backprop(channel, gradients)
        self.end_step()
        super().learn(pixel)

    def hidden_features(self, channel: int, features: Tensor) -> Tensor:
        """Hidden features of a channel, [n, hidden] int32; features: [n, fused + head inputs]."""
        outputs = self.layers.profile.hidden
        return by_label(
            self.labels,
            None,
            features,
            outputs,
            lambda label, own: self.layers.hidden(channel, label, own),
        )

    def backprop(self, channel: int, gradients: Tensor) -> None:
        """Hidden layers do not adapt."""

    def end_step(self) -> Tensor:
        """Layers of tiles with enough pixels take a step; returns these tiles."""
        return self.output_adapter.end_step(self.tile)


class HiddenAdaptedStep(OutputAdaptedStep):
    """The same, and the fusion and hidden layers adapt."""

    def __init__(
        self,
        step: StepInputs,
        live: LivePredictions,
        output_adapter: OutputAdapter,
        hidden_adapter: HiddenAdapter,
    ):
        self.hidden_adapter = hidden_adapter
        self.runs = runs_of(step.part.tiles, step.part.labels, step.inputs.scale.device)
        self.context = step.layers.context(step.inputs)
        self.entropy_inputs: dict[int, Tensor] = {}
        self.back: Tensor | None = None
        super().__init__(step, live, output_adapter)

    def fuse(self) -> Tensor:
        """See PredictedStep."""
        return self.hidden_adapter.fuse(self.context, self.runs).to(self.layers.carrier)

    def hidden_features(self, channel: int, features: Tensor) -> Tensor:
        """See OutputAdaptedStep."""
        self.entropy_inputs[channel] = features
        return self.hidden_adapter.hidden(channel, features, self.runs)

    def backprop(self, channel: int, gradients: Tensor) -> None:
        """See OutputAdaptedStep."""
        gain = self.inputs.gain()[:, channel]
        mean_terms = self.mean_terms[channel] if self.hidden_adapter.means else None
        gradient = in_one_unit(gradients, self.mixtures[channel], gain, mean_terms)
        back = self.hidden_adapter.backprop(
            channel, self.entropy_inputs[channel], self.hidden[channel], gradient, self.runs
        )
        self.back = back if self.back is None else self.back + back

    def end_step(self) -> Tensor:
        """See OutputAdaptedStep."""
        if self.back is not None:
            self.hidden_adapter.backprop_fusion(self.context, self.features, self.back, self.runs)
        due = super().end_step()
        self.hidden_adapter.step(due)
        return due


@dataclass(frozen=True)
class _AdaptiveChannelModel:
    step_model: PredictedStep
    label: int | None

    def mixture(self, channel: int, pixel: Tensor, width: Tensor | None = None) -> Mixture:
        """See ChannelModel."""
        step_model, inputs = self.step_model, self.step_model.inputs
        layers, tables = step_model.layers, step_model.layers.tables
        full, base = step_model.predictions.of(channel, pixel)
        known = self._known_errors(channel, pixel)
        params = self._params(channel, head_inputs(full, known, inputs.scale, tables))
        k, predictors = layers.profile.mixtures, base.shape[1]
        pi, mu, scale, gamma, beta = params.split([k, k, k, predictors, channel], 1)

        med = inputs.context.med[:, channel]
        spread = inputs.spread()[:, 0, channel]
        away = base - 64 * med[:, None]
        self._keep_mean_terms(channel, away, known)
        corrections = (gamma * away + 32) >> 6
        coupled = (beta.clamp(-BETA_LIMIT, BETA_LIMIT) * known) >> 2
        centre = 64 * med + corrections.sum(-1, dtype=torch.int32)
        centre = centre + coupled.sum(-1, dtype=torch.int32)
        mean = centre[:, None] + ((mu * inputs.gain()[:, channel, None]) >> 4)
        return make_mixture(tables, pi, mean, scale, tables["log_error"][spread], med, width)

    def _params(self, channel: int, heads: Tensor) -> Tensor:
        step_model, layers = self.step_model, self.step_model.layers
        return by_label(
            step_model.labels,
            self.label,
            self._entropy_inputs(heads),
            layers.profile.channel_outputs[channel],
            lambda label, own: layers.mixture_params(channel, label, own),
        )

    def _entropy_inputs(self, heads: Tensor) -> Tensor:
        features = self.step_model.features
        inputs = heads.to(features.dtype) * 2 ** (HIDDEN_BITS - INPUT_BITS)
        return torch.cat([features, inputs], 1)

    def _keep_mean_terms(self, channel: int, away: Tensor, known: Tensor) -> None:
        """Without adaptation, what gamma and beta multiply is not kept."""

    def _known_errors(self, channel: int, pixel: Tensor) -> Tensor:
        """Of the first predictor in the channels before this one, [n, channel] int32."""
        predictions = self.step_model.predictions
        bases = [predictions.of(c, pixel)[1][:, 0] for c in range(channel)]
        errors = [error_of(pixel[:, c], base) for c, base in enumerate(bases)]
        return torch.stack(errors, 1) if errors else pixel[:, :0]


@dataclass(frozen=True)
class _AdaptedChannelModel(_AdaptiveChannelModel):
    step_model: OutputAdaptedStep

    def mixture(self, channel: int, pixel: Tensor, width: Tensor | None = None) -> Mixture:
        """See ChannelModel."""
        found = super().mixture(channel, pixel, width)
        self.step_model.mixtures[channel] = found
        return found

    def _keep_mean_terms(self, channel: int, away: Tensor, known: Tensor) -> None:
        """See _AdaptiveChannelModel."""
        self.step_model.mean_terms[channel] = torch.cat([away, 16 * known], 1)

    def _params(self, channel: int, heads: Tensor) -> Tensor:
        step_model, layers = self.step_model, self.step_model.layers
        hidden = step_model.hidden_features(channel, self._entropy_inputs(heads))
        outputs = by_label(
            step_model.labels,
            self.label,
            hidden,
            layers.profile.channel_outputs[channel],
            lambda label, own: layers.output(channel, label, own),
        )
        step_model.hidden[channel] = hidden
        return step_model.output_adapter.correct(channel, step_model.tile, hidden, outputs)
