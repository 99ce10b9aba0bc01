"""Training of a network of the coefficient coder, which goes on where its checkpoint ends."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from seec.pipeline.lab.dct.integers import IntegerNetwork
from seec.pipeline.lab.dct.muon import Muon

_Network = TypeVar("_Network", bound=IntegerNetwork)
_WARM, _FLOOR = 200, 0.005  # steps until the rate is full; its share at the end
_REPORTS, _SAVED_S, _CUT_STEPS = 20, 120.0, 10


@dataclass(frozen=True)
class Settings:
    """How to train.

    length: of all training, in seconds of CPU or in steps. rounded_from: from this share of all
    training on the network computes what integers do.
    """

    length: float
    rate: float
    in_steps: bool = False
    rounded_from: float = 0.6
    seed: int = 1


class Training(Generic[_Network]):
    """A network on its way; `run` goes on where the checkpoint ends.

    loss: draws a batch by a generator and returns its mean code length, in nats a value.
    """

    def __init__(
        self,
        network: _Network,
        loss: Callable[[np.random.Generator], Tensor],
        settings: Settings,
        checkpoint: Path,
    ) -> None:
        self.network, self._loss = network, loss
        self._settings, self._checkpoint = settings, checkpoint
        groups = [{"params": [network.outputs()]}, {"params": network.biases()}]
        self._adam = torch.optim.Adam(groups, lr=settings.rate, betas=(0.9, 0.99))
        self._muon = Muon(network.matrices(), settings.rate)
        self.step, self._spent_s = 0, 0.0
        if checkpoint.exists():
            self._load()

    def run(self, bits: Callable[[], float], report: Callable[[str], None]) -> None:
        """Train to the end; report takes lines with bits, of a value of the validation split."""
        saved = now = time.process_time()
        reported = int(self._done() * _REPORTS)
        while self._done() < 1:
            self._move()
            began, now = now, time.process_time()
            self._spent_s += now - began
            if now - saved > _SAVED_S:
                self._save()
                saved = now
            if int(self._done() * _REPORTS) > reported:
                reported = int(self._done() * _REPORTS)
                report(f"{self.step} steps, {self._spent_s:.0f} s: {bits():.4f} bits")
                now = time.process_time()
        self.network.rounded = True
        self._save()

    def _done(self) -> float:
        s = self._settings
        return (self.step if s.in_steps else self._spent_s) / s.length

    def _move(self) -> None:
        s, network, done = self._settings, self.network, self._done()
        network.rounded = done >= s.rounded_from
        cosine = _FLOOR + (1 - _FLOOR) * math.cos(math.pi * done / 2) ** 2
        rate = s.rate * min(1, (self.step + 1) / _WARM) * cosine
        outputs, biases = self._adam.param_groups
        outputs["lr"] = self._muon.param_groups[0]["lr"] = rate
        biases["lr"] = 2 * rate
        # By the step alone, so that a run that was cut short sees what it would have seen.
        loss = self._loss(np.random.default_rng((s.seed, self.step)))
        network.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        self._adam.step()
        self._muon.step()
        if self.step % _CUT_STEPS == 0:
            network.keep_in_range()
        self.step += 1

    def _save(self) -> None:
        part = self._checkpoint.with_suffix(".part")
        states = {
            "network": self.network.state_dict(),
            "adam": self._adam.state_dict(),
            "muon": self._muon.state_dict(),
            "step": self.step,
            "spent_s": self._spent_s,
        }
        torch.save(states, part)
        part.replace(self._checkpoint)

    def _load(self) -> None:
        kept = torch.load(self._checkpoint, weights_only=True)
        own = {name: state.shape for name, state in self.network.state_dict().items()}
        if {name: state.shape for name, state in kept["network"].items()} != own:
            raise ValueError(f"{self._checkpoint} is of a network of another shape")
        self.network.load_state_dict(kept["network"])
        self._adam.load_state_dict(kept["adam"])
        self._muon.load_state_dict(kept["muon"])
        self.step, self._spent_s = kept["step"], kept["spent_s"]
