"""The training loop: specialising entropy models, averaged weights, resumable, within a budget."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from seec.pipeline.codec.model.profile import Profile
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.training.networks import AdaptiveNetwork
from seec.pipeline.lab.training.compiled import compiled
from seec.pipeline.lab.training.data import PATCH, SIDE_PATCH, Data, PixelBatch, Sample, to_blocks
from seec.pipeline.lab.training.entropy_models import (
    Network,
    assign,
    code_lengths_by_label,
    copy_first_entropy_model,
    labelled_bits,
    sampled_rates,
)
from seec.pipeline.lab.training.run import RunState, Schedule
from seec.pipeline.lab.training.transfer import take_over

_Function = TypeVar("_Function")

_CHECKPOINT_S = 60.0
_WIDE = 128  # from this width on, networks learn better at a lower rate


@dataclass(frozen=True)
class TrainingSettings(Schedule):
    """How a run goes; its seconds are CPU time of the training thread.

    shared: share of the run in which one entropy model learns for all; soften: share of the run
    after it in which the temperature of the assignment falls from `temperature`, in bits per
    sub-pixel, to zero. coefficients: whether beta feeds decoded channels into the next ones
    (MCDLM). compiled: whether torch compiles a step first, if it can; results differ in the last
    digits.
    """

    steps: int = 20_000
    budget_s: float | None = None
    learning_rate: float = 2e-3
    average: float = 0.999
    batch: int = 16
    shared: float = 0.15
    soften: float = 0.2
    temperature: float = 0.1
    coefficients: bool = True
    compiled: bool = False
    seed: int = 1
    validate_every: int = 1_000

    @staticmethod
    def of(profile: Profile, **others: Any) -> "TrainingSettings":
        """What suits a profile, where the others do not say otherwise."""
        if not profile.predictors:
            return TrainingSettings(**others)
        rate = 3e-3 if profile.width < _WIDE else 2e-3
        suited: dict[str, Any] = {"learning_rate": rate, "shared": 0.65, "soften": 0.15}
        return TrainingSettings(**suited | others)


@dataclass(frozen=True)
class Progress:
    """What one validation saw: code lengths in bits per sub-pixel; seconds of CPU time."""

    step: int
    training_bpsp: float
    validation_bpsp: float
    label_shares: tuple[float, ...]
    seconds: float


class Trainer(RunState[Network]):
    """A run that trains a codec; see RunState for its state.

    continues: the id of the model that it began with, if with one.
    """

    def __init__(
        self,
        profile: Profile,
        settings: TrainingSettings,
        data: Data,
        device: str = "cpu",
    ):
        """Start a run on a device: `cpu`, or any that torch knows."""
        torch.manual_seed(settings.seed)
        self.profile, self.settings, self.data = profile, settings, data
        self._device = device
        network = data.network(profile).to(device)
        if not settings.coefficients:
            _silence_coefficients(network)
        optimiser = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))
        super().__init__(network, optimiser, settings, settings.seed)
        self.history: list[Progress] = []
        self.continues: str | None = None
        # Whether each entropy model learns for itself yet.
        self._split = profile.entropy_models == 1
        self._recent: list[float] = []
        faster = compiled if settings.compiled else _as_it_is
        self._features, self._bits = faster(fused_features), faster(labelled_bits)
        self._rates, self._lengths = faster(sampled_rates), faster(code_lengths_by_label)

    def begin_with(self, model: Model) -> None:
        """Begin with what a model has learnt, each of its entropy models going on for itself.

        ModelError if its sizes do not fit; see `take_over`.
        """
        take_over(self.network, model)
        self.average.load_state_dict(self.network.state_dict())
        self.continues, self._split = model.id, True

    def run(self, checkpoint: Path) -> Iterator[list[Progress]]:
        """Train to the end, yielding after each checkpoint what validations saw since then."""
        while not self.done:
            seen = self.advance(_CHECKPOINT_S)
            self.save(checkpoint)
            yield seen

    def advance(self, seconds: float) -> list[Progress]:
        """Train for so much CPU time, or to the end. Returns what validations saw."""
        until, known = self.seconds + seconds, len(self.history)
        while not self.done and self.seconds < until:
            started, began = time.thread_time(), time.perf_counter()
            self._recent.append(self.descend(self._loss(self._draw().to(self._device))))
            self.seconds += time.thread_time() - started
            self.wall_s += time.perf_counter() - began
            if self.step % self.settings.validate_every == 0 or self.done:
                self._validate()
        return self.history[known:]

    def _validate(self) -> None:
        samples = (sample.to(self._device) for sample in self.data.validation)
        bpsp, shares = evaluate(self.average, samples, self._lengths)
        training = float(np.mean(self._recent))
        self.history.append(Progress(self.step, training, bpsp, shares, self.seconds))
        self._recent.clear()

    def _draw(self) -> Sample:
        """As many pixels with SIC as without, in fewer and larger patches."""
        count, size = self.settings.batch, PATCH
        if self.network.side is not None:
            count, size = max(1, count * PATCH**2 // SIDE_PATCH**2), SIDE_PATCH
        return self.data.draw(self.rng, count, size)

    def _loss(self, sample: Sample) -> Tensor:
        """Mean bits per coded sub-pixel, each block under its label or one drawn for it."""
        batch, labels = sample.batch, sample.labels
        features, side_bits = self._features(self.network, sample)
        if labels is None:
            labels = self._assigned(features.detach(), batch)
        bits = self._bits(self.network, features, batch, labels) + side_bits
        return bits / batch.weight.sum()

    def _assigned(self, features: Tensor, batch: PixelBatch) -> Tensor | int:
        s = self.settings
        begun = self.continues is not None
        if self.profile.entropy_models == 1 or (self.progress < s.shared and not begun):
            return 0
        if not self._split:
            copy_first_entropy_model(self.network, self.optimiser)
            self._split = True
        left = 0 if begun else 1 - (self.progress - s.shared) / s.soften
        rates = self._rates(self.network, features, batch)
        return assign(rates, s.temperature * left, self.rng)

    def save(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint so that a crash leaves the old one or the new one."""
        own = {
            "history": [vars(p) for p in self.history],
            "continues": self.continues,
            "split": self._split,
            "recent": self._recent,
        }
        super().save(path, {**own, **(more or {})})

    def load(self, path: Path) -> Mapping[str, Any]:
        """Continue from a checkpoint of the same profile; returns all that it holds."""
        state = super().load(path)
        self.history = [Progress(**p) for p in state["history"]]
        self.continues = state.get("continues")
        self._split, self._recent = state["split"], state["recent"]
        return state


