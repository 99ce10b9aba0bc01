"""The training loop: experts chosen by code length, resumable, weight-averaged."""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.codec.mixture import code_length
from pipeline.codec.networks import SeecNetwork
from pipeline.codec.profile import Profile
from pipeline.codec.tables import build_tables
from pipeline.training.data import (
    BLOCK,
    Batch,
    PatchSampler,
    Pixels,
    add_scaled,
    load_images,
    make_batch,
)

BLOCK_PIXELS = BLOCK * BLOCK


@dataclass(frozen=True)
class TrainingSettings:
    """How a run goes.

    steps: optimiser steps in all. explore: share of the steps in which blocks also go to
    randomly drawn experts, so that every expert learns before they specialise. average:
    decay of the weight average, which is what gets exported.
    """

    steps: int = 20_000
    batch: int = 16
    learning_rate: float = 2e-3
    explore: float = 0.2
    average: float = 0.999
    seed: int = 1
    validate_every: int = 1_000
    checkpoint_every: int = 250


@dataclass(frozen=True)
class Progress:
    """What one validation saw: code lengths in bits per sub-pixel."""

    step: int
    training_bpsp: float
    validation_bpsp: float
    expert_shares: tuple[float, ...]
    seconds: float


def expert_code_lengths(network: SeecNetwork, features: Tensor, batch: Batch) -> Tensor:
    """Code length of every block under every expert: [blocks, experts], bits."""
    lengths = [
        (_bits(network.expert(features, e), batch, slice(None))).view(-1, BLOCK_PIXELS).sum(-1)
        for e in range(network.profile.experts)
    ]
    return torch.stack(lengths, -1)


def _bits(params: Tensor, batch: Batch, rows: slice | Tensor) -> Tensor:
    """Coded bits of each pixel, [rows]."""
    bits = code_length(
        params,
        batch.target[rows],
        batch.prediction[rows],
        batch.activity[rows],
        batch.log_activity[rows],
    )
    return (bits * batch.weight[rows]).sum(-1)


def training_loss(
    network: SeecNetwork, batch: Batch, explore: float, rng: np.random.Generator
) -> Tensor:
    """Mean bits per coded sub-pixel, each block under its best expert.

    explore: chance that a block goes to a random expert instead (SMEM, soft start).
    """
    features = network.features(batch.inputs)
    with torch.no_grad():
        labels = expert_code_lengths(network, features, batch).argmin(-1)
    wander = torch.from_numpy(rng.random(len(labels)) < explore)
    random = torch.from_numpy(rng.integers(network.profile.experts, size=len(labels)))
    labels = torch.where(wander, random, labels)
    total = features.new_zeros(())
    for e in range(network.profile.experts):
        rows = (labels == e).repeat_interleave(BLOCK_PIXELS).nonzero()[:, 0]
        if len(rows):
            total = total + _bits(network.expert(features[rows], e), batch, rows).sum()
    return total / batch.weight.sum()


class Trainer:
    """State of one run: network, average, optimiser, random generator, step."""

    def __init__(self, profile: Profile, settings: TrainingSettings, data: Path):
        torch.manual_seed(settings.seed)
        self.profile, self.settings = profile, settings
        self.tables = build_tables()
        self.network = SeecNetwork(profile)
        self.average = copy.deepcopy(self.network)
        self.optimiser = torch.optim.Adam(self.network.parameters(), betas=(0.9, 0.99))
        self.rng = np.random.default_rng(settings.seed)
        self.step = 0
        self.seconds = 0.0
        self.history: list[Progress] = []
        training = load_images(data, validation=False)
        validation = load_images(data, validation=True)
        self.training_images, self.validation_images = len(training), len(validation)
        self._sampler = PatchSampler(add_scaled(training, settings.seed))
        self._validation = validation_batches(validation, self.tables)

    def run(self, checkpoint: Path) -> Iterator[Progress]:
        """Train to the end, yielding at every validation; writes checkpoints."""
        recent: list[float] = []
        started = time.monotonic() - self.seconds
        while self.step < self.settings.steps:
            recent.append(self._one_step())
            self.seconds = time.monotonic() - started
            done = self.step == self.settings.steps
            if self.step % self.settings.validate_every == 0 or done:
                bpsp, shares = evaluate(self.average, self._validation)
                self.history.append(
                    Progress(self.step, float(np.mean(recent)), bpsp, shares, self.seconds)
                )
                recent.clear()
                yield self.history[-1]
            if self.step % self.settings.checkpoint_every == 0 or done:
                self.save(checkpoint)

    def _one_step(self) -> float:
        s = self.settings
        progress = self.step / s.steps
        rate = s.learning_rate * min(1.0, (self.step + 1) / 100)
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimiser.param_groups:
            group["lr"] = max(rate, 1e-6)
        batch = make_batch(*self._sampler.draw(self.rng, s.batch), self.tables)
        explore = max(0.0, 1 - progress / s.explore)
        loss = training_loss(self.network, batch, explore, self.rng)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(s.average, self.step / (self.step + 10))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write the checkpoint so that a crash leaves the old one or the new one."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.bit_generator.state,
            "step": self.step,
            "seconds": self.seconds,
            "history": [vars(p) for p in self.history],
        }
        temporary = path.with_suffix(".partial")
        torch.save(state, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same profile."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.bit_generator.state = state["rng"]
        self.step, self.seconds = state["step"], state["seconds"]
        self.history = [Progress(**p) for p in state["history"]]


def validation_batches(images: list[Pixels], tables: dict) -> list[Batch]:
    """Four 64 x 64 crops of each image, at fixed places."""
    batches = []
    for image in images:
        h, w = image.shape[:2]
        places = [(h * a // 8, w * b // 8) for a, b in ((1, 1), (1, 5), (5, 1), (5, 5))]
        crops = [image[y : y + 67, x : x + 70] for y, x in places if y + 67 <= h and x + 70 <= w]
        if crops:
            batches.append(make_batch(np.stack(crops), np.zeros(len(crops), bool), tables))
    return batches


@torch.no_grad()
def evaluate(network: SeecNetwork, batches: list[Batch]) -> tuple[float, tuple[float, ...]]:
    """Mean over images of bits per sub-pixel, and the share of blocks of each expert."""
    bpsp, counts = [], torch.zeros(network.profile.experts)
    for batch in batches:
        lengths = expert_code_lengths(network, network.features(batch.inputs), batch)
        best, labels = lengths.min(-1)
        bpsp.append(float(best.sum() / batch.weight.sum()))
        counts += torch.bincount(labels, minlength=len(counts))
    return float(np.mean(bpsp)), tuple((counts / counts.sum()).tolist())
