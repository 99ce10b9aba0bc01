"""What a network with predictors makes of some pixels, and what it learns from them.

Entropy models speak channel by channel. Means are corrections of the predictions, and scales start
from their errors.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture
from seec.pipeline.codec.model.profile import BETA_LIMIT, HIDDEN_BITS, INPUT_BITS
from seec.pipeline.codec.network.hidden_adaptation import HiddenAdapter, gradients_of, runs_of
from seec.pipeline.codec.network.inputs import Sight, head_inputs
from seec.pipeline.codec.network.integer import Part, Voice, by_label, make_mixture
from seec.pipeline.codec.network.output_adaptation import OutputAdapter, slopes_of
from seec.pipeline.codec.network.predictors import Live, Said, error_of

if TYPE_CHECKING:
    from seec.pipeline.codec.network.adaptive import AdaptiveNetwork


@dataclass(frozen=True)
class Step:
    """Pixels that a network looks at: what it sees of them, and what predictors say."""

    network: "AdaptiveNetwork"
    part: Part
    sight: Sight
    said: Said


class AdaptiveView:
    """What the network makes of n pixels, all of which may be known."""

    def __init__(self, step: Step):
        self.step = step
        self.network, self.sight, self.said = step.network, step.sight, step.said
        self.labels = step.part.labels
        self.features = self.fuse()

    def fuse(self) -> Tensor:
        """Fused features [n, fused]."""
        return self.network.features(self.sight)

    def speak(self, label: int | None = None) -> Voice:
        """See View."""
        return _AdaptiveVoice(self, label)

    def learn(self, pixel: Tensor) -> None:
        """Nothing: the planes hold what predictors say when they have learnt."""


class FollowingView(AdaptiveView):
    """What the network makes of the pixels of a step, which its predictors then learn from."""

    def __init__(self, step: Step, live: Live):
        super().__init__(step)
        self._live = live

    def learn(self, pixel: Tensor) -> None:
        """See View."""
        self._live.learn(pixel)


class TunedView(FollowingView):
    """The same, and output layers learn from them, too."""

    def __init__(self, step: Step, live: Live, output_adapter: OutputAdapter):
        super().__init__(step, live)
        self.output_adapter, self.tile = output_adapter, step.part.tiles
        self.hidden: dict[int, Tensor] = {}  # of the channels that spoke, for their labels
        self.mixtures: dict[int, Mixture] = {}
        self.levers: dict[int, Tensor] = {}  # what gamma and beta are in units of: gradients_of

    def speak(self, label: int | None = None) -> Voice:
        """See View. Only what they say of pixels with their own labels teaches."""
        return _AdaptiveVoice(self, label) if label is not None else _TunedVoice(self, None)

    def learn(self, pixel: Tensor) -> None:
        """See View."""
        for channel, mixture in self.mixtures.items():
            slopes = slopes_of(mixture, pixel[:, channel])
            self.output_adapter.note(channel, self.tile, self.hidden[channel], slopes)
            self.teach(channel, slopes)
        self.end_step()
        super().learn(pixel)

    def think(self, channel: int, seen: Tensor) -> Tensor:
        """Hidden features of a channel, [n, hidden] int32; seen: [n, fused + head inputs]."""
        outputs = self.network.profile.hidden
        return by_label(
            self.labels,
            None,
            seen,
            outputs,
            lambda label, own: self.network.think(channel, label, own),
        )

    def teach(self, channel: int, slopes: Tensor) -> None:
        """Hidden layers learn nothing."""

    def end_step(self) -> Tensor:
        """Layers learn, in tiles that have coded enough; returns which those are."""
        return self.output_adapter.end_step(self.tile)


class LearningView(TunedView):
    """The same, and the fusion and hidden layers learn, too."""

    def __init__(
        self, step: Step, live: Live, output_adapter: OutputAdapter, learning: HiddenAdapter
    ):
        self.learning = learning
        self.runs = runs_of(step.part.tiles, step.part.labels, step.sight.scale.device)
        self.context = step.network.context(step.sight)
        self.seen: dict[int, Tensor] = {}
        self.back: Tensor | None = None
        super().__init__(step, live, output_adapter)

    def fuse(self) -> Tensor:
        """See AdaptiveView."""
        return self.learning.fuse(self.context, self.runs).to(self.network.carrier)

    def think(self, channel: int, seen: Tensor) -> Tensor:
        """See TunedView."""
        self.seen[channel] = seen
        return self.learning.think(channel, seen, self.runs)

    def teach(self, channel: int, slopes: Tensor) -> None:
        """See TunedView."""
        gain = self.sight.gain()[:, channel]
        levers = self.levers[channel] if self.learning.means else None
        gradient = gradients_of(slopes, self.mixtures[channel], gain, levers)
        back = self.learning.note(
            channel, self.seen[channel], self.hidden[channel], gradient, self.runs
        )
        self.back = back if self.back is None else self.back + back

    def end_step(self) -> Tensor:
        """See TunedView."""
        if self.back is not None:
            self.learning.note_fusion(self.context, self.features, self.back, self.runs)
        due = super().end_step()
        self.learning.move(due)
        return due


@dataclass(frozen=True)
class _AdaptiveVoice:
    view: AdaptiveView
    label: int | None

    def mixture(self, channel: int, pixel: Tensor, width: Tensor | None = None) -> Mixture:
        """See Voice."""
        view, sight = self.view, self.view.sight
        network, tables = view.network, view.network.tables
        full, base = view.said.of(channel, pixel)
        known = self._known_errors(channel, pixel)
        params = self._params(channel, head_inputs(full, known, sight.scale, tables))
        k, predictors = network.profile.mixtures, base.shape[1]
        pi, mu, scale, gamma, beta = params.split([k, k, k, predictors, channel], 1)

        med = sight.context.med[:, channel]
        spread = sight.spread()[:, 0, channel]
        away = base - 64 * med[:, None]
        self._note_levers(channel, away, known)
        corrections = (gamma * away + 32) >> 6
        coupled = (beta.clamp(-BETA_LIMIT, BETA_LIMIT) * known) >> 2
        centre = 64 * med + corrections.sum(-1, dtype=torch.int32)
        centre = centre + coupled.sum(-1, dtype=torch.int32)
        mean = centre[:, None] + ((mu * sight.gain()[:, channel, None]) >> 4)
        return make_mixture(tables, pi, mean, scale, tables["log_error"][spread], med, width)

    def _params(self, channel: int, heads: Tensor) -> Tensor:
        view, network = self.view, self.view.network
        return by_label(
            view.labels,
            self.label,
            self._seen(heads),
            network.profile.channel_outputs[channel],
            lambda label, seen: network.speak(channel, label, seen),
        )

    def _seen(self, heads: Tensor) -> Tensor:
        features = self.view.features
        inputs = heads.to(features.dtype) * 2 ** (HIDDEN_BITS - INPUT_BITS)
        return torch.cat([features, inputs], 1)

    def _note_levers(self, channel: int, away: Tensor, known: Tensor) -> None:
        """Told of what gamma and beta multiply: nobody learns from it."""

    def _known_errors(self, channel: int, pixel: Tensor) -> Tensor:
        """Of the first predictor in the channels before this one, [n, channel] int32."""
        said = self.view.said
        bases = [said.of(c, pixel)[1][:, 0] for c in range(channel)]
        errors = [error_of(pixel[:, c], base) for c, base in enumerate(bases)]
        return torch.stack(errors, 1) if errors else pixel[:, :0]


@dataclass(frozen=True)
class _TunedVoice(_AdaptiveVoice):
    view: TunedView

    def mixture(self, channel: int, pixel: Tensor, width: Tensor | None = None) -> Mixture:
        """See Voice."""
        found = super().mixture(channel, pixel, width)
        self.view.mixtures[channel] = found
        return found

    def _note_levers(self, channel: int, away: Tensor, known: Tensor) -> None:
        """See _AdaptiveVoice."""
        self.view.levers[channel] = torch.cat([away, 16 * known], 1)

    def _params(self, channel: int, heads: Tensor) -> Tensor:
        view, network, p = self.view, self.view.network, self.view.network.profile
        hidden = view.think(channel, self._seen(heads))
        said = by_label(
            view.labels,
            self.label,
            hidden,
            p.channel_outputs[channel],
            lambda label, own: network.conclude(channel, label, own),
        )
        view.hidden[channel] = hidden
        return view.output_adapter.correct(channel, view.tile, hidden, said)