def _as_it_is(function: _Function) -> _Function:
    return function


def _silence_coefficients(network: Network) -> None:
    """Fix beta at zero: these rows of the output layers start at zero and get no gradient."""
    for layer, first in network.beta_rows():
        for parameter in (layer.weight, layer.bias):
            with torch.no_grad():
                parameter[:, first:] = 0
            parameter.register_hook(_without_rows(first))


def _without_rows(first: int) -> Callable[[Tensor], Tensor]:
    def kept(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[:, first:] = 0
        return gradient

    return kept


def fused_features(network: Network, sample: Sample) -> tuple[Tensor, Tensor]:
    """What entropy models see, [pixels, F], and the bits of y and z (SIC), 0 without."""
    if isinstance(network, AdaptiveNetwork) or network.side is None:
        return network.features(sample.batch.inputs), torch.zeros(())
    side, bits = network.side(sample.pixels)
    return network.features(sample.batch.inputs, to_blocks(side.permute(0, 2, 3, 1))), bits


@torch.no_grad()
def evaluate(
    network: Network,
    samples: Iterable[Sample],
    lengths_of: Callable[[Network, Tensor, PixelBatch], Tensor] = code_lengths_by_label,
) -> tuple[float, tuple[float, ...]]:
    """Mean over images of bits per sub-pixel, and the share of blocks of each entropy model.

    Where a sample has no labels each block counts under its best entropy model. lengths_of: the
    code lengths, for which there may be a faster way.
    """
    bpsp: list[float] = []
    counts = torch.zeros(network.profile.entropy_models)
    for sample in samples:
        batch, given = sample.batch, sample.labels
        features, side_bits = fused_features(network, sample)
        lengths = lengths_of(network, features, batch)
        labels = lengths.argmin(-1) if given is None else given
        bits = lengths.gather(-1, labels[:, None]).sum() + side_bits
        bpsp.append(float(bits / batch.weight.sum()))
        counts += torch.bincount(labels.cpu(), minlength=len(counts))
    return float(np.mean(bpsp)), tuple((counts / counts.sum()).tolist())
