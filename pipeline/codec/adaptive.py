"""Networks with predictors in integers: what predictors say, and how they erred, is input.

Such a network sees the pixel's neighbours, what local least-squares predictors (predictor.py)
make of them and by how much those were off nearby. Its entropy models speak channel by channel:
those of G and B also see how the predictors did on the channels before them. Means are corrections
of the predictions, and scales start from their errors.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.codec.distribution import Mixture
from pipeline.codec.integer import (
    Context,
    Layers,
    Part,
    Reader,
    Tables,
    View,
    Voice,
    by_label,
    leak,
    make_mixture,
    normalised_taps,
    surroundings,
)
from pipeline.codec.learning import Learning, gradients_of, runs_of
from pipeline.codec.predictor import (
    Learner,
    Live,
    Planes,
    Said,
    at_places,
    error_of,
    follow,
    samples_of,
)
from pipeline.codec.profile import (
    ACTIVITY_TAPS,
    BETA_LIMIT,
    HIDDEN_BITS,
    INPUT_BITS,
    INPUT_LIMIT,
    TAPS,
)
from pipeline.codec.tiles import GroupCanvas, Pixels
from pipeline.codec.tuning import Tuner, slopes_of
from pipeline.codec.weights import Model

_NEAR = tuple(TAPS[tap] for tap in ACTIVITY_TAPS)


@dataclass(frozen=True)
class Sight:
    """What is seen of pixels before anything of them is known; all int32.

    context: MED and activity. scaled: [..., 22, 3], normalised taps. scale: [...], the reciprocal
    behind them. around: [..., 6, P, 3], errors of the predictors at the six nearest places, in
    1/4 of a value. ls: [..., P, 3], network inputs that the predictors give.
    """

    context: Context
    scaled: Tensor
    scale: Tensor
    around: Tensor
    ls: Tensor

    def spread(self) -> Tensor:
        """How far the predictors were off nearby, [..., P, 3]."""
        return self.around.abs().sum(-3, dtype=torch.int32)

    def gain(self) -> Tensor:
        """What mu is in units of, 1/16 of a value: [..., 3]."""
        return (self.spread()[..., 0, :] + 12).clamp_min(16)


def network_inputs(sight: Sight, tables: Tables) -> Tensor:
    """The numbers that enter the context layer, [..., inputs] int32."""
    level = tables["log_error"][sight.spread()] - 32
    errors = _scaled_errors(sight.around[..., 0, :], sight.scale[..., None, None])
    parts = [
        sight.scaled.flatten(-2),
        surroundings(sight.context, tables["log_activity"]),
        sight.ls[..., 0, :],
        errors.flatten(-2),
        level[..., 0, :],
    ]
    for p in range(1, sight.ls.shape[-2]):
        parts += [sight.ls[..., p, :], level[..., p, :]]
    return torch.cat(parts, -1)


def head_inputs(full: Tensor, known: Tensor, scale: Tensor, tables: Tables) -> Tensor:
    """What an entropy model sees of the channels before its own, [..., P + 3 known] int32.

    full: [..., P] int32, head numbers of its channel. known: [..., channels before it] int32, the
    errors of the first predictor there. scale: as in Sight. Nothing for R.
    """
    if not known.shape[-1]:
        return known
    errors = _scaled_errors(known, scale[..., None])
    level = tables["log_error"][len(ACTIVITY_TAPS) * known.abs()] - 32
    own = torch.stack([errors, errors.abs(), level], -1).flatten(-2)
    return torch.cat([full[..., :1], own, full[..., 1:]], -1)


def _scaled_errors(error: Tensor, scale: Tensor) -> Tensor:
    return ((error * scale + 8192) >> 14).clamp(-INPUT_LIMIT, INPUT_LIMIT)


class AdaptiveNetwork:
    """A network with predictors on a device."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        layers = Layers(model, device, carrier)
        self.profile, self.tables = model.profile, layers.tables
        self._model, self._device, self.carrier = model, device, carrier
        self._context, self._fusion = layers.single("context"), layers.single("fusion")
        self._hidden = [layers.experts(f"hidden_{name}") for name in "rgb"]
        self._output = [layers.experts(f"output_{name}") for name in "rgb"]

    def follow(self, group: GroupCanvas) -> Reader:
        """See IntegerNetwork."""
        p = self.profile
        tiles, starts = len(group.sizes), self._model.starts
        learner = Learner(p.predictors, starts, group, self._device)
        if p.tuning is None:
            return _Following(self, learner, None, None)
        tuner = Tuner(p, p.tuning, tiles, self._device)
        if not p.tuning.deep:
            return _Following(self, learner, tuner, None)
        learning = Learning(self._model, p.tuning, tiles, self._device)
        return _Following(self, learner, tuner, learning)

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

    def speak(self, channel: int, expert: int, seen: Tensor) -> Tensor:
        """Mixture parameters of a channel, [n, 3 K + P + c] int32.

        seen: [n, fused + head inputs], as hidden features.
        """
        return self.conclude(channel, expert, self.think(channel, expert, seen))

    def think(self, channel: int, expert: int, seen: Tensor) -> Tensor:
        """Hidden features of a channel, [n, hidden] int32."""
        return leak(self._hidden[channel][expert](seen), torch.int32)

    def conclude(self, channel: int, expert: int, hidden: Tensor) -> Tensor:
        """Mixture parameters from hidden features."""
        return self._output[channel][expert](hidden.to(self.carrier))


