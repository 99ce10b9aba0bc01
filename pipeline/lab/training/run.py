"""What every training run here keeps: a network, its average, an optimiser, how far it is."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

_WARM_UP_STEPS = 100

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """How long a run lasts and how fast it learns.

    steps, budget_s, budget_wall_s: the run ends after so many optimiser steps, or so many seconds
    of its own or by the clock if that comes first; everything follows whichever is further.
    learning_rate: after a warm-up, falling to zero with a cosine. average: decay of the weight
    average, which is what gets exported.
    """

    steps: int
    budget_s: float | None
    learning_rate: float
    average: float
    budget_wall_s: float | None = None


class RunState(Generic[Network]):
    """State of one run: network, average, optimiser, random generator, step, seconds, wall_s."""

    def __init__(
        self, network: Network, optimiser: torch.optim.Optimizer, schedule: Schedule, seed: int
    ):
        self.network, self.optimiser, self.schedule = network, optimiser, schedule
        self.average = copy.deepcopy(network).eval()
        self.rng = np.random.default_rng(seed)
        self.step = 0
        self.seconds = self.wall_s = 0.0

    @property
    def progress(self) -> float:
        """The share of the run that is done, 0 to 1."""
        s = self.schedule
        spent = [self.step / s.steps]
        spent += [self.seconds / s.budget_s] if s.budget_s else []
        spent += [self.wall_s / s.budget_wall_s] if s.budget_wall_s else []
        return min(1.0, max(spent))

    @property
    def done(self) -> bool:
        """Whether steps or seconds are used up."""
        return self.progress >= 1

    def descend(self, loss: Tensor) -> float:
        """One optimiser step, and the average a little closer. Returns the loss."""
        rate = self.schedule.learning_rate * min(1.0, (self.step + 1) / _WARM_UP_STEPS)
        rate *= 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimiser.param_groups:
            group["lr"] = max(rate, 1e-6)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._follow()
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.schedule.average, self.step / (self.step + 10))
        new = self.network.state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(new[name], 1 - decay)

    def save(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint so that a crash leaves the old one or the new one.

        more: what else `load` is to return; plain values.
        """
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.bit_generator.state,
            "step": self.step,
            "seconds": self.seconds,
            "wall_s": self.wall_s,
            **(more or {}),
        }
        temporary = path.with_suffix(".partial")
        torch.save(state, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> Mapping[str, Any]:
        """Continue from a checkpoint; returns all that it holds."""
        device = next(self.network.parameters()).device
        state = torch.load(path, weights_only=True, map_location=device)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.bit_generator.state = state["rng"]
        self.step, self.seconds, self.wall_s = (state[k] for k in ("step", "seconds", "wall_s"))
        return state