@dataclass(frozen=True)
class _Following:
    """Step by step: predictors learn from each, and layers with what they learn by."""

    network: AdaptiveNetwork
    learner: Learner
    tuner: Tuner | None
    learning: Learning | None

    def look(self, part: Part) -> View:
        context, scaled, scale = _taps(part, self.network.tables)
        live = self.learner.ask(part, context, scaled, scale)
        sight = Sight(context, scaled, scale, _around(part, self.learner.error), live.ls)
        if self.tuner is None:
            return _FollowingView(self.network, sight, live, part.labels)
        tile = part.order.tile[part.rows]
        if self.learning is None:
            return _TunedView(self.network, sight, live, part.labels, self.tuner, tile)
        return _LearningView(
            self.network, sight, live, part.labels, self.tuner, tile, self.learning
        )


@dataclass(frozen=True)
class _Recalling:
    """Any pixels of a full canvas: what predictors say of them is known."""

    network: AdaptiveNetwork
    planes: Planes

    def look(self, part: Part) -> View:
        context, scaled, scale = _taps(part, self.network.tables)
        said = _Recalled(self.planes, samples_of(part))
        sight = Sight(context, scaled, scale, _around(part, self.planes.error), said.ls)
        return _AdaptiveView(self.network, sight, said, part.labels)


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


class _AdaptiveView:
    """What the network makes of n pixels, all of which may be known."""

    def __init__(self, network: AdaptiveNetwork, sight: Sight, said: Said, labels: Pixels):
        self.network, self.sight, self.said, self.labels = network, sight, said, labels
        self.features = self.fuse()

    def fuse(self) -> Tensor:
        """Fused features [n, fused]."""
        return self.network.features(self.sight)

    def speak(self, expert: int | None = None) -> Voice:
        """See View."""
        return _AdaptiveVoice(self, expert)

    def learn(self, pixel: Tensor) -> None:
        """Nothing: the planes hold what predictors say when they have learnt."""


class _FollowingView(_AdaptiveView):
    """What the network makes of the pixels of a step, which its predictors then learn from."""

    def __init__(self, network: AdaptiveNetwork, sight: Sight, live: Live, labels: Pixels):
        super().__init__(network, sight, live, labels)
        self._live = live

    def learn(self, pixel: Tensor) -> None:
        """See View."""
        self._live.learn(pixel)


class _TunedView(_FollowingView):
    """The same of pixels of these tiles, [n], whose output layers learn from them, too."""

    def __init__(
        self,
        network: AdaptiveNetwork,
        sight: Sight,
        live: Live,
        labels: Pixels,
        tuner: Tuner,
        tile: NDArray[np.int64],
    ):
        super().__init__(network, sight, live, labels)
        self.tuner, self.tile = tuner, tile
        self.hidden: dict[int, Tensor] = {}  # of the channels that spoke, for their labels
        self.mixtures: dict[int, Mixture] = {}

    def speak(self, expert: int | None = None) -> Voice:
        """See View. Only what they say of pixels with their own labels teaches."""
        return _AdaptiveVoice(self, expert) if expert is not None else _TunedVoice(self, None)

    def learn(self, pixel: Tensor) -> None:
        """See View."""
        for channel, mixture in self.mixtures.items():
            slopes = slopes_of(mixture, pixel[:, channel])
            self.tuner.note(channel, self.tile, self.hidden[channel], slopes)
            self.teach(channel, slopes)
        self.end_step()
        super().learn(pixel)

    def think(self, channel: int, seen: Tensor) -> Tensor:
        """Hidden features of a channel, [n, hidden] int32; seen: [n, fused + head inputs]."""
        outputs = self.network.profile.expert_hidden
        return by_label(
            self.labels,
            None,
            seen,
            outputs,
            lambda expert, own: self.network.think(channel, expert, own),
        )

    def teach(self, channel: int, slopes: Tensor) -> None:
        """Hidden layers learn nothing."""

    def end_step(self) -> Tensor:
        """Layers learn, in tiles that have coded enough; returns which those are."""
        return self.tuner.end_step(self.tile)


class _LearningView(_TunedView):
    """The same, and the fusion and hidden layers learn, too."""

    def __init__(
        self,
        network: AdaptiveNetwork,
        sight: Sight,
        live: Live,
        labels: Pixels,
        tuner: Tuner,
        tile: NDArray[np.int64],
        learning: Learning,
    ):
        self.learning, self.runs = learning, runs_of(tile, labels, sight.scale.device)
        self.context = network.context(sight)
        self.seen: dict[int, Tensor] = {}
        self.back: Tensor | None = None
        super().__init__(network, sight, live, labels, tuner, tile)

    def fuse(self) -> Tensor:
        """See _AdaptiveView."""
        return self.learning.fuse(self.context, self.runs).to(self.network.carrier)

    def think(self, channel: int, seen: Tensor) -> Tensor:
        """See _TunedView."""
        self.seen[channel] = seen
        return self.learning.think(channel, seen, self.runs)

    def teach(self, channel: int, slopes: Tensor) -> None:
        """See _TunedView."""
        gain = self.sight.gain()[:, channel]
        gradient = gradients_of(slopes, self.mixtures[channel], gain)
        back = self.learning.note(
            channel, self.seen[channel], self.hidden[channel], gradient, self.runs
        )
        self.back = back if self.back is None else self.back + back

    def end_step(self) -> Tensor:
        """See _TunedView."""
        if self.back is not None:
            self.learning.note_fusion(self.context, self.features, self.back, self.runs)
        due = super().end_step()
        self.learning.move(due)
        return due


@dataclass(frozen=True)
class _AdaptiveVoice:
    view: _AdaptiveView
    expert: int | None

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
        corrections = (gamma * (base - 64 * med[:, None]) + 32) >> 6
        coupled = (beta.clamp(-BETA_LIMIT, BETA_LIMIT) * known) >> 2
        centre = 64 * med + corrections.sum(-1, dtype=torch.int32)
        centre = centre + coupled.sum(-1, dtype=torch.int32)
        mean = centre[:, None] + ((mu * sight.gain()[:, channel, None]) >> 4)
        return make_mixture(tables, pi, mean, scale, tables["log_error"][spread], med, width)

    def _params(self, channel: int, heads: Tensor) -> Tensor:
        view, network = self.view, self.view.network
        return by_label(
            view.labels,
            self.expert,
            self._seen(heads),
            network.profile.channel_outputs[channel],
            lambda expert, seen: network.speak(channel, expert, seen),
        )

    def _seen(self, heads: Tensor) -> Tensor:
        features = self.view.features
        inputs = heads.to(features.dtype) * 2 ** (HIDDEN_BITS - INPUT_BITS)
        return torch.cat([features, inputs], 1)

    def _known_errors(self, channel: int, pixel: Tensor) -> Tensor:
        """Of the first predictor in the channels before this one, [n, channel] int32."""
        said = self.view.said
        bases = [said.of(c, pixel)[1][:, 0] for c in range(channel)]
        errors = [error_of(pixel[:, c], base) for c, base in enumerate(bases)]
        return torch.stack(errors, 1) if errors else pixel[:, :0]


@dataclass(frozen=True)
class _TunedVoice(_AdaptiveVoice):
    view: _TunedView

    def mixture(self, channel: int, pixel: Tensor, width: Tensor | None = None) -> Mixture:
        """See Voice."""
        found = super().mixture(channel, pixel, width)
        self.view.mixtures[channel] = found
        return found

    def _params(self, channel: int, heads: Tensor) -> Tensor:
        view, network, p = self.view, self.view.network, self.view.network.profile
        hidden = view.think(channel, self._seen(heads))
        said = by_label(
            view.labels,
            self.expert,
            hidden,
            p.channel_outputs[channel],
            lambda expert, own: network.conclude(channel, expert, own),
        )
        view.hidden[channel] = hidden
        return view.tuner.correct(channel, view.tile, hidden, said)
